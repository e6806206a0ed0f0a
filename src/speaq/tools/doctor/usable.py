"""The usable part of a data set: the images, boxes and relations without faults, and why others are left out.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays, corners
from speaq.data.vg_arrays import Ranges, RawArrays
from speaq.data.vg_dictionary import Dictionary
from speaq.structures import Vocabulary
from speaq.tools.doctor.annotations import (
    find_box_faults,
    find_misplaced_relations,
    frame_limits,
    frames_disagree,
)

Reasons = dict[str, np.ndarray]
"""Why rows are left out, in words, and which (rows,) bool; only the first reason of a row is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsablePart:
    """A sound data set.

    Attributes:
        images: (usable images,) int64, their rows in the file.
        annotations: their boxes and relations, classes from 0.
        stored_boxes: the boxes as the file has them, clipped where need be, (cx, cy, w, h).
        other_boxes: likewise in the other frame, None where the file does not have it.
        attributes: of the boxes, None where the file does not have them.
        vocabulary: the class names.
        steps: what was left out or changed, in words, and how many times.
    """

    images: np.ndarray
    annotations: AnnotationArrays
    stored_boxes: np.ndarray
    other_boxes: np.ndarray | None
    attributes: np.ndarray | None
    vocabulary: Vocabulary
    steps: dict[str, int]


def usable_part(
    arrays: RawArrays, dictionary: Dictionary, sizes: np.ndarray, images_out: Reasons, box_scale: int
) -> UsablePart:
    """Keep what is sound.

    Args:
        arrays: complete ones (`RawArrays.missing` is empty).
        dictionary: with objects and predicates.
        sizes: (I, 2) height and width.
        images_out: images to leave out, those with faulty ranges among them.
        box_scale: long side of the frame of ``arrays.boxes``.
    """
    split, boxes, labels, pairs = arrays.split, arrays.boxes, arrays.labels, arrays.pairs
    objects, predicates = dictionary.objects, dictionary.predicates
    assert split is not None and boxes is not None and labels is not None and pairs is not None
    assert arrays.box_rows is not None and arrays.relation_rows is not None
    assert objects is not None and predicates is not None and arrays.predicates is not None
    steps: dict[str, int] = {}
    box_classes, relation_classes = objects.indices(labels), predicates.indices(arrays.predicates)

    images = np.flatnonzero(_kept("images left out", np.ones(len(split), dtype=bool), images_out, steps))
    boxes_of_images = arrays.box_rows.ranges.select(images)
    stored, box_kept = _usable_boxes(
        arrays, boxes, box_classes < 0, _flags(boxes_of_images.rows(), len(boxes)), sizes, box_scale, steps
    )
    box_rows, box_ranges = _compact(boxes_of_images, box_kept)
    new_rows = np.full(len(boxes), -1)
    new_rows[box_rows] = np.arange(len(box_rows))

    relations_of_images = arrays.relation_rows.ranges.select(images)
    misplaced = np.any(list(find_misplaced_relations(arrays, pairs).values()), axis=0)
    new_pairs = new_rows[np.where(misplaced[:, None], 0, pairs)] if len(boxes) else np.full_like(pairs, -1)
    relation_kept = _kept(
        "relations left out",
        _flags(relations_of_images.rows(), len(pairs)),
        {
            "box not there, or of another image": misplaced,
            "predicate not in the dictionary": relation_classes < 0,
            "between a box and itself": pairs[:, 0] == pairs[:, 1],
            "their box was left out": np.any(new_pairs < 0, axis=1),
        },
        steps,
    )
    relation_rows, relation_ranges = _compact(relations_of_images, relation_kept)

    stored = stored[box_rows]
    other = None if arrays.other_boxes is None else arrays.other_boxes[box_rows]
    if other is not None:
        other = _other_frame(stored, other, (1536 - box_scale) / box_scale, steps)
    return UsablePart(
        images=images,
        annotations=AnnotationArrays(
            split=split[images],
            box_ranges=box_ranges,
            relation_ranges=relation_ranges,
            boxes=corners(stored),
            labels=box_classes[box_rows].astype(np.int32),
            pairs=new_pairs[relation_rows].astype(np.int64),
            predicates=relation_classes[relation_rows].astype(np.int32),
        ),
        stored_boxes=stored,
        other_boxes=other,
        attributes=None if arrays.attributes is None else arrays.attributes[box_rows],
        vocabulary=Vocabulary(objects.names, predicates.names),
        steps=steps,
    )


def _usable_boxes(
    arrays: RawArrays,
    boxes: np.ndarray,
    unknown_label: np.ndarray,
    kept: np.ndarray,
    sizes: np.ndarray,
    box_scale: int,
    steps: dict[str, int],
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes (N, 4), clipped to their images where need be, and which (N,) bool of ``kept`` are usable."""
    owners = arrays.box_owners
    assert owners is not None
    faults = find_box_faults(boxes, owners, sizes, box_scale)
    outside = faults["box-outside-image"]
    stored = boxes.copy()
    stored[outside] = _clipped(boxes[outside], frame_limits(owners[outside], sizes, box_scale))
    malformed = faults["box-not-finite"] | faults["box-negative-size"] | faults["box-empty"]
    vanished = outside & (stored[:, 2:] <= 0).any(axis=1)
    kept = _kept(
        "boxes left out",
        kept,
        {
            "class not in the dictionary": unknown_label,
            "not finite, negative or without area": malformed,
            "nothing inside the image": faults["box-off-image"] | vanished,
        },
        steps,
    )
    _count(steps, "boxes clipped to their images", kept & outside)
    return stored, kept


def _kept(what: str, kept: np.ndarray, reasons: Reasons, steps: dict[str, int]) -> np.ndarray:
    """The rows (rows,) bool of ``kept`` that are left out for no reason; the others are counted."""
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
    """Boxes (N, 4) cut to 0 .. limits (N, 2); whole numbers stay whole and are read back as cut."""
    xyxy = corners(boxes)
    if boxes.dtype.kind != "f":
        limits = np.floor(limits)
    low, high = np.maximum(xyxy[:, :2], 0), np.minimum(xyxy[:, 2:], limits)
    return _centred(low, high - low, boxes.dtype)


def _centred(low: np.ndarray, sides: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """(cx, cy, w, h) boxes from upper left corners and sides; readers take trunc(cx - w / 2) of integers."""
    half = sides / 2 if dtype.kind == "f" else np.ceil(sides / 2)
    boxes = np.concatenate((low + half, sides), axis=1)
    # Unsigned integers have no negative side: such a box is left out later, as one without area.
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
