"""The valid part of a data set: images, boxes and relations without faults, and why others are left out.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays, corners
from speaq.data.vg_arrays import CONFIDENCES, SOURCES, RawArrays
from speaq.data.vg_dictionary import Dictionary
from speaq.data.vg_ranges import Ranges
from speaq.structures import Vocabulary
from speaq.tools.data_check.annotations import Faults, frames_disagree

Reasons = dict[str, np.ndarray]
"""Why rows are left out, in words, and which (rows,) bool; only the first reason of a row is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidPart:
    """What is left of a data set without what is wrong.

    Attributes:
        images: the rows of the images in the file.
        annotations: their boxes and relations, classes from 0.
        boxes: the boxes, (cx, cy, w, h), clipped where need be, by the long side of the frame; of the other
            frame too where the file has it.
        attributes: of the boxes, None where the file does not have them.
        vocabulary: the class names.
        changes: what was left out or changed, in words, and how many times.
    """

    images: np.ndarray
    annotations: AnnotationArrays
    boxes: dict[int, np.ndarray]
    attributes: np.ndarray | None
    vocabulary: Vocabulary
    changes: dict[str, int]


def find_valid_part(
    arrays: RawArrays, limits: np.ndarray, dictionary: Dictionary, images_out: Reasons, faults: Faults
) -> ValidPart:
    """Leave out ``images_out``, those with faulty ranges among them, and the rows with ``faults``.

    The arrays are complete (`RawArrays.missing` is empty); ``limits`` (N, 2) are those of `frame_limits`.
    """
    values, objects, predicates = arrays.values, dictionary.objects, dictionary.predicates
    assert objects is not None and predicates is not None
    split, pairs, changes = values["split"], values["relationships"], dict[str, int]()
    images, _ = _select("images", Ranges.of_counts(np.array([len(split)])), images_out, changes)

    outside = faults["box-outside-image"]
    boxes = _clip(values["boxes"], limits, outside)
    malformed = faults["box-not-finite"] | faults["box-negative-size"] | faults["box-empty"]
    box_reasons = {
        "class not in the dictionary": faults["label-unknown"],
        "not finite, negative or without area": malformed,
        "outside the image": faults["box-off-image"] | (outside & (boxes[:, 2:] <= 0).any(axis=1)),
    }
    box_rows, box_ranges = _select("boxes", arrays.boxes.ranges.select(images), box_reasons, changes)
    _count("boxes clipped to their images", outside[box_rows], changes)

    new_rows = np.full(len(boxes) + 1, -1)  # the last one for a box that is not there
    new_rows[box_rows] = np.arange(len(box_rows))
    misplaced = faults["relation-box-unknown"] | faults["relation-box-of-other-image"]
    new_pairs = new_rows[np.where(misplaced[:, None], -1, pairs)]
    relation_reasons = {
        "box missing or of another image": misplaced,
        "predicate not in the dictionary": faults["predicate-unknown"],
        "between a box and itself": faults["relation-to-itself"],
        "confidence not in 0..1": faults.get("relation-confidence", np.zeros(len(pairs), bool)),
        "box left out": np.any(new_pairs < 0, axis=1),
    }
    relation_rows, relation_ranges = _select(
        "relations", arrays.relations.ranges.select(images), relation_reasons, changes
    )
    frames = {arrays.box_scale: boxes[box_rows]}
    if "other_boxes" in values:
        other = values["other_boxes"][box_rows]
        frames[1536 - arrays.box_scale] = _rescale(boxes[box_rows], other, arrays.other_ratio, changes)
    return ValidPart(
        images=images,
        annotations=AnnotationArrays(
            split=split[images],
            box_ranges=box_ranges,
            relation_ranges=relation_ranges,
            boxes=corners(boxes[box_rows]),
            labels=objects.indices(values["labels"][box_rows]).astype(np.int32),
            pairs=new_pairs[relation_rows],
            predicates=predicates.indices(values["predicates"][relation_rows]).astype(np.int32),
            confidences=values[CONFIDENCES][relation_rows, 0] if CONFIDENCES in values else None,
            sources=values[SOURCES][relation_rows, 0] if SOURCES in values else None,
        ),
        boxes=frames,
        attributes=values["attributes"][box_rows] if "attributes" in values else None,
        vocabulary=Vocabulary(objects.names, predicates.names),
        changes=changes,
    )


def _select(
    what: str, ranges: Ranges, reasons: Reasons, changes: dict[str, int]
) -> tuple[np.ndarray, Ranges]:
    """The rows of these ranges that are left out for no reason, and their new ranges."""
    rows = ranges.rows()
    kept = np.ones(len(rows), dtype=bool)
    for reason, bad in reasons.items():
        _count(f"{what} left out: {reason}", kept & bad[rows], changes)
        kept &= ~bad[rows]
    return rows[kept], Ranges.of_counts(ranges.counts(kept))


def _count(what: str, rows: np.ndarray, changes: dict[str, int]) -> None:
    if rows.any():
        changes[what] = int(rows.sum())


def _clip(boxes: np.ndarray, limits: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of which those ``outside`` (N,) bool are cut to their images.

    Whole numbers stay whole and are read back as cut: readers take trunc(cx - w / 2) of integers.
    """
    is_float = boxes.dtype.kind == "f"
    xyxy = corners(boxes[outside])
    low = np.maximum(xyxy[:, :2], 0)
    sides = np.minimum(xyxy[:, 2:], limits[outside] if is_float else np.floor(limits[outside])) - low
    cut = np.hstack((low + (sides / 2 if is_float else np.ceil(sides / 2)), sides))
    if boxes.dtype.kind == "u":  # without a negative side: such a box is left out later, as one without area
        cut = cut.clip(min=0)
    boxes = boxes.copy()
    boxes[outside] = cut.astype(boxes.dtype)
    return boxes


def _rescale(boxes: np.ndarray, other: np.ndarray, ratio: float, changes: dict[str, int]) -> np.ndarray:
    """The boxes of the other frame, computed anew where they disagree."""
    wrong = frames_disagree(boxes, other, ratio)
    scaled = boxes[wrong].astype(np.float64) * ratio
    other = other.copy()
    other[wrong] = (scaled if other.dtype.kind == "f" else np.floor(scaled)).astype(other.dtype)
    _count("boxes of the other frame recomputed", wrong, changes)
    return other
