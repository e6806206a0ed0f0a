"""Checks for mistakes that run through a whole array, such as boxes of another format.

Repairing these row by row would give wrong data, so the data set is not repaired.
Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

import numpy as np

from speaq.data.findings import Findings
from speaq.data.vg_annotations import corners
from speaq.data.vg_arrays import RawArrays
from speaq.data.vg_dictionary import ClassNames, Dictionary
from speaq.tools.doctor.annotations import (
    ROUNDING,
    find_box_faults,
    find_misplaced_relations,
    frame_limits,
    frames_disagree,
    unknown_numbers,
)

# A share above _MIN_SHARE of the rows wrong, and at least _MIN_ROWS, is taken as systematic. Another format
# explains it if with that format at most _MAX_SHARE_LEFT of the rows are wrong.
_MIN_SHARE, _MIN_ROWS, _MAX_SHARE_LEFT = 0.3, 20, 0.02
_EXCHANGED = "(cy, cx, h, w)"

Explanation = tuple[str, np.ndarray] | None
"""What the array has instead, in words, and which of its rows are wrong; None for no systematic mistake."""


def check_systematic(
    arrays: RawArrays, sizes: np.ndarray | None, dictionary: Dictionary, box_scale: int, findings: Findings
) -> list[str]:
    """Report arrays that are wrong as a whole.

    Args:
        arrays: as they are in the file.
        sizes: (I, 2) height and width, 0 for unknown; None where no size is known.
        dictionary: the classes as far as they could be read.
        box_scale: long side of the frame of ``arrays.boxes``.
        findings: to report to.

    Returns:
        The reasons, in words, why the data set is not repaired.
    """
    labels = _explain_numbers("labels", arrays.labels, dictionary.objects)
    predicates = _explain_numbers("predicates", arrays.predicates, dictionary.predicates)
    boxes, relations = _explain_boxes(arrays, sizes, box_scale), _explain_relations(arrays)
    obstacles = []
    for name, key, values, owners, explanation in (
        ("boxes", f"boxes_{box_scale}", arrays.boxes, arrays.box_owners, boxes),
        ("labels", "labels", arrays.labels, arrays.box_owners, labels),
        ("predicates", "predicates", arrays.predicates, arrays.relation_owners, predicates),
        ("relationships", "relationships", arrays.pairs, arrays.relation_owners, relations),
    ):
        if explanation is not None and values is not None:
            text, bad = explanation
            code = f"systematic-{name}"
            findings.add_rows(code, key, bad, values, owners=owners, fields={"explanation": text})
            obstacles.append(f"{text} ({code}); correct the file first")
    return obstacles


def _is_systematic(bad: np.ndarray) -> bool:
    return bool(bad.sum() >= _MIN_ROWS and bad.mean() > _MIN_SHARE)


def _explains(left: np.ndarray, bad: np.ndarray) -> bool:
    """Whether with another format so few rows are wrong, of those that were, that it is the right one."""
    return bool(left.mean() <= _MAX_SHARE_LEFT and left.sum() < bad.sum() / 10)


def _explain_boxes(arrays: RawArrays, sizes: np.ndarray | None, box_scale: int) -> Explanation:
    boxes, other, other_scale = arrays.boxes, arrays.other_boxes, 1536 - box_scale
    owners = arrays.box_owners
    if boxes is None:
        return None

    def misplaced(values: np.ndarray, scale: int) -> np.ndarray:
        return np.any(list(find_box_faults(values, owners, sizes, scale).values()), axis=0)

    key = f"boxes_{box_scale}"
    bad = misplaced(boxes, box_scale)
    if other is None:
        if box_scale == 1024 and _fill_half(boxes, owners, sizes):
            text = f"'{key}' ends at half of every image, as in a frame of {other_scale}"
            return text, np.full(len(boxes), True)
    elif _is_systematic(apart := frames_disagree(boxes, other, other_scale / box_scale)):
        frames = [(boxes, other, box_scale), (other, boxes, other_scale)]
        # The frame with more misplaced boxes is tried first: some formats explain the difference both ways.
        if misplaced(other, other_scale).sum() > bad.sum():
            frames.reverse()
        return _explain_frames(boxes, other, frames, box_scale), apart
    if bad.sum() < _MIN_ROWS:
        return None
    for name, read in _other_formats(boxes, box_scale).items():
        # Smaller boxes always fit better: that is no evidence unless most boxes do not fit.
        if name.startswith("boxes") and not _is_systematic(bad):
            continue
        if _explains(misplaced(read, box_scale), bad):
            # With both sides of the boxes and of the images exchanged, the boxes fit as well.
            doubt = ", or the image list has width and height exchanged" if name == _EXCHANGED else ""
            return f"'{key}' looks like {name}, not (cx, cy, w, h) in a frame of {box_scale}{doubt}", bad
    return (f"'{key}' does not fit the sizes of the images", bad) if _is_systematic(bad) else None


def _explain_frames(
    boxes: np.ndarray, other: np.ndarray, frames: list[tuple[np.ndarray, np.ndarray, int]], box_scale: int
) -> str:
    """Why the boxes of the two frames disagree.

    Args:
        boxes: (N, 4) in the frame that is read.
        other: (N, 4) in the other frame.
        frames: for both frames, in the order to try, its boxes, those of the other one, and its long side.
        box_scale: long side of the frame that is read.
    """
    keys = f"'boxes_{box_scale}' and 'boxes_{1536 - box_scale}'"
    agreeing = ~frames_disagree(other, boxes, (1536 - box_scale) / box_scale)
    if agreeing.mean() >= 1 - _MAX_SHARE_LEFT:
        return f"{keys} are exchanged"
    for values, against, scale in frames:
        for name, read in _other_formats(values, scale).items():
            if frames_disagree(read, against, (1536 - scale) / scale).mean() <= _MAX_SHARE_LEFT:
                return f"'boxes_{scale}' looks like {name}, not (cx, cy, w, h) in a frame of {scale}"
    return f"{keys} do not show the same boxes"


def _other_formats(boxes: np.ndarray, box_scale: int) -> dict[str, np.ndarray]:
    """Boxes (N, 4) as (cx, cy, w, h) if the file has another format, by the name of that format."""
    boxes = boxes.astype(np.float64)
    first, second = boxes[:, :2], boxes[:, 2:]
    other_scale = 1536 - box_scale
    return {
        "(x1, y1, x2, y2)": np.hstack(((first + second) / 2, second - first)),
        "(x1, y1, w, h)": np.hstack((first + second / 2, second)),
        _EXCHANGED: boxes[:, [1, 0, 3, 2]],
        f"boxes in a frame of {other_scale}": boxes * (box_scale / other_scale),
    }


def _fill_half(boxes: np.ndarray, owners: np.ndarray | None, sizes: np.ndarray | None) -> bool:
    """Whether no box reaches beyond the half of its image in both directions."""
    if owners is None or sizes is None:
        return False
    limits = frame_limits(owners, sizes, 1024)
    known = np.isfinite(limits).all(axis=1) & np.isfinite(boxes).all(axis=1)
    high = corners(boxes[known])[:, 2:]
    return bool(known.sum() >= _MIN_ROWS and (high <= limits[known] / 2 + ROUNDING).all())


def _explain_numbers(name: str, numbers: np.ndarray | None, classes: ClassNames | None) -> Explanation:
    if numbers is None or classes is None or len(numbers) < _MIN_ROWS:
        return None
    low, high, count = int(classes.numbers[0]), int(classes.numbers[-1]), len(classes.numbers)
    least, most = int(numbers.min()), int(numbers.max())
    every = np.full(len(numbers), True)
    if (low, high) == (1, count) and (least, most) == (0, count - 1):
        return f"'{name}' counts from 0 ({least} to {most}), the dictionary from 1", every
    if (low, high) == (0, count - 1) and least > 0 and most == count:
        return f"the dictionary counts from 0, '{name}' from 1 (up to {most})", every
    unknown = unknown_numbers(numbers, classes)
    if not _is_systematic(unknown):
        return None
    return f"'{name}' has {least} to {most}, the dictionary {low} to {high}", unknown


def _explain_relations(arrays: RawArrays) -> Explanation:
    pairs, boxes, relations = arrays.pairs, arrays.box_rows, arrays.relation_rows
    if pairs is None:
        return None

    def misplaced(values: np.ndarray) -> np.ndarray:
        return np.any(list(find_misplaced_relations(arrays, values).values()), axis=0)

    bad = misplaced(pairs)
    if bad.sum() < _MIN_ROWS:
        return None
    if boxes is not None and relations is not None:
        first = boxes.ranges.first[relations.owners][:, None]
        for text, read in (
            ("box numbers count in each image from 0, not over the file", pairs + first),
            ("box numbers count in each image from 1, not over the file from 0", pairs + first - 1),
            ("box numbers count from 1, not from 0", pairs - 1),
        ):
            if _explains(misplaced(read), bad):
                return text, bad
    return ("most relations name boxes of other images, or none", bad) if _is_systematic(bad) else None
