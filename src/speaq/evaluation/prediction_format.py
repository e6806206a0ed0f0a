"""The file format of saved predictions: its arrays, and checks that reading and writing share.

The file is HDF5 with flat arrays: the entities of all images one after another, then the relations, and the
number of both per image; image ids are JSON. By default the file is lossless: metrics computed from it equal
those of the graphs. Predicate probabilities take nearly all of the space: 600 relations of 51 classes are 120
KB per image and hardly compressible. With 600 relations each, 26,000 images take 3.6 GB; with the best 100 in
half precision they take 0.36 GB.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

FORMAT, VERSION = "speaq predictions", 1

_MAX_COORDINATE = float(np.finfo(np.float32).max)
_MAX_QUERIES = 10**6  # an analysis allocates a row for each query number up to the largest
_MAX_PROBABILITY = 1.001  # with rounding errors


class Column(NamedTuple):
    """An array of a file, an attribute of scene graphs with a row per entity or per relation.

    Attributes:
        shape: shape of a row.
        kind: "i" for int32, "f" for float32, or float16 for predicate probabilities.
        low, high: range of the values.
        expected: the range in error messages.
    """

    shape: tuple[int, ...]
    kind: str
    low: float
    high: float
    expected: str


def entity_columns(vocabulary: Vocabulary) -> dict[str, Column]:
    """Arrays with a row per entity, by name."""
    return {
        "boxes": Column((4,), "f", -_MAX_COORDINATE, _MAX_COORDINATE, "finite"),
        "labels": _indices(len(vocabulary.objects)),
        "scores": _probabilities(),
    }


def relation_columns(vocabulary: Vocabulary) -> dict[str, Column]:
    """Arrays with a row per relation, by name. Scene graphs check pairs themselves."""
    num_predicates = len(vocabulary.predicates)
    return {
        "pairs": Column((2,), "i", -np.inf, np.inf, ""),
        "predicates": _indices(num_predicates),
        "queries": _indices(_MAX_QUERIES),
        "pair_scores": _probabilities(2),
        "predicate_probs": _probabilities(num_predicates + 1),
    }


def _indices(count: int) -> Column:
    return Column((), "i", 0, count - 1, f"in 0..{count - 1}")


def _probabilities(*shape: int) -> Column:
    return Column(shape, "f", 0, _MAX_PROBABILITY, "in 0..1")


def first_out_of_range(name: str, values: np.ndarray, column: Column) -> tuple[int, str] | None:
    """The first row of an array with a value out of range, and a message; None if all are in range.

    Examples:
        >>> labels = entity_columns(Vocabulary(("cup", "cat"), ("on",)))["labels"]
        >>> first_out_of_range("labels", np.array([0, 1, 7]), labels)
        (2, 'labels must be in 0..1, found 7')
    """
    low, high = column.low, column.high
    if not values.size:
        return None
    if values.dtype == np.float16:  # slow to compare; the bits of values >= 0 have the order of the values
        if values.view(np.uint16).max() <= np.float16(high).view(np.uint16):
            return None
    elif low <= values.min() and values.max() <= high:  # False if there is a NaN
        return None
    invalid = np.argwhere(~((values >= low) & (values <= high)))
    if not len(invalid):  # -0 in float16
        return None
    place = tuple(invalid[0])
    return int(place[0]), f"{name} must be {column.expected}, found {values[place]}"


def check_predicate_counts(counts: np.ndarray, vocabulary: Vocabulary, path: Path) -> None:
    """Check that there is one non-negative count (R,) of training relations per predicate.

    Raises:
        SpeaqError: the shape or type is wrong, or a count is negative.
    """
    expected = len(vocabulary.predicates)
    if counts.shape != (expected,):
        found = f"an array of shape {counts.shape}"
    elif counts.dtype.kind != "i":
        found = f"type {counts.dtype}"
    elif expected and counts.min() < 0:
        found = f"the value {counts.min()}"
    else:
        return
    raise SpeaqError(
        f"{path}: expected {expected} predicate_counts, one non-negative integer per predicate, found {found}"
    )


def check_image_ids(expected: Sequence[int | str], found: Sequence[int | str], source: str) -> None:
    """Check that predictions from ``source`` have the image ids of the data set, in any order.

    Raises:
        SpeaqError: images are missing, not in the data set, or duplicated.
    """
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    if missing:
        difference = f"lacks {len(missing)} of the {len(expected)} images, such as {min(missing, key=str)}"
    elif extra:
        difference = f"has {len(extra)} images that the data set lacks, such as {min(extra, key=str)}"
    elif len(found) != len(expected):
        difference = f"has {len(found)} predictions for {len(expected)} images"
    else:
        return
    raise SpeaqError(f"{source} {difference}; predictions and ground truth must be of the same images")
