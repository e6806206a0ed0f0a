"""Zero-shot recall zR@K (Lu et al., ECCV 2016): recall over relations with a triplet absent from training.

A triplet is (subject class, object class, predicate). Images without a zero-shot relation are left out.
"""

from pathlib import Path

import numpy as np
import torch

from speaq.errors import SpeaqError
from speaq.evaluation.analysis import Analysis
from speaq.files import read_tensors
from speaq.structures import Annotation

_CLASS_BITS = 21  # three class indices are packed into one int64


class TripletSet:
    """A set of triplets with a fast membership test.

    Args:
        triplets: (Z, 3) class indices from 0, in any order, duplicates allowed.
        complement: the set has all triplets but these.

    Examples:
        >>> TripletSet(np.array([[0, 1, 2]])).contains(np.array([[0, 1, 2], [1, 0, 2]]))
        array([ True, False])
    """

    def __init__(self, triplets: np.ndarray, *, complement: bool = False):
        self._codes = np.append(np.unique(_encode(np.asarray(triplets).reshape(-1, 3))), -1)
        self._complement = complement

    def contains(self, triplets: np.ndarray) -> np.ndarray:
        """Which of the ``triplets`` (M, 3) are in the set: (M,) bool."""
        codes = _encode(triplets)
        places = np.searchsorted(self._codes[:-1], codes)  # np.isin would sort the set again
        return (self._codes[places] == codes) != self._complement


def _encode(triplets: np.ndarray) -> np.ndarray:
    subjects, objects, predicates = triplets.astype(np.int64).T
    return (subjects << 2 * _CLASS_BITS) | (objects << _CLASS_BITS) | predicates


def zero_shot_relations(annotation: Annotation, zero_shot: TripletSet | None) -> np.ndarray:
    """Which relations of an image have a zero-shot triplet, (M,) bool; none of them if the set is None."""
    if zero_shot is None:
        return np.zeros(len(annotation.relations), bool)
    subjects, objects, predicates = annotation.relations.T
    return zero_shot.contains(
        np.stack((annotation.labels[subjects], annotation.labels[objects], predicates), axis=-1)
    )


def zero_shot_recalls(analysis: Analysis) -> np.ndarray:
    """Recall of each image over its zero-shot relations, NaN where it has none: (2, len(ks), B).

    zR@k is the mean over the images that have one.
    """
    return analysis.image_recalls(analysis.zero_shot)


def load_zero_shot_triplets(path: str | Path, num_objects: int, num_predicates: int) -> np.ndarray:
    """Read the published list of zero-shot triplets, ``zeroshot_triplet.pytorch``.

    The file has one tensor (Z, 3), saved by ``torch.save``, with classes from 1 in the columns subject,
    object, predicate. Those returned, (Z, 3) int64, count from 0.

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
