"""What of a data set can be used: the images, boxes and relations without faults, and why the others go.

I: images, M: boxes, T: relations, as in the files; K: images that stay.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays, Ranges, corners
from speaq.structures import Vocabulary
from speaq.tools.doctor.arrays import RawArrays
from speaq.tools.doctor.boxes import find_box_faults, frame_limits, frames_disagree
from speaq.tools.doctor.dictionary import Dictionary
from speaq.tools.doctor.relations import find_relation_faults

Reasons = dict[str, np.ndarray]
"""Why rows go, in words, and which (rows,) bool; the first reason of a row counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """A sound data set.

    Attributes:
        images: (K,) int64, rows of the images that stay.
        annotations: their boxes and relations, classes from 0.
        stored_boxes: the boxes as the file has them, clipped where need be, (cx, cy, w, h).
        other_boxes: likewise in the other frame, None where the file does not have it.
        attributes: of the boxes, None where the file does not have them.
        vocabulary: the class names.
        steps: what was done, in words, and to how many.
    """

    images: np.ndarray
    annotations: AnnotationArrays
    stored_boxes: np.ndarray
    other_boxes: np.ndarray | None
    attributes: np.ndarray | None
    vocabulary: Vocabulary
    steps: dict[str, int]


def salvage(
    arrays: RawArrays, dictionary: Dictionary, sizes: np.ndarray, images_out: Reasons, box_scale: int
) -> Salvaged:
    """Keep what is sound.

    Args:
        arrays: complete ones (`RawArrays.missing` is empty).
        dictionary: with objects and predicates.
        sizes: (I, 2) height and width.
        images_out: images that go, those with faulty ranges among them.
        box_scale: long side of the frame of ``arrays.boxes``.
    """
    split, boxes, labels, pairs = arrays.split, arrays.boxes, arrays.labels, arrays.pairs
    box_owned, relation_owned = arrays.box_ranges, arrays.relation_ranges
    objects, predicates = dictionary.objects, dictionary.predicates
    assert split is not None and boxes is not None and labels is not None and pairs is not None
    assert box_owned is not None and relation_owned is not None and arrays.predicates is not None
    assert objects is not None and predicates is not None
    steps: dict[str, int] = {}

    images = np.flatnonzero(_kept("images left out", np.ones(len(split), dtype=bool), images_out, steps))

    boxes_of_images = box_owned.ranges.select(images)
    faults = find_box_faults(boxes, labels, box_owned.owners, sizes, objects, box_scale)
    fitted = boxes.copy()
    fitted[faults.outside] = _clipped(
        boxes[faults.outside], frame_limits(box_owned.owners[faults.outside], sizes, box_scale)
    )
    box_kept = _kept(
        "boxes left out",
        _flags(boxes_of_images.rows(), len(boxes)),
        {
            "class not in the dictionary": faults.unknown_label,
            "not finite, negative or without area": faults.not_finite | faults.negative | faults.empty,
            "nothing inside the image": faults.off_image
            | (faults.outside & (fitted[:, 2:] <= 0).any(axis=1)),
        },
        steps,
    )
    _count(steps, "boxes clipped to their images", box_kept & faults.outside)
    box_rows, box_ranges = _compact(boxes_of_images, box_kept)
    new_row = np.full(len(boxes), -1)
    new_row[box_rows] = np.arange(len(box_rows))

    relations_of_images = relation_owned.ranges.select(images)
    relation_faults = find_relation_faults(arrays, predicates)
    dangling = relation_faults.unknown_box | relation_faults.other_image
    targets = new_row[np.where(dangling[:, None], 0, pairs)] if len(boxes) else np.full_like(pairs, -1)
    boxless = np.any(targets < 0, axis=1)
    relation_kept = _kept(
        "relations left out",
        _flags(relations_of_images.rows(), len(pairs)),
        {
            "box not there, or of another image": dangling,
            "predicate not in the dictionary": relation_faults.unknown_predicate,
            "between a box and itself": relation_faults.itself,
            "their box was left out": boxless,
        },
        steps,
    )
    relation_rows, relation_ranges = _compact(relations_of_images, relation_kept)

    stored = fitted[box_rows]
    other = None if arrays.other_boxes is None else arrays.other_boxes[box_rows]
    if other is not None:
        other = _other_frame(stored, other, (1536 - box_scale) / box_scale, steps)
    return Salvaged(
        images=images,
        annotations=AnnotationArrays(
            split=split[images],
            box_ranges=box_ranges,
            relation_ranges=relation_ranges,
            boxes=corners(stored),
            labels=objects.indices(labels[box_rows]).astype(np.int32),
            pairs=targets[relation_rows].astype(np.int64),
            predicates=predicates.indices(arrays.predicates[relation_rows]).astype(np.int32),
        ),
        stored_boxes=stored,
        other_boxes=other,
        attributes=None if arrays.attributes is None else arrays.attributes[box_rows],
        vocabulary=Vocabulary(objects.names, predicates.names),
        steps=steps,
    )


def _kept(what: str, kept: np.ndarray, reasons: Reasons, steps: dict[str, int]) -> np.ndarray:
    """The rows (rows,) bool of ``kept`` that no reason takes away; what goes is counted."""
    for reason, bad in reasons.items():
        _count(steps, f"{what}: {reason}", kept & bad)
        kept = kept & ~bad
    return kept


def _count(steps: dict[str, int], what: str, rows: np.ndarray) -> None:
    if rows.any():
        steps[what] = int(rows.sum())


def _flags(rows: np.ndarray, length: int) -> np.ndarray:
    flags = np.zeros(length, dtype=bool)
    flags[rows] = True
    return flags


def _compact(ranges: Ranges, kept: np.ndarray) -> tuple[np.ndarray, Ranges]:
    """The kept rows of the ranges, image by image, and the ranges when only these are left."""
    rows = ranges.rows()
    kept_before = np.concatenate(([0], np.cumsum(kept[rows])))
    offsets = kept_before[ranges.offsets()]
    return rows[kept[rows]], Ranges(offsets[:-1], np.diff(offsets))


def _clipped(boxes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Boxes (M, 4) cut to 0 .. limits (M, 2); whole numbers stay whole and are read back as cut."""
    xyxy = corners(boxes)
    if boxes.dtype.kind != "f":
        limits = np.floor(limits)
    low, high = np.maximum(xyxy[:, :2], 0), np.minimum(xyxy[:, 2:], limits)
    return _centred(low, high - low, boxes.dtype)


def _centred(low: np.ndarray, sides: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(cx, cy, w, h) boxes from upper left corners and sides; readers take trunc(cx - w / 2) of integers."""
    half = sides / 2 if dtype.kind == "f" else np.ceil(sides / 2)
    boxes = np.concatenate((low + half, sides), axis=1)
    # Unsigned integers have no negative side: such a box goes, as does one without area.
    return boxes.clip(min=0).astype(dtype) if dtype.kind == "u" else boxes.astype(dtype)


def _other_frame(stored: np.ndarray, other: np.ndarray, ratio: float, steps: dict[str, int]) -> np.ndarray:
    """The boxes of the other frame, computed anew where they disagree."""
    wrong = frames_disagree(stored, other, ratio)
    if wrong.any():
        other = other.copy()
        scaled = stored[wrong].astype(np.float64) * ratio
        other[wrong] = (scaled if other.dtype.kind == "f" else np.floor(scaled)).astype(other.dtype)
        _count(steps, "boxes of the other frame computed anew", wrong)
    return other
