"""The file format of saved predictions: its arrays, and checks that reading and writing share.

The file is HDF5 with flat arrays: the entities of all images one after another, then the relations, and the
number of both per image. It is lossless: metrics computed from it equal those of the graphs. Predicate
probabilities take nearly all of the space: 600 relations of 51 classes are 120 KB per image and hardly
compressible.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

FORMAT, VERSION = "speaq predictions", 1
TEXT = h5py.string_dtype()

_MAX_COORDINATE = float(np.finfo(np.float32).max)
_MAX_QUERIES = 10**6  # an analysis allocates a row for each query number up to the largest
_MAX_PROBABILITY = 1.001  # with rounding errors


class Column(NamedTuple):
    """An array of the file.

    Attributes:
        rows: what has a row: "images", "entities" or "relations"; the latter two are arrays of scene graphs.
        shape: shape of a row.
        dtype: type that is written; any of the same kind is read.
        low, high: range of the values.
        expected: the range in error messages.
    """

    rows: str
    shape: tuple[int, ...]
    dtype: Any
    low: float = -np.inf
    high: float = np.inf
    expected: str = ""

    def first_invalid(self, values: np.ndarray) -> tuple[int, str] | None:
        """The first row with a value out of range, and a message; None if all values are in range."""
        if not values.size or (self.low <= values.min() and values.max() <= self.high):  # False if NaN
            return None
        place = tuple(np.argwhere(~((values >= self.low) & (values <= self.high)))[0])
        return int(place[0]), f"must be {self.expected}, found {values[place]}"


def columns(vocabulary: Vocabulary) -> dict[str, Column]:
    """The arrays by name."""
    num_objects, num_predicates = len(vocabulary.objects), len(vocabulary.predicates)
    probability = (np.dtype(np.float32), 0, _MAX_PROBABILITY, "in 0..1")
    coordinate = (np.dtype(np.float32), -_MAX_COORDINATE, _MAX_COORDINATE, "finite")

    def below(count: int) -> tuple[np.dtype, int, int, str]:
        return np.dtype(np.int32), 0, count - 1, f"in 0..{count - 1}"

    return {
        "image_ids": Column("images", (), TEXT),
        "sources": Column("images", (), TEXT),
        "image_sizes": Column("images", (2,), np.dtype(np.int32)),
        "num_entities": Column("images", (), np.dtype(np.int64)),
        "num_relations": Column("images", (), np.dtype(np.int64)),
        "boxes": Column("entities", (4,), *coordinate),
        "labels": Column("entities", (), *below(num_objects)),
        "scores": Column("entities", (), *probability),
        "pairs": Column("relations", (2,), np.dtype(np.int32)),  # scene graphs check their range
        "predicates": Column("relations", (), *below(num_predicates)),
        "queries": Column("relations", (), *below(_MAX_QUERIES)),
        "pair_scores": Column("relations", (2,), *probability),
        "predicate_probs": Column("relations", (num_predicates + 1,), *probability),
    }


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
