"""The annotations of a sound Visual Genome HDF5 file, as training reads them.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
Class numbers count from 1 in the file and from 0 in `AnnotationArrays`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speaq.data.findings import FirstError
from speaq.data.vg_arrays import CONFIDENCES, SOURCES, read_arrays
from speaq.data.vg_ranges import Ranges
from speaq.structures import Vocabulary


@dataclass(frozen=True, kw_only=True)
class AnnotationArrays:
    """All annotations of an HDF5 file.

    Attributes:
        split: (I,) 0 train, 1 validation, 2 test.
        box_ranges, relation_ranges: which boxes and relations each of the I images has.
        boxes: (N, 4) float32, xyxy in the frame of the file, in which the long side of an image is BOX_SCALE.
        labels: (N,) int32, object class from 0.
        pairs: (M, 2) int64, rows of ``boxes`` (subject, object), both of the same image.
        predicates: (M,) int32, predicate class from 0.
        confidences: (M,) float32 in 0..1, how certain each relation is; None where the file has none.
        sources: (M,) str, who or what made each relation, empty where not known; None where the file has
            none.
    """

    split: np.ndarray
    box_ranges: Ranges
    relation_ranges: Ranges
    boxes: np.ndarray
    labels: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray
    confidences: np.ndarray | None = None
    sources: np.ndarray | None = None


def read_annotations(
    path: Path, *, box_scale: int, vocabulary: Vocabulary, images: slice | None = None
) -> AnnotationArrays:
    """Read the HDF5 annotations with the boxes of a frame: ``boxes_<box_scale>``, 1024 or 512.

    With ``images`` only these rows are read, with their boxes and relations.

    Raises:
        SpeaqError: the file cannot be read, an array is missing or has another shape, or a number is out of
            range.
    """
    # Ranges that overlap can be read: the images share their boxes or relations.
    findings = FirstError(path, accepted=("box-range-overlap", "relation-range-overlap"))
    arrays = read_arrays(path, box_scale, findings, unused=False, images=images)
    assert arrays is not None
    values, box_ranges, relation_ranges = arrays.values, arrays.boxes.ranges, arrays.relations.ranges
    boxes, labels, pairs, predicates = (
        values[name] for name in ("boxes", "labels", "relationships", "predicates")
    )
    for code, bad in malformed_boxes(boxes).items():
        arrays.report(code, "boxes", bad, findings, box_scale=box_scale)
    unknown = (labels < 1) | (labels > len(vocabulary.objects))
    arrays.report("label-unknown", "labels", unknown, findings)
    unknown = (predicates < 1) | (predicates > len(vocabulary.predicates))
    arrays.report("predicate-unknown", "predicates", unknown, findings)
    confidences = values.get(CONFIDENCES)
    if confidences is not None:
        arrays.report("relation-confidence", CONFIDENCES, invalid_confidences(confidences), findings)
    unknown = ((pairs < 0) | (pairs >= arrays.num_boxes)).any(axis=1)
    pairs = pairs - arrays.starts["boxes"]
    rows = relation_ranges.rows()
    outside = np.zeros(len(pairs), dtype=bool)
    outside[rows[outside_image(pairs[rows], relation_ranges.images(), box_ranges)]] = True
    arrays.report("relation-box-unknown", "relationships", outside & unknown, findings)
    arrays.report("relation-box-of-other-image", "relationships", outside, findings)
    return AnnotationArrays(
        split=values["split"],
        box_ranges=box_ranges,
        relation_ranges=relation_ranges,
        boxes=corners(boxes),
        labels=(labels - 1).astype(np.int32),
        pairs=pairs,
        predicates=(predicates - 1).astype(np.int32),
        confidences=None if confidences is None else confidences[:, 0].astype(np.float32),
        sources=values[SOURCES][:, 0] if SOURCES in values else None,
    )


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corners (N, 4) float32, xyxy, of (cx, cy, w, h) boxes (N, 4).

    Integer boxes, as published, have x1 = trunc(cx - w / 2), towards zero, and x2 = x1 + w; float boxes are
    not rounded.
    """
    if boxes.dtype.kind == "f":
        low = boxes[:, :2] - boxes[:, 2:] * 0.5
    else:
        boxes = boxes.astype(np.int64)  # unsigned integers would wrap around
        low = np.trunc(boxes[:, :2] - boxes[:, 2:] * 0.5)
    return np.concatenate((low, low + boxes[:, 2:]), axis=1).astype(np.float32)


def malformed_boxes(boxes: np.ndarray) -> dict[str, np.ndarray]:
    """Which of the (cx, cy, w, h) boxes (N, 4) are no boxes at all, by the code of the finding; (N,) bool."""
    finite = np.ones(len(boxes), dtype=bool)
    if boxes.dtype.kind == "f":
        finite = np.all(np.isfinite(boxes), axis=1)
    negative = np.any(boxes[:, 2:] < 0, axis=1)
    return {"box-not-finite": ~finite, "box-negative-size": finite & negative}


def invalid_confidences(confidences: np.ndarray) -> np.ndarray:
    """Which confidences (M, 1) are not numbers in 0..1; (M,) bool."""
    return ~((confidences[:, 0] >= 0) & (confidences[:, 0] <= 1))


def outside_image(pairs: np.ndarray, images: np.ndarray, box_ranges: Ranges) -> np.ndarray:
    """Which relations (M,) bool, given as rows of boxes (M, 2), name a box that their image (M,) lacks."""
    low = box_ranges.first[images][:, None]
    high = low + box_ranges.count[images][:, None]
    return np.any((pairs < low) | (pairs >= high), axis=1)
