"""Counts over the images of a split: classes, triplets, background pairs.

Shape letters: see `speaq.structures`, with N and M over all images that are counted; I: these images,
K: distinct triplets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.visual_genome import VisualGenome, boxes_overlap
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

_LARGEST_COUNT = 2.0**50  # beyond, sums of counts would be inexact
_PAIRS_AT_ONCE = 2_000_000  # bounds the memory of `background_pairs` (some 100 MB)


@dataclass(frozen=True, kw_only=True)
class ClassCounts:
    """How often the classes and triplets occur in some images. Duplicate relations count each time.

    Attributes:
        boxes_per_image, relations_per_image: (I,) int64.
        object_counts: (C,) int64, boxes of every class.
        predicate_counts: (R,) int64, relations of every class.
        triplets: (K, 3) int64, the distinct (subject class, object class, predicate), in ascending order.
        triplet_counts: (K,) int64, relations of every triplet.
    """

    boxes_per_image: np.ndarray
    relations_per_image: np.ndarray
    object_counts: np.ndarray
    predicate_counts: np.ndarray
    triplets: np.ndarray
    triplet_counts: np.ndarray

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.boxes_per_image)

    @property
    def num_boxes(self) -> int:
        """N."""
        return int(self.boxes_per_image.sum())

    @property
    def num_relations(self) -> int:
        """M."""
        return int(self.relations_per_image.sum())

    @property
    def num_without_boxes(self) -> int:
        """Images without boxes."""
        return int((self.boxes_per_image == 0).sum())

    @property
    def num_without_relations(self) -> int:
        """Images without relations."""
        return int((self.relations_per_image == 0).sum())

    def cooccurrence(self) -> np.ndarray:
        """Relations (C, C, R) int64 by subject class, object class and predicate: `triplet_counts`, dense."""
        num_objects = len(self.object_counts)
        dense = np.zeros((num_objects, num_objects, len(self.predicate_counts)), dtype=np.int64)
        dense[tuple(self.triplets.T)] = self.triplet_counts
        return dense


@dataclass(frozen=True, kw_only=True)
class DatasetStatistics(ClassCounts):
    """The counts of one split as it is trained or evaluated on.

    Attributes:
        dataset: the split.
    """

    dataset: VisualGenome

    @classmethod
    def of(cls, dataset: VisualGenome) -> "DatasetStatistics":
        """Count a split."""
        num_relations = np.diff(dataset.relation_offsets)
        first_box = np.repeat(dataset.box_offsets[:-1], num_relations)[:, None]
        counts = _count(
            dataset.vocabulary,
            boxes_per_image=np.diff(dataset.box_offsets),
            relations_per_image=num_relations,
            labels=dataset.labels,
            pair_labels=dataset.labels[first_box + dataset.relations[:, :2]],
            predicates=dataset.relations[:, 2],
        )
        return cls(**vars(counts), dataset=dataset)

    @cached_property
    def background_counts(self) -> np.ndarray:
        """(C, C) int64, see `background_pairs`."""
        return background_pairs(self.dataset)


def count_annotations(
    annotations: AnnotationArrays, vocabulary: Vocabulary, images: np.ndarray
) -> ClassCounts:
    """Count over some images of a file, as the file has them: no filter of the configuration is applied.

    Args:
        annotations: of the whole file.
        vocabulary: of the file.
        images: (I,) rows of the images.
    """
    boxes = annotations.box_ranges.select(images)
    relations = annotations.relation_ranges.select(images)
    rows = relations.rows()
    return _count(
        vocabulary,
        boxes_per_image=boxes.count,
        relations_per_image=relations.count,
        labels=annotations.labels[boxes.rows()],
        pair_labels=annotations.labels[annotations.pairs[rows]],
        predicates=annotations.predicates[rows],
    )


def _count(
    vocabulary: Vocabulary,
    *,
    boxes_per_image: np.ndarray,
    relations_per_image: np.ndarray,
    labels: np.ndarray,
    pair_labels: np.ndarray,
    predicates: np.ndarray,
) -> ClassCounts:
    """Count labels (N,), the labels (M, 2) of subjects and objects, and predicates (M,)."""
    shape = (len(vocabulary.objects), len(vocabulary.objects), len(vocabulary.predicates))
    keys = np.ravel_multi_index((*pair_labels.astype(np.int64).T, predicates.astype(np.int64)), shape)
    distinct, triplet_counts = np.unique(keys, return_counts=True)
    return ClassCounts(
        boxes_per_image=boxes_per_image,
        relations_per_image=relations_per_image,
        object_counts=np.bincount(labels, minlength=shape[0]),
        predicate_counts=np.bincount(predicates, minlength=shape[2]),
        triplets=np.stack(np.unravel_index(distinct, shape), axis=1).astype(np.int64),
        triplet_counts=triplet_counts,
    )


def background_pairs(dataset: VisualGenome) -> np.ndarray:
    """Ordered pairs of boxes (C, C) int64, by subject and object class, that a relation could join.

    These are, image by image, the pairs of distinct boxes that overlap, related ones included, or all pairs
    where none overlaps.
    """
    num_objects = len(dataset.vocabulary.objects)
    counts = np.zeros(num_objects * num_objects, dtype=np.int64)
    num_boxes = np.diff(dataset.box_offsets)
    for n in np.unique(num_boxes):  # images of equally many boxes stack into one array
        first_boxes = dataset.box_offsets[:-1][num_boxes == n]
        for chunk in np.array_split(first_boxes, -(-len(first_boxes) * n * n // _PAIRS_AT_ONCE)):
            rows = chunk[:, None] + np.arange(n)
            boxes, labels = dataset.boxes[rows], dataset.labels[rows].astype(np.int64)
            pairs = boxes_overlap(boxes[:, :, None], boxes[:, None, :])
            distinct = ~np.eye(n, dtype=bool)
            pairs &= distinct
            pairs |= distinct & ~pairs.any(axis=(1, 2), keepdims=True)
            keys = labels[:, :, None] * num_objects + labels[:, None, :]
            counts += np.bincount(keys[pairs], minlength=len(counts))
    return counts.reshape(num_objects, num_objects)


def check_predicate_counts(counts: np.ndarray, origin: str) -> np.ndarray:
    """The counts (R,) of predicates, if class weights and query groups can be made from them.

    Args:
        counts: how often each predicate occurs.
        origin: name of what was counted, for the message.

    Raises:
        SpeaqError: there are none, one is negative or not finite, or all are 0.
    """
    problem = ""
    if not len(counts):
        problem = "there are no predicates"
    elif not np.isfinite(counts).all() or (counts < 0).any():
        bad = int(np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))[0])
        problem = f"predicate {bad} occurs {counts[bad]} times, expected a non-negative number"
    elif not counts.any():
        problem = f"none of the {len(counts)} predicates occurs"
    if problem:
        raise SpeaqError(
            f"the predicate statistics of {origin} cannot be used: {problem}. Check its relations and its "
            "FILTER_ settings, or choose other statistics with DATASETS.MULTI_DATASET.STATISTICS."
        )
    return counts


def mixed_counts(counts: Sequence[np.ndarray], passes: Sequence[float]) -> np.ndarray:
    """How often predicates are seen where several data sets are sampled unequally.

    Args:
        counts: for each data set, (R,) relations of every predicate.
        passes: how many epochs each data set is used, in a unit that all share.

    Returns:
        (R,) int64, where the data set that is used least often (but not never) is used once. A predicate
        that occurs at all counts at least 1.
    """
    factors = np.asarray(passes, dtype=np.float64) / min(number for number in passes if number > 0)
    total = np.sum([factor * count for factor, count in zip(factors, counts, strict=True)], axis=0)
    total *= min(1.0, _LARGEST_COUNT / max(total.max(initial=0), 1))
    occurs = np.any([count > 0 for count in counts], axis=0)
    return np.where(occurs, np.maximum(np.rint(total), 1), 0).astype(np.int64)
