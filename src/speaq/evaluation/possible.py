"""What saved predictions can hold, and what only a diverged model or a damaged file has in it.

R: predicate classes.
"""

from pathlib import Path

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

_LARGEST = float(np.finfo(np.float32).max)
_MOST_QUERIES = 10**6  # an analysis counts for every number up to the largest
_CERTAIN = 1.001  # a probability, with what rounding may add


def first_impossible(name: str, values: np.ndarray, vocabulary: Vocabulary) -> tuple[int, str] | None:
    """The first row of an array that no prediction can have, and what is wrong with it.

    Args:
        name: of the array in a scene graph. Pairs are not looked at, as scene graphs check their own.
        values: of any number of images; the first axis is entities or relations.
        vocabulary: the classes.
    """
    ranges = {
        "labels": (0, len(vocabulary.objects) - 1),
        "predicates": (0, len(vocabulary.predicates) - 1),
        "queries": (0, _MOST_QUERIES - 1),
        "pairs": (-np.inf, np.inf),
        "boxes": (-_LARGEST, _LARGEST),
    }
    low, high = ranges.get(name, (0, _CERTAIN))
    if not values.size:
        return None
    if values.dtype == np.float16:  # slow to compare; the bits of 0 and above are in the order of the values
        if values.view(np.uint16).max() <= np.float16(high).view(np.uint16):
            return None
    elif low <= values.min() and values.max() <= high:  # neither where there is a NaN
        return None
    wrong = np.argwhere(~((values >= low) & (values <= high)))
    if not len(wrong):  # -0 in float16
        return None
    place = tuple(wrong[0])
    wanted = "finite" if name == "boxes" else f"in 0..{high}" if name in ranges else "in 0..1"
    return int(place[0]), f"{name} must be {wanted}, found {values[place]}"


def check_counts(counts: np.ndarray, vocabulary: Vocabulary, path: Path) -> None:
    """See that there is a count of training relations for each predicate.

    Args:
        counts: (R,) integers.
        vocabulary: the classes.
        path: the file, for the message.

    Raises:
        SpeaqError: there is not, or a count is negative.
    """
    expected = len(vocabulary.predicates)
    if counts.shape != (expected,):
        found = f"an array of shape {counts.shape}"
    elif counts.dtype.kind != "i":
        found = "numbers with a fraction" if counts.dtype.kind == "f" else "no numbers"
    elif expected and counts.min() < 0:
        found = f"{counts.min()} among them"
    else:
        return
    raise SpeaqError(
        f"{path}: expected {expected} predicate_counts, one for each predicate and none negative, "
        f"found {found}"
    )
