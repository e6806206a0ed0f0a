"""Checks of saved predictions: image ids, predicate counts, and values that only a damaged file can have.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

_MAX_COORDINATE = float(np.finfo(np.float32).max)
_MAX_QUERIES = 10**6  # an analysis allocates a row for each query number up to the largest
_MAX_PROBABILITY = 1.001  # with rounding errors


def first_out_of_range(name: str, values: np.ndarray, vocabulary: Vocabulary) -> tuple[int, str] | None:
    """The first row of an array of a scene graph with an invalid value, and a message; None if all are valid.

    Args:
        name: name of the array. Pairs are not checked, since scene graphs check their own.
        values: the array, of any number of images; the first axis is entities or relations.
        vocabulary: the classes.

    Examples:
        >>> first_out_of_range("labels", np.array([0, 1, 7]), Vocabulary(("cup", "cat"), ("on",)))
        (2, 'labels must be in 0..1, found 7')
    """
    ranges = {
        "labels": (0, len(vocabulary.objects) - 1),
        "predicates": (0, len(vocabulary.predicates) - 1),
        "queries": (0, _MAX_QUERIES - 1),
        "pairs": (-np.inf, np.inf),
        "boxes": (-_MAX_COORDINATE, _MAX_COORDINATE),
    }
    low, high = ranges.get(name, (0, _MAX_PROBABILITY))
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
    expected = "finite" if name == "boxes" else f"in 0..{high}" if name in ranges else "in 0..1"
    return int(place[0]), f"{name} must be {expected}, found {values[place]}"


def check_predicate_counts(counts: np.ndarray, vocabulary: Vocabulary, path: Path) -> None:
    """Check that there is one non-negative count of training relations per predicate.

    Args:
        counts: (R,) integers.
        vocabulary: the classes.
        path: the file, for the message.

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
    """Check that predictions and ground truth have the same image ids, in any order.

    Args:
        expected: image ids of the data set.
        found: image ids of the predictions.
        source: origin of the predictions, for the message.

    Raises:
        SpeaqError: images are missing, not in the data set, or duplicated.
    """
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    difference = None
    if missing:
        difference = f"lacks {len(missing)} of the {len(expected)} images, such as {min(missing, key=str)}"
    elif extra:
        difference = f"has {len(extra)} images that the data set lacks, such as {min(extra, key=str)}"
    elif len(found) != len(expected):
        difference = f"has {len(found)} predictions for {len(expected)} images"
    if difference:
        raise SpeaqError(f"{source} {difference}; predictions and ground truth must be of the same images")
