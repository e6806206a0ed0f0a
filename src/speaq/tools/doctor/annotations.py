"""Checks of boxes and relations, row by row.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

import numpy as np

from speaq.data.findings import Findings
from speaq.data.vg_annotations import corners, malformed_boxes, outside_image
from speaq.data.vg_arrays import RawArrays
from speaq.data.vg_dictionary import ClassNames, Dictionary

# Units of the frame. Centres and sides of published boxes are whole numbers, so a corner may be off by this.
ROUNDING = 2.0

Faults = dict[str, np.ndarray]
"""Which rows (rows,) bool have a fault, by the code of the finding."""


def find_box_faults(
    boxes: np.ndarray, owners: np.ndarray | None, sizes: np.ndarray | None, box_scale: int
) -> Faults:
    """The faults of (cx, cy, w, h) boxes (N, 4); no box has two of them.

    Args:
        boxes: in a frame in which the long side of the image is ``box_scale``.
        owners: (N,) image of each box, -1 for none; None if not known.
        sizes: (I, 2) height and width, 0 for unknown; None where no size is known.
        box_scale: see ``boxes``.
    """
    faults = malformed_boxes(boxes)
    malformed = faults["box-not-finite"] | faults["box-negative-size"]
    faults["box-empty"] = ~malformed & (boxes[:, 2:] == 0).any(axis=1)
    off_image = outside = np.zeros(len(boxes), dtype=bool)
    if owners is not None and sizes is not None:
        limits = frame_limits(owners, sizes, box_scale)
        comparable = ~(malformed | faults["box-empty"]) & np.isfinite(limits).all(axis=1)
        xyxy = corners(np.where(faults["box-not-finite"][:, None], 0, boxes))
        low, high = xyxy[:, :2], xyxy[:, 2:]
        off_image = comparable & ((high <= 0) | (low >= limits)).any(axis=1)
        outside = ((low < -ROUNDING) | (high > limits + ROUNDING)).any(axis=1) & comparable & ~off_image
    return faults | {"box-off-image": off_image, "box-outside-image": outside}


def frame_limits(owners: np.ndarray, sizes: np.ndarray, box_scale: int) -> np.ndarray:
    """Width and height (N, 2) float32 of each box's image in the frame; NaN where they are not known."""
    limits = np.full((len(sizes) + 1, 2), np.nan, dtype=np.float32)  # the last row is for owner -1
    known = (sizes > 0).all(axis=1)
    long_side = sizes[known].max(axis=1, keepdims=True)
    limits[:-1][known] = sizes[known][:, ::-1] * (box_scale / long_side)
    return limits[owners]


def frames_disagree(boxes: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    """Which boxes (N,) bool have another place in the other frame, of ``ratio`` times the long side."""
    scaled = boxes.astype(np.float32) * min(ratio, 1.0)  # compared in the smaller frame
    differences = np.abs(scaled - other.astype(np.float32) * min(1 / ratio, 1.0))
    return np.any(~(differences <= ROUNDING), axis=1)


def unknown_numbers(numbers: np.ndarray, classes: ClassNames | None) -> np.ndarray:
    """Which of the class numbers stand for no class."""
    return numbers < 1 if classes is None else classes.indices(numbers) < 0


def find_misplaced_relations(arrays: RawArrays, pairs: np.ndarray) -> Faults:
    """Which relations with these box rows (M, 2) name a box that does not exist, or one of another image."""
    unknown = np.any(pairs < 0, axis=1)
    if arrays.num_boxes is not None:
        unknown |= (pairs >= arrays.num_boxes).any(axis=1)
    other_image = np.zeros(len(pairs), dtype=bool)
    if arrays.box_rows is not None and arrays.relation_rows is not None:
        owners = arrays.relation_rows.owners
        # Where the boxes of the image itself are not known, that is a mistake of the ranges.
        known = ~unknown & (owners >= 0) & ~arrays.box_rows.faulty[owners]
        other_image[known] = outside_image(pairs[known], owners[known], arrays.box_rows.ranges)
    return {"relation-box-unknown": unknown, "relation-box-of-other-image": other_image}


def check_boxes(
    arrays: RawArrays, sizes: np.ndarray | None, dictionary: Dictionary, box_scale: int, findings: Findings
) -> Faults:
    """Report what is wrong with boxes, labels and attributes, and return the errors and boxes to clip.

    ``sizes`` and ``box_scale`` are as in `find_box_faults`.
    """
    values, owners = arrays.values, arrays.box_owners
    faults: Faults = {}
    if "boxes" not in values:
        return faults
    boxes = values["boxes"]
    key, other_key, other_scale = f"boxes_{box_scale}", f"boxes_{1536 - box_scale}", 1536 - box_scale
    faults = find_box_faults(boxes, owners, sizes, box_scale)
    for code, bad in faults.items():
        findings.add_rows(code, key, bad, boxes, owners=owners, box_scale=box_scale, tolerance=ROUNDING)
    if "labels" in values:
        faults["label-unknown"] = unknown_numbers(values["labels"], dictionary.objects)
        findings.add_rows("label-unknown", "labels", faults["label-unknown"], values["labels"], owners=owners)
    if "other_boxes" in values:
        other = values["other_boxes"]
        apart = frames_disagree(boxes, other, other_scale / box_scale) & ~faults["box-not-finite"]
        findings.add_rows(
            "boxes-disagree", other_key, apart, other, owners=owners, key=key, other_key=other_key
        )
    if "attributes" in values and dictionary.attributes is not None:
        attributes = values["attributes"]
        unknown = (attributes != 0) & unknown_numbers(attributes, dictionary.attributes)
        findings.add_rows("attribute-unknown", "attributes", unknown.any(axis=1), attributes, owners=owners)
    return faults


def check_relations(arrays: RawArrays, predicates: ClassNames | None, findings: Findings) -> Faults:
    """Report what is wrong with relations, and return it; ``predicates`` is None if they are not known."""
    values, owners = arrays.values, arrays.relation_owners
    faults: Faults = {}
    if "relationships" not in values:
        return faults
    pairs, numbers = values["relationships"], values.get("predicates")
    faults = find_misplaced_relations(arrays, pairs)
    known = ~faults["relation-box-unknown"]
    faults["relation-to-itself"] = known & (pairs[:, 0] == pairs[:, 1])
    if numbers is not None:
        faults["relation-duplicate"] = known & _repeated(pairs, numbers)
    for code, bad in faults.items():
        findings.add_rows(code, "relationships", bad, pairs, owners=owners)
    if numbers is not None:
        faults["predicate-unknown"] = unknown_numbers(numbers, predicates)
        findings.add_rows(
            "predicate-unknown", "predicates", faults["predicate-unknown"], numbers, owners=owners
        )
    return faults


def _repeated(pairs: np.ndarray, predicates: np.ndarray) -> np.ndarray:
    """Which relations (M,) bool are the same as an earlier one."""
    order = np.lexsort((predicates, pairs[:, 1], pairs[:, 0]))  # stable: equal relations stay in order
    rows = np.column_stack((pairs, predicates))[order]
    repeated = np.zeros(len(pairs), dtype=bool)
    repeated[order[1:]] = (rows[1:] == rows[:-1]).all(axis=1)
    return repeated
