"""Counts of classes, triplets and background pairs in the images of a split.

Shape letters: see `speaq.structures`, with N and M over all images that are counted; I: these images,
U: distinct triplets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from speaq.data.selection import boxes_overlap
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

_BLOCK = 2**17  # images counted at once
_LARGEST_COUNT = 2.0**50  # sums of larger counts would be inexact


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """Counts of classes and triplets. Duplicate relations count each time.

    Attributes:
        box_offsets, relation_offsets: (I + 1,) int64; image i has the boxes offsets[i] .. offsets[i + 1] - 1.
        object_counts: (C,) int64, boxes of each class.
        predicate_counts: (R,) int64, relations of each class.
        triplets: (U, 3) int64, the distinct (subject class, object class, predicate), in ascending order.
        triplet_counts: (U,) int64, relations of each triplet.
        source_counts: relations of each source, by its name; empty where sources are not known.
    """

    box_offsets: np.ndarray
    relation_offsets: np.ndarray
    object_counts: np.ndarray
    predicate_counts: np.ndarray
    triplets: np.ndarray
    triplet_counts: np.ndarray
    source_counts: dict[str, int] = field(default_factory=dict)

    @property
    def boxes_per_image(self) -> np.ndarray:
        """(I,) int64."""
        return np.diff(self.box_offsets)

    @property
    def relations_per_image(self) -> np.ndarray:
        """(I,) int64."""
        return np.diff(self.relation_offsets)

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.box_offsets) - 1

    @property
    def num_boxes(self) -> int:
        """N."""
        return int(self.box_offsets[-1])

    @property
    def num_relations(self) -> int:
        """M."""
        return int(self.relation_offsets[-1])

    @property
    def num_without_boxes(self) -> int:
        """Images without boxes."""
        return int((self.boxes_per_image == 0).sum())

    @property
    def num_without_relations(self) -> int:
        """Images without relations."""
        return int((self.relations_per_image == 0).sum())


def count_dataset(dataset: VisualGenome) -> ClassCounts:
    """Count a split as it is trained or evaluated on, a block of images at a time."""
    counter = _Counter(dataset.vocabulary)
    for images in image_blocks(dataset):
        boxes, relations = dataset.box_offsets[images], dataset.relation_offsets[images]
        rows = dataset.relations[relations[0] : relations[-1]]
        labels = dataset.labels[boxes[0] : boxes[-1]]
        first_box = np.repeat(boxes[:-1] - boxes[0], np.diff(relations))[:, None]
        counter.add(labels, labels[first_box + rows[:, :2]], rows[:, 2])
    return counter.counts(dataset.box_offsets, dataset.relation_offsets)


def image_blocks(dataset: VisualGenome) -> Iterator[slice]:
    """The rows of the offsets of a split, in blocks of images; the last row of a block starts the next."""
    for start in range(0, len(dataset), _BLOCK):
        yield slice(start, start + _BLOCK + 1)


def count_annotations(
    annotations: AnnotationArrays, vocabulary: Vocabulary, images: np.ndarray
) -> ClassCounts:
    """Count the images (I,), given as rows of a file, without the filters of the configuration."""
    boxes = annotations.box_ranges.select(images)
    relations = annotations.relation_ranges.select(images)
    rows = relations.rows()
    counter, labels = _Counter(vocabulary), annotations.labels
    counter.add(labels[boxes.rows()], labels[annotations.pairs[rows]], annotations.predicates[rows])
    counts = counter.counts(boxes.offsets(), relations.offsets())
    if annotations.sources is None:
        return counts
    names, numbers = np.unique(annotations.sources[rows], return_counts=True)
    return replace(counts, source_counts=dict(zip(names.tolist(), numbers.tolist(), strict=True)))


class _Counter:
    """Counts the images of a data set block by block."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        objects, predicates = len(vocabulary.objects), len(vocabulary.predicates)
        self._shape = (objects, objects, predicates)
        self._objects, self._predicates = np.zeros(objects, np.int64), np.zeros(predicates, np.int64)
        self._triplets = self._counts = np.zeros(0, np.int64)

    def add(self, labels: np.ndarray, pair_labels: np.ndarray, predicates: np.ndarray) -> None:
        """Count labels (N,), the labels (M, 2) of subjects and objects, and predicates (M,)."""
        self._objects += np.bincount(labels, minlength=len(self._objects))
        self._predicates += np.bincount(predicates, minlength=len(self._predicates))
        keys = np.ravel_multi_index(
            (*pair_labels.astype(np.int64).T, predicates.astype(np.int64)), self._shape
        )
        keys, counts = np.unique(keys, return_counts=True)
        keys, counts = np.concatenate((self._triplets, keys)), np.concatenate((self._counts, counts))
        self._triplets, places = np.unique(keys, return_inverse=True)
        self._counts = np.zeros(len(self._triplets), np.int64)
        np.add.at(self._counts, places, counts)

    def counts(self, box_offsets: np.ndarray, relation_offsets: np.ndarray) -> ClassCounts:
        """The counts of all blocks."""
        return ClassCounts(
            box_offsets=box_offsets,
            relation_offsets=relation_offsets,
            object_counts=self._objects,
            predicate_counts=self._predicates,
            triplets=np.stack(np.unravel_index(self._triplets, self._shape), axis=1).astype(np.int64),
            triplet_counts=self._counts,
        )


def background_pairs(dataset: VisualGenome) -> np.ndarray:
    """Ordered pairs of boxes (C, C) int64, by subject and object class, that could be related.

    In each image these are the pairs of distinct boxes that overlap, related or not, or all pairs if none
    overlap.
    """
    num_objects = len(dataset.vocabulary.objects)
    counts = np.zeros((num_objects, num_objects), dtype=np.int64)
    for first, last in pairwise(dataset.box_offsets):
        boxes, labels = dataset.boxes[first:last], dataset.labels[first:last]
        distinct = ~np.eye(len(boxes), dtype=bool)
        overlapping = distinct & boxes_overlap(boxes[:, None], boxes[None])
        subjects, objects = np.nonzero(overlapping if overlapping.any() else distinct)
        np.add.at(counts, (labels[subjects], labels[objects]), 1)
    return counts


def check_predicate_counts(counts: np.ndarray, origin: str) -> None:
    """Check that class weights and query groups can be computed from predicate counts (R,) of ``origin``.

    Raises:
        SpeaqError: there are none, one is negative or not finite, or all are 0.
    """
    bad = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))
    if not len(counts):
        problem = "there are no predicates"
    elif len(bad):
        problem = f"predicate {bad[0]} occurs {counts[bad[0]]} times, expected a non-negative number"
    elif not counts.any():
        problem = f"none of the {len(counts)} predicates occurs"
    else:
        return
    raise SpeaqError(
        f"the predicate statistics of {origin} cannot be used: {problem}. Check its relations and its "
        "FILTER_ settings, or choose other statistics with DATASETS.MULTI_DATASET.STATISTICS."
    )


def mixed_counts(counts: Sequence[np.ndarray], epochs: Sequence[float] | np.ndarray) -> np.ndarray:
    """Predicate counts of several data sets that are sampled unequally.

    Args:
        counts: for each data set, (R,) relations of each predicate.
        epochs: how often each data set is used, in any common unit.

    Returns:
        (R,) float64, in the unit in which the data set that is used least often, but not never, is used once;
        counts of the others are fractional. Predicates that occur in any data set count at least 1.
    """
    factors = np.asarray(epochs, dtype=np.float64)
    factors = factors / factors[factors > 0].min()
    total = np.sum([factor * count for factor, count in zip(factors, counts, strict=True)], axis=0)
    total *= min(1.0, _LARGEST_COUNT / max(total.max(initial=0), 1))
    occurs = np.any([count > 0 for count in counts], axis=0)
    return np.where(occurs, np.maximum(total, 1), 0)
