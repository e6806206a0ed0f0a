"""Changes the classes of a set: keeps frequent ones, merges some, or takes those of a given dictionary."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet


def merge_classes(data: AnnotatedSet, objects: dict[str, str], predicates: dict[str, str]) -> AnnotatedSet:
    """Replace names of classes; those that then have the same name become one."""
    former = data.vocabulary
    names = [objects.get(name, name) for name in former.objects]
    verbs = [predicates.get(name, name) for name in former.predicates]
    merged = Vocabulary(tuple(dict.fromkeys(names)), tuple(dict.fromkeys(verbs)))
    changed = _renumber(data, names, verbs, merged)
    changed = changed.noting("object classes merged into others", len(names) - len(merged.objects))
    return changed.noting("predicates merged into others", len(verbs) - len(merged.predicates))


def keep_frequent(
    data: AnnotatedSet,
    *,
    num_objects: int | None = None,
    num_predicates: int | None = None,
    min_object_count: int = 0,
    min_predicate_count: int = 0,
) -> AnnotatedSet:
    """Keep frequent classes, in their order; boxes and relations of the others are left out.

    Object classes are chosen first. Predicates are then counted in the relations that remain. Equally
    frequent classes are taken in their order.

    Args:
        data: the set; all splits count.
        num_objects: object classes to keep, None for all.
        num_predicates: predicates to keep, None for all.
        min_object_count: boxes that an object class needs.
        min_predicate_count: relations that a predicate needs.

    Raises:
        SpeaqError: nothing is left.
    """
    vocabulary = data.vocabulary
    counts = np.bincount(data.labels, minlength=len(vocabulary.objects))
    kept = _frequent(counts, num_objects, min_object_count, "object class")
    objects = tuple(vocabulary.objects[i] for i in kept)
    data = force_classes(data, Vocabulary(objects, vocabulary.predicates))
    counts = np.bincount(data.relations[:, 2], minlength=len(vocabulary.predicates))
    kept = _frequent(counts, num_predicates, min_predicate_count, "predicate")
    predicates = tuple(vocabulary.predicates[i] for i in kept)
    return force_classes(data, Vocabulary(objects, predicates))


def force_classes(data: AnnotatedSet, vocabulary: Vocabulary) -> AnnotatedSet:
    """Number the classes by name as a given vocabulary does; boxes and relations of others are left out."""
    return _renumber(data, data.vocabulary.objects, data.vocabulary.predicates, vocabulary)


def _renumber(
    data: AnnotatedSet, objects: Sequence[str], predicates: Sequence[str], vocabulary: Vocabulary
) -> AnnotatedSet:
    """The set, whose classes have these names by number, with the numbers of a vocabulary."""

    def places(names: Sequence[str], target: Sequence[str]) -> np.ndarray:
        numbers = {name: place for place, name in enumerate(target)}
        return np.array([numbers.get(name, -1) for name in names])

    labels, relations = places(objects, vocabulary.objects)[data.labels], data.relations.copy()
    relations[:, 2] = places(predicates, vocabulary.predicates)[relations[:, 2]]
    data = replace(data, vocabulary=vocabulary, labels=labels, relations=relations)
    data = data.keep_relations(relations[:, 2] >= 0, "relations of other predicates")
    return data.keep_boxes(labels >= 0, "boxes of other classes")


def _frequent(counts: np.ndarray, most: int | None, least: int, what: str) -> np.ndarray:
    """The places of the most frequent classes, ascending."""
    order = np.argsort(-counts, kind="stable")[:most]
    kept = np.sort(order[counts[order] >= least])
    if not len(kept):
        raise SpeaqError(f"no {what} is left: the most frequent one occurs {counts.max(initial=0)} times.")
    return kept
