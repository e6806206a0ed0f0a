"""Checks of boxes and relations, row by row.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

import numpy as np
import pandas as pd

from speaq.data.findings import Findings
from speaq.data.vg_annotations import corners, invalid_confidences, malformed_boxes, outside_image
from speaq.data.vg_arrays import CONFIDENCES, RawArrays
from speaq.data.vg_dictionary import ClassNames, Dictionary

# Units of the frame. Centres and sides of published boxes are whole numbers, so a corner may be off by this.
ROUNDING = 2.0

Faults = dict[str, np.ndarray]
"""Which rows (rows,) bool have a fault, by the code of the finding."""


def frame_limits(owners: np.ndarray, sizes: np.ndarray | None, box_scale: int) -> np.ndarray:
    """Width and height (N, 2) float32 of each box's image, its long side ``box_scale``; NaN if not known.

    ``owners`` (N,) is the image of each box, -1 for none; ``sizes`` (I, 2) height and width, 0 for unknown.
    """
    if sizes is None:
        return np.full((len(owners), 2), np.nan, dtype=np.float32)
    limits = np.full((len(sizes) + 1, 2), np.nan, dtype=np.float32)  # the last row is for owner -1
    known = (sizes > 0).all(axis=1)
    long_side = sizes[known].max(axis=1, keepdims=True)
    limits[:-1][known] = sizes[known][:, ::-1] * (box_scale / long_side)
    return limits[owners]


def find_box_faults(boxes: np.ndarray, limits: np.ndarray) -> Faults:
    """The faults of (cx, cy, w, h) boxes (N, 4) in images of these `frame_limits`; no box has two of them."""
    faults = malformed_boxes(boxes)
    malformed = faults["box-not-finite"] | faults["box-negative-size"]
    faults["box-empty"] = ~malformed & (boxes[:, 2:] == 0).any(axis=1)
    comparable = ~(malformed | faults["box-empty"]) & np.isfinite(limits).all(axis=1)
    xyxy = corners(np.where(faults["box-not-finite"][:, None], 0, boxes))
    low, high = xyxy[:, :2], xyxy[:, 2:]
    off_image = comparable & ((high <= 0) | (low >= limits)).any(axis=1)
    outside = ((low < -ROUNDING) | (high > limits + ROUNDING)).any(axis=1) & comparable & ~off_image
    return faults | {"box-off-image": off_image, "box-outside-image": outside}


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
    owners, other_image = arrays.relations.owners, np.zeros(len(pairs), dtype=bool)
    # Where the boxes of the image itself are not known, that is a mistake of the ranges.
    known = ~unknown & (owners >= 0) & ~np.append(arrays.boxes.faulty, True)[owners]
    other_image[known] = outside_image(pairs[known], owners[known], arrays.boxes.ranges)
    return {"relation-box-unknown": unknown, "relation-box-of-other-image": other_image}


def check_boxes(arrays: RawArrays, limits: np.ndarray, dictionary: Dictionary, findings: Findings) -> Faults:
    """Report what is wrong with boxes, labels and attributes; the faults include boxes that need clipping."""
    values, box_scale, faults = arrays.values, arrays.box_scale, Faults()
    if "boxes" not in values:
        return faults
    boxes = values["boxes"]
    faults = find_box_faults(boxes, limits)
    for code, bad in faults.items():
        arrays.report(code, "boxes", bad, findings, box_scale=box_scale, tolerance=ROUNDING)
    if "labels" in values:
        faults["label-unknown"] = unknown_numbers(values["labels"], dictionary.objects)
        arrays.report("label-unknown", "labels", faults["label-unknown"], findings)
    if "other_boxes" in values:
        keys = {"key": arrays.key("boxes"), "other_key": arrays.key("other_boxes")}
        apart = frames_disagree(boxes, values["other_boxes"], arrays.other_ratio)
        arrays.report("boxes-disagree", "other_boxes", apart & ~faults["box-not-finite"], findings, **keys)
    if "attributes" in values and dictionary.attributes is not None:
        unknown = unknown_numbers(values["attributes"], dictionary.attributes) & (values["attributes"] != 0)
        arrays.report("attribute-unknown", "attributes", unknown.any(axis=1), findings)
    return faults


def check_relations(arrays: RawArrays, predicates: ClassNames | None, findings: Findings) -> Faults:
    """Report what is wrong with relations; ``predicates`` is None if they are not known."""
    if "relationships" not in arrays.values:
        return {}
    pairs, numbers = arrays.values["relationships"], arrays.values.get("predicates")
    faults = find_misplaced_relations(arrays, pairs)
    known = ~faults["relation-box-unknown"]
    faults["relation-to-itself"] = known & (pairs[:, 0] == pairs[:, 1])
    if numbers is not None:
        rows = pd.DataFrame(np.column_stack((pairs, numbers)))
        faults["relation-duplicate"] = known & rows.duplicated().to_numpy()
    for code, bad in faults.items():
        arrays.report(code, "relationships", bad, findings)
    if numbers is not None:
        faults["predicate-unknown"] = unknown_numbers(numbers, predicates)
        arrays.report("predicate-unknown", "predicates", faults["predicate-unknown"], findings)
    if CONFIDENCES in arrays.values:
        faults["relation-confidence"] = invalid_confidences(arrays.values[CONFIDENCES])
        arrays.report("relation-confidence", CONFIDENCES, faults["relation-confidence"], findings)
    return faults
