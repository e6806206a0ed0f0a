"""Counts of classes and triplets by split, and what is notable of them."""

import numpy as np

from speaq.data.findings import Example, Findings
from speaq.data.statistics import ClassCounts, count_annotations
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.visual_genome import SPLITS
from speaq.structures import Vocabulary


def count_splits(annotations: AnnotationArrays, vocabulary: Vocabulary) -> dict[str, ClassCounts]:
    """Count train, val and test, as far as the data set has them."""
    rows = {name: np.flatnonzero(annotations.split == number) for number, name in enumerate(SPLITS)}
    return {
        name: count_annotations(annotations, vocabulary, images)
        for name, images in rows.items()
        if len(images)
    }


def check_class_counts(counts: dict[str, ClassCounts], vocabulary: Vocabulary, findings: Findings) -> None:
    """Report classes that never occur in training, and test triplets that training does not have."""
    train, test = counts.get("train"), counts.get("test")
    if train is None:
        return
    for code, names, numbers in (
        ("object-unused", vocabulary.objects, train.object_counts),
        ("predicate-unused", vocabulary.predicates, train.predicate_counts),
    ):
        unused = [Example(None, names[index], 0) for index in np.flatnonzero(numbers == 0).tolist()]
        findings.add(code, unused)
    if test is not None:
        shape = (len(train.object_counts), len(train.object_counts), len(train.predicate_counts))
        seen, tested = (np.ravel_multi_index(tuple(part.triplets.T), shape) for part in (train, test))
        rows = np.flatnonzero(~np.isin(tested, seen))
        examples = [
            Example(None, triplet_name(test.triplets[row], vocabulary), int(test.triplet_counts[row]))
            for row in rows[: findings.limit].tolist()
        ]
        num_relations = int(test.triplet_counts[rows].sum())
        findings.add("zero-shot", examples, count=len(rows), num_relations=num_relations)


def triplet_name(triplet: np.ndarray, vocabulary: Vocabulary) -> str:
    """``subject predicate object`` in words."""
    subject, object_, predicate = triplet.tolist()
    return f"{vocabulary.objects[subject]} {vocabulary.predicates[predicate]} {vocabulary.objects[object_]}"
