"""The valid part of a data set: images, boxes and relations without faults, and why others are left out.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays, corners
from speaq.data.vg_arrays import Ranges, RawArrays
from speaq.data.vg_dictionary import Dictionary
from speaq.structures import Vocabulary
from speaq.tools.doctor.annotations import Faults, frame_limits, frames_disagree

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
    arrays: RawArrays,
    dictionary: Dictionary,
    sizes: np.ndarray,
    box_scale: int,
    *,
    images_out: Reasons,
    box_faults: Faults,
    relation_faults: Faults,
) -> ValidPart:
    """Leave out what is wrong.

    Args:
        arrays: complete ones (`RawArrays.missing` is empty).
        dictionary: with objects and predicates.
        sizes: (I, 2) height and width.
        box_scale: long side of the frame of the boxes.
        images_out: images to leave out, those with faulty ranges among them.
        box_faults: of `check_boxes`.
        relation_faults: of `check_relations`.
    """
    values, objects, predicates = arrays.values, dictionary.objects, dictionary.predicates
    assert arrays.box_rows is not None and arrays.relation_rows is not None
    assert objects is not None and predicates is not None
    split, boxes, pairs = values["split"], values["boxes"], values["relationships"]
    changes: dict[str, int] = {}
    images = np.flatnonzero(_kept("images", np.arange(len(split)), images_out, changes))

    outside = box_faults["box-outside-image"]
    boxes = _clip(boxes, arrays.box_rows.owners, sizes, box_scale, outside)
    malformed = [box_faults[f"box-{fault}"] for fault in ("not-finite", "negative-size", "empty")]
    box_reasons = {
        "class not in the dictionary": box_faults["label-unknown"],
        "not finite, negative or without area": np.any(malformed, axis=0),
        "nothing inside the image": box_faults["box-off-image"] | (outside & (boxes[:, 2:] <= 0).any(axis=1)),
    }
    box_ranges = arrays.box_rows.ranges.select(images)
    box_rows = box_ranges.rows()
    kept = _kept("boxes", box_rows, box_reasons, changes)
    box_rows, box_ranges = box_rows[kept], Ranges.of_counts(box_ranges.counts(kept))
    _count("boxes clipped to their images", outside[box_rows], changes)

    new_rows = np.full(len(boxes) + 1, -1)  # the last one for a box that is not there
    new_rows[box_rows] = np.arange(len(box_rows))
    misplaced = relation_faults["relation-box-unknown"] | relation_faults["relation-box-of-other-image"]
    new_pairs = new_rows[np.where(misplaced[:, None], -1, pairs)]
    relation_reasons = {
        "box not there, or of another image": misplaced,
        "predicate not in the dictionary": relation_faults["predicate-unknown"],
        "between a box and itself": relation_faults["relation-to-itself"],
        "their box was left out": np.any(new_pairs < 0, axis=1),
    }
    relation_ranges = arrays.relation_rows.ranges.select(images)
    relation_rows = relation_ranges.rows()
    kept = _kept("relations", relation_rows, relation_reasons, changes)
    relation_rows, relation_ranges = relation_rows[kept], Ranges.of_counts(relation_ranges.counts(kept))

    frames = {box_scale: boxes[box_rows]}
    if "other_boxes" in values:
        other, other_scale = values["other_boxes"][box_rows], 1536 - box_scale
        frames[other_scale] = _rescale(frames[box_scale], other, other_scale / box_scale, changes)
    return ValidPart(
        images=images,
        annotations=AnnotationArrays(
            split=split[images],
            box_ranges=box_ranges,
            relation_ranges=relation_ranges,
            boxes=corners(frames[box_scale]),
            labels=objects.indices(values["labels"][box_rows]).astype(np.int32),
            pairs=new_pairs[relation_rows].astype(np.int64),
            predicates=predicates.indices(values["predicates"][relation_rows]).astype(np.int32),
        ),
        boxes=frames,
        attributes=values["attributes"][box_rows] if "attributes" in values else None,
        vocabulary=Vocabulary(objects.names, predicates.names),
        changes=changes,
    )


def _kept(what: str, rows: np.ndarray, reasons: Reasons, changes: dict[str, int]) -> np.ndarray:
    """Which of ``rows`` (bool) are left out for no reason; the others are counted."""
    kept = np.ones(len(rows), dtype=bool)
    for reason, bad in reasons.items():
        _count(f"{what} left out: {reason}", kept & bad[rows], changes)
        kept &= ~bad[rows]
    return kept


def _count(what: str, rows: np.ndarray, changes: dict[str, int]) -> None:
    if rows.any():
        changes[what] = int(rows.sum())


def _clip(
    boxes: np.ndarray, owners: np.ndarray, sizes: np.ndarray, box_scale: int, outside: np.ndarray
) -> np.ndarray:
    """Boxes (N, 4) of which those ``outside`` (N,) bool are cut to their images.

    Whole numbers stay whole and are read back as cut: readers take trunc(cx - w / 2) of integers.
    """
    limits = frame_limits(owners[outside], sizes, box_scale)
    xyxy = corners(boxes[outside])
    if boxes.dtype.kind != "f":
        limits = np.floor(limits)
    low = np.maximum(xyxy[:, :2], 0)
    sides = np.minimum(xyxy[:, 2:], limits) - low
    half = sides / 2 if boxes.dtype.kind == "f" else np.ceil(sides / 2)
    cut = np.concatenate((low + half, sides), axis=1)
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
    _count("boxes of the other frame computed anew", wrong, changes)
    return other
