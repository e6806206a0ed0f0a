"""Changes the classes of a set: keeps frequent ones, merges some, or takes those of a given dictionary."""

from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet


def merge_classes(data: AnnotatedSet, objects: dict[str, str], predicates: dict[str, str]) -> AnnotatedSet:
    """Replace names of classes; those that then have the same name become one."""

    def merged(names: tuple[str, ...], aliases: dict[str, str]) -> tuple[tuple[str, ...], np.ndarray]:
        renamed = [aliases.get(name, name) for name in names]
        places = {name: place for place, name in enumerate(dict.fromkeys(renamed))}
        return tuple(places), np.array([places[name] for name in renamed])

    vocabulary = data.vocabulary
    object_names, object_places = merged(vocabulary.objects, objects)
    predicate_names, predicate_places = merged(vocabulary.predicates, predicates)
    changed = _renumber(data, Vocabulary(object_names, predicate_names), object_places, predicate_places)
    return changed.noting(
        "object classes merged into others", len(vocabulary.objects) - len(object_names)
    ).noting("predicates merged into others", len(vocabulary.predicates) - len(predicate_names))


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

    def places(names: tuple[str, ...], target: tuple[str, ...]) -> np.ndarray:
        numbers = {name: place for place, name in enumerate(target)}
        return np.array([numbers.get(name, -1) for name in names])

    return _renumber(
        data,
        vocabulary,
        places(data.vocabulary.objects, vocabulary.objects),
        places(data.vocabulary.predicates, vocabulary.predicates),
    )


def _renumber(
    data: AnnotatedSet, vocabulary: Vocabulary, object_places: np.ndarray, predicate_places: np.ndarray
) -> AnnotatedSet:
    """The set with its classes at these places (C,) and (R,) of a vocabulary, -1 for those to be left out."""
    labels, relations = object_places[data.labels], data.relations.copy()
    relations[:, 2] = predicate_places[relations[:, 2]]
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
