"""Counts over a data set, split by split, and what they say.

I: images, T: relations, K: distinct triplets, C: object classes, R: predicate classes.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays
from speaq.structures import Vocabulary
from speaq.tools.doctor.duplicates import SPLITS
from speaq.tools.doctor.findings import Example, Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """How often things occur in one split, as the files have it: no filter of the configuration acts.

    Attributes:
        boxes_per_image, relations_per_image: (I,) int64.
        objects: (C,) int64, boxes of every class.
        predicates: (R,) int64, relations of every class.
        triplets: (K, 3) int64, the distinct (subject class, object class, predicate).
        triplet_counts: (K,) int64, relations of every triplet.
    """

    boxes_per_image: np.ndarray
    relations_per_image: np.ndarray
    objects: np.ndarray
    predicates: np.ndarray
    triplets: np.ndarray
    triplet_counts: np.ndarray

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.boxes_per_image)

    @property
    def num_boxes(self) -> int:
        """Boxes of all images."""
        return int(self.boxes_per_image.sum())

    @property
    def num_relations(self) -> int:
        """T."""
        return int(self.relations_per_image.sum())


def count_splits(arrays: AnnotationArrays, vocabulary: Vocabulary) -> dict[str, SplitCounts]:
    """Count train, val and test, as far as the data set has them."""
    shape = (len(vocabulary.objects), len(vocabulary.objects), len(vocabulary.predicates))
    counts = {}
    for number, name in enumerate(SPLITS):
        images = np.flatnonzero(arrays.split == number)
        if not len(images):
            continue
        boxes, relations = arrays.box_ranges.select(images), arrays.relation_ranges.select(images)
        rows = relations.rows()
        subjects, objects = arrays.labels[arrays.pairs[rows]].T.astype(np.int64)
        predicates = arrays.predicates[rows].astype(np.int64)
        keys = np.ravel_multi_index((subjects, objects, predicates), shape)
        distinct, times = np.unique(keys, return_counts=True)
        counts[name] = SplitCounts(
            boxes_per_image=boxes.count,
            relations_per_image=relations.count,
            objects=np.bincount(arrays.labels[boxes.rows()], minlength=shape[0]),
            predicates=np.bincount(predicates, minlength=shape[2]),
            triplets=np.stack(np.unravel_index(distinct, shape), axis=1).astype(np.int64),
            triplet_counts=times,
        )
    return counts


def check_counts(counts: dict[str, SplitCounts], vocabulary: Vocabulary, findings: Findings) -> None:
    """Note classes that never occur in training, and test triplets that training does not show."""
    train, test = counts.get("train"), counts.get("test")
    if train is None:
        return
    for kind, names, times in (
        ("object", vocabulary.objects, train.objects),
        ("predicate", vocabulary.predicates, train.predicates),
    ):
        findings.add(
            "note",
            f"{kind}-unused",
            f"No training image shows this {kind} class.",
            "A model cannot learn it.",
            examples=[Example(None, names[index], 0) for index in np.flatnonzero(times == 0).tolist()],
        )
    if test is not None:
        new = zero_shot(train, test)
        relations = int(test.triplet_counts[new].sum())
        findings.add(
            "note",
            "zero-shot",
            f"Triplets of the test images that no training image shows ({relations} relations): zero-shot "
            "recall is over these.",
            "",
            examples=[
                Example(None, triplet_name(test.triplets[row], vocabulary), int(test.triplet_counts[row]))
                for row in np.flatnonzero(new)[: findings.limit].tolist()
            ],
            count=int(new.sum()),
        )


def zero_shot(train: SplitCounts, test: SplitCounts) -> np.ndarray:
    """Which of the test split's distinct triplets (K,) bool the training split does not have."""
    shape = (len(train.objects), len(train.objects), len(train.predicates))
    seen = np.ravel_multi_index(tuple(train.triplets.T), shape)
    return ~np.isin(np.ravel_multi_index(tuple(test.triplets.T), shape), seen)


def triplet_name(triplet: np.ndarray, vocabulary: Vocabulary) -> str:
    """``subject predicate object`` in words."""
    subject, object_, predicate = triplet.tolist()
    return f"{vocabulary.objects[subject]} {vocabulary.predicates[predicate]} {vocabulary.objects[object_]}"
