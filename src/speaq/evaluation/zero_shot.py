"""Zero-shot triplets: (subject, object, predicate) classes of a relation that do not occur in training."""

from pathlib import Path

import numpy as np
import torch

from speaq.errors import SpeaqError
from speaq.files import read_tensors

_CLASS_BITS = 21
"""Bits of a class index; three indices are packed into one int64."""


class TripletSet:
    """A set of (subject class, object class, predicate) with a fast membership test.

    Args:
        triplets: (Z, 3) class indices from 0, in any order, duplicates allowed.

    Examples:
        >>> TripletSet(np.array([[0, 1, 2]])).contains(np.array([[0, 1, 2], [1, 0, 2]]))
        array([ True, False])
    """

    def __init__(self, triplets: np.ndarray):
        self._codes = np.unique(_encode(np.asarray(triplets).reshape(-1, 3)))

    def __len__(self) -> int:
        return len(self._codes)

    def contains(self, triplets: np.ndarray) -> np.ndarray:
        """Which of the ``triplets`` (M, 3) are in the set: (M,) bool."""
        codes = _encode(triplets)
        if not len(self):
            return np.zeros(len(codes), bool)
        places = np.searchsorted(self._codes, codes)
        return self._codes[np.minimum(places, len(self) - 1)] == codes


def _encode(triplets: np.ndarray) -> np.ndarray:
    subjects, objects, predicates = triplets.astype(np.int64).T
    return (subjects << 2 * _CLASS_BITS) | (objects << _CLASS_BITS) | predicates


def load_zero_shot_triplets(path: str | Path, num_objects: int, num_predicates: int) -> np.ndarray:
    """Read the published list of zero-shot triplets.

    The file has one tensor (Z, 3), saved by ``torch.save``, with classes from 1 in the columns subject,
    object, predicate.

    Args:
        path: the file, such as ``zeroshot_triplet.pytorch``.
        num_objects: C.
        num_predicates: R.

    Returns:
        (Z, 3) int64, classes from 0.

    Raises:
        SpeaqError: the file is missing or unreadable, has other contents, or does not fit the vocabulary.
    """
    path = Path(path)
    hint = "give the published list of zero-shot triplets, or none to derive them from the training set"
    if not path.is_file():
        raise SpeaqError(f"{path}: no such file; {hint}")
    content = read_tensors(path, hint)
    if not isinstance(content, torch.Tensor):
        raise SpeaqError(f"{path}: expected a tensor (Z, 3), found a {type(content).__name__}; {hint}")
    triplets = content.numpy().astype(np.int64)
    if triplets.ndim != 2 or triplets.shape[1] != 3:
        raise SpeaqError(f"{path}: expected a tensor (Z, 3), found one of shape {triplets.shape}; {hint}")
    columns = {"subject": num_objects, "object": num_objects, "predicate": num_predicates}
    for values, (column, classes) in zip(triplets.T, columns.items(), strict=True):
        outside = values[(values < 1) | (values > classes)]
        if outside.size:
            raise SpeaqError(
                f"{path}: expected every {column} class in 1..{classes}, found {outside[0]}; "
                f"the list must belong to the vocabulary of the data set, counted from 1"
            )
    return triplets - 1
