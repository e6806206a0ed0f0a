"""Counts over one split: classes, triplets, background pairs.

I: images, M: boxes, T: relations, K: distinct triplets, C: object classes, R: predicate classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speaq.data.visual_genome import VisualGenome, boxes_overlap
from speaq.errors import SpeaqError

_LARGEST_COUNT = 2.0**50  # beyond, sums of counts would be inexact
_PAIRS_AT_ONCE = 2_000_000  # bounds the memory of `background_pairs` (some 100 MB)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStatistics:
    """How often the classes and triplets of one split occur. Duplicate relations count each time.

    Attributes:
        num_images: I.
        object_counts: (C,) int64, boxes of every class.
        predicate_counts: (R,) int64, relations of every class.
        triplets: (K, 3) int64, the distinct (subject class, object class, predicate), in ascending order.
        triplet_counts: (K,) int64, relations of every triplet.
        background_counts: (C, C) int64, what `background_pairs` counts.
    """

    num_images: int
    object_counts: np.ndarray
    predicate_counts: np.ndarray
    triplets: np.ndarray
    triplet_counts: np.ndarray
    background_counts: np.ndarray

    @classmethod
    def of(cls, genome: VisualGenome) -> "DatasetStatistics":
        """Count a split."""
        num_objects, num_predicates = len(genome.vocabulary.objects), len(genome.vocabulary.predicates)
        first_box = np.repeat(genome.box_offsets[:-1], np.diff(genome.relation_offsets))
        subjects = genome.labels[first_box + genome.relations[:, 0]].astype(np.int64)
        objects = genome.labels[first_box + genome.relations[:, 1]].astype(np.int64)
        shape = (num_objects, num_objects, num_predicates)
        keys = np.ravel_multi_index((subjects, objects, genome.relations[:, 2].astype(np.int64)), shape)
        distinct, counts = np.unique(keys, return_counts=True)
        return cls(
            num_images=len(genome),
            object_counts=np.bincount(genome.labels, minlength=num_objects),
            predicate_counts=np.bincount(genome.relations[:, 2], minlength=num_predicates),
            triplets=np.stack(np.unravel_index(distinct, shape), axis=1).astype(np.int64),
            triplet_counts=counts,
            background_counts=background_pairs(genome),
        )

    def cooccurrence(self) -> np.ndarray:
        """Relations (C, C, R) int64 by subject class, object class and predicate: `triplet_counts`, dense."""
        num_objects = len(self.object_counts)
        dense = np.zeros((num_objects, num_objects, len(self.predicate_counts)), dtype=np.int64)
        dense[tuple(self.triplets.T)] = self.triplet_counts
        return dense


def background_pairs(genome: VisualGenome) -> np.ndarray:
    """Ordered pairs of boxes (C, C) int64, by subject and object class, that a relation could join.

    These are, image by image, the pairs of distinct boxes that overlap, related ones included, or all pairs
    where none overlaps.
    """
    num_objects = len(genome.vocabulary.objects)
    counts = np.zeros(num_objects * num_objects, dtype=np.int64)
    num_boxes = np.diff(genome.box_offsets)
    for n in np.unique(num_boxes):  # images of equally many boxes stack into one array
        first_boxes = genome.box_offsets[:-1][num_boxes == n]
        for chunk in np.array_split(first_boxes, -(-len(first_boxes) * n * n // _PAIRS_AT_ONCE)):
            rows = chunk[:, None] + np.arange(n)
            boxes, labels = genome.boxes[rows], genome.labels[rows].astype(np.int64)
            pairs = boxes_overlap(boxes[:, :, None], boxes[:, None, :])
            distinct = ~np.eye(n, dtype=bool)
            pairs &= distinct
            pairs |= distinct & ~pairs.any(axis=(1, 2), keepdims=True)
            keys = labels[:, :, None] * num_objects + labels[:, None, :]
            counts += np.bincount(keys[pairs], minlength=len(counts))
    return counts.reshape(num_objects, num_objects)


def check_counts(counts: np.ndarray, origin: str) -> np.ndarray:
    """The counts (R,) of predicates, if class weights and query groups can be made from them.

    Args:
        counts: how often each predicate occurs.
        origin: what was counted, for the message.

    Raises:
        SpeaqError: there are none, one is negative or not finite, or all are 0.
    """
    problem = ""
    if not len(counts):
        problem = "there are no predicates"
    elif not np.isfinite(counts).all() or (counts < 0).any():
        bad = int(np.flatnonzero(~(np.isfinite(counts) & (counts >= 0)))[0])
        problem = f"predicate {bad} occurs {counts[bad]} times, and expected is a number from 0"
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
        passes: how often each data set is walked through, in a unit that all share.

    Returns:
        (R,) int64, while the data set that is walked least often (but not never) is walked once. A predicate
        that occurs at all counts at least 1.
    """
    factors = np.asarray(passes, dtype=np.float64) / min(number for number in passes if number > 0)
    total = np.sum([factor * count for factor, count in zip(factors, counts, strict=True)], axis=0)
    total *= min(1.0, _LARGEST_COUNT / max(total.max(initial=0), 1))
    occurs = np.any([count > 0 for count in counts], axis=0)
    return np.where(occurs, np.maximum(np.rint(total), 1), 0).astype(np.int64)
