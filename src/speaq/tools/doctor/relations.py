"""What is wrong with relations.

T: relations, M: boxes.
"""

from dataclasses import dataclass

import numpy as np

from speaq.tools.doctor.arrays import RawArrays
from speaq.tools.doctor.dictionary import ClassNames
from speaq.tools.doctor.findings import Findings, Severity

_ROWS = "Box numbers count over the whole file, from 0. --fix leaves these relations out."


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationFaults:
    """Which of T relations have which fault; every array is (T,) bool.

    Attributes:
        unknown_box: it names a row that the boxes do not have.
        other_image: it names a box that its image does not own.
        itself: subject and object are one box.
        unknown_predicate: the predicate is not in the dictionary.
        repeated: an earlier relation of the same pair has the same predicate.
    """

    unknown_box: np.ndarray
    other_image: np.ndarray
    itself: np.ndarray
    unknown_predicate: np.ndarray
    repeated: np.ndarray


def find_relation_faults(arrays: RawArrays, predicates: ClassNames | None) -> RelationFaults:
    """Look at every relation.

    Args:
        arrays: with ``pairs``.
        predicates: the classes, None if not known.
    """
    pairs, numbers = arrays.pairs, arrays.predicates
    assert pairs is not None
    none = np.zeros(len(pairs), dtype=bool)
    unknown_box = np.any(pairs < 0, axis=1)
    if arrays.num_boxes is not None:
        unknown_box |= (pairs >= arrays.num_boxes).any(axis=1)
    other_image = none
    if arrays.box_ranges is not None and arrays.relation_ranges is not None:
        owners = arrays.relation_ranges.owners
        # Where the boxes of the image itself cannot be told, that is a mistake of the ranges.
        told = ~unknown_box & (owners >= 0) & ~arrays.box_ranges.faulty[owners]
        other_image = none.copy()
        other_image[told] = (arrays.box_ranges.owners[pairs[told]] != owners[told, None]).any(axis=1)
    unknown_predicate = repeated = none
    if numbers is not None:
        unknown_predicate = numbers < 1 if predicates is None else predicates.indices(numbers) < 0
        repeated = _repeated(pairs, numbers)
    return RelationFaults(
        unknown_box=unknown_box,
        other_image=other_image,
        itself=~unknown_box & (pairs[:, 0] == pairs[:, 1]),
        unknown_predicate=unknown_predicate,
        repeated=repeated & ~unknown_box,
    )


def _repeated(pairs: np.ndarray, predicates: np.ndarray) -> np.ndarray:
    """Which relations (T,) bool are the same as an earlier one."""
    order = np.lexsort((predicates, pairs[:, 1], pairs[:, 0]))  # stable: equal relations stay in order
    rows = np.column_stack((pairs, predicates))[order]
    repeated = np.zeros(len(pairs), dtype=bool)
    repeated[order[1:]] = (rows[1:] == rows[:-1]).all(axis=1)
    return repeated


def check_relations(arrays: RawArrays, faults: RelationFaults, findings: Findings) -> None:
    """Note what `find_relation_faults` found."""
    owners = arrays.relation_ranges and arrays.relation_ranges.owners
    assert arrays.pairs is not None
    kinds: tuple[tuple[Severity, str, np.ndarray, str, str], ...] = (
        (
            "error",
            "relation-box-unknown",
            faults.unknown_box,
            "A relation names a box that is not there.",
            _ROWS,
        ),
        (
            "error",
            "relation-box-of-other-image",
            faults.other_image,
            "A relation names a box of another image.",
            _ROWS,
        ),
        (
            "warning",
            "relation-to-itself",
            faults.itself,
            "A relation is between a box and itself.",
            "Readers keep it, and a model cannot learn from it. --fix leaves these relations out.",
        ),
        (
            "note",
            "relation-duplicate",
            faults.repeated,
            "A relation comes more than once (same boxes, same predicate), as in Visual Genome.",
            "Training draws one predicate per pair (FILTER_DUPLICATE_RELATIONS); evaluation counts each.",
        ),
    )
    for severity, code, bad, what, advice in kinds:
        findings.add_rows(
            severity, code, what, advice, key="relationships", bad=bad, values=arrays.pairs, owners=owners
        )
    if arrays.predicates is not None:
        findings.add_rows(
            "error",
            "predicate-unknown",
            "A predicate is not in the dictionary.",
            "Use the dictionary that belongs to the annotations; numbers count from 1. --fix leaves these "
            "relations out.",
            key="predicates",
            bad=faults.unknown_predicate,
            values=arrays.predicates,
            owners=owners,
        )
