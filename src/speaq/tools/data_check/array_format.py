"""Checks for arrays that are wrong as a whole, such as boxes of another format.

Repairing these row by row would give wrong data, so the data set is not repaired.
Shape letters: see `speaq.structures`, with N and M counted over the whole file.
"""

import numpy as np

from speaq.data.findings import Findings
from speaq.data.vg_annotations import corners
from speaq.data.vg_arrays import RawArrays
from speaq.data.vg_dictionary import ClassNames, Dictionary
from speaq.tools.data_check.annotations import (
    ROUNDING,
    find_box_faults,
    find_misplaced_relations,
    frames_disagree,
    unknown_numbers,
)

# A share above _MIN_SHARE of the rows wrong, and at least _MIN_ROWS, is taken as systematic. Another format
# explains it if with that format at most _MAX_SHARE_LEFT of the rows are wrong.
_MIN_SHARE, _MIN_ROWS, _MAX_SHARE_LEFT = 0.3, 20, 0.02
_EXCHANGED = "(cy, cx, h, w)"

Explanation = tuple[str, np.ndarray] | None
"""What the array has instead, in words, and which of its rows are wrong; None for no systematic mistake."""


def check_array_format(
    arrays: RawArrays, limits: np.ndarray, dictionary: Dictionary, findings: Findings
) -> list[str]:
    """Report arrays that are wrong as a whole, and return in words why the data set is not repaired.

    ``limits`` are those of `frame_limits`.
    """
    obstacles = []
    for name, explanation in (
        ("boxes", _explain_boxes(arrays, limits)),
        ("labels", _explain_numbers("labels", arrays, dictionary.objects)),
        ("predicates", _explain_numbers("predicates", arrays, dictionary.predicates)),
        ("relationships", _explain_relations(arrays)),
    ):
        if explanation is not None:
            text, bad = explanation
            arrays.report(f"systematic-{name}", name, bad, findings, explanation=text)
            obstacles.append(f"{text} (systematic-{name}); correct the file first")
    return obstacles


def _is_systematic(bad: np.ndarray) -> bool:
    return bool(bad.sum() >= _MIN_ROWS and bad.mean() > _MIN_SHARE)


def _explains(left: np.ndarray, bad: np.ndarray) -> bool:
    """Whether with another format so few rows are wrong, of those that were, that it is the right one."""
    return bool(left.mean() <= _MAX_SHARE_LEFT and left.sum() < bad.sum() / 10)


def _explain_boxes(arrays: RawArrays, limits: np.ndarray) -> Explanation:
    boxes, other = arrays.values.get("boxes"), arrays.values.get("other_boxes")
    if boxes is None:
        return None
    scale, ratio = arrays.box_scale, arrays.other_ratio
    bad = _misplaced(boxes, limits)
    if len(boxes) >= _MIN_ROWS and np.nanmax(boxes) <= 1:
        return f"'boxes_{scale}' has values in 0..1, not in a frame of {scale}", np.full(len(boxes), True)
    if other is None:
        if scale == 1024 and _fill_half(boxes, limits):
            text = "'boxes_1024' ends at half of every image, as boxes in a frame of 512"
            return text, np.full(len(boxes), True)
    elif _is_systematic(apart := frames_disagree(boxes, other, ratio)):
        frames = {scale: boxes, 1536 - scale: other}
        # The frame with more misplaced boxes is tried first: some formats explain the difference both ways.
        if _misplaced(other, limits * ratio).sum() > bad.sum():
            frames = dict(reversed(frames.items()))
        return _explain_frames(frames), apart
    if bad.sum() < _MIN_ROWS:
        return None
    for name, read in _other_formats(boxes, scale).items():
        # Smaller boxes always fit better: that is no evidence unless most boxes do not fit.
        if name.startswith("boxes") and not _is_systematic(bad):
            continue
        if _explains(_misplaced(read, limits), bad):
            # With both sides of the boxes and of the images exchanged, the boxes fit as well.
            doubt = ", or the image list has width and height exchanged" if name == _EXCHANGED else ""
            return f"{_looks_like(name, scale)}{doubt}", bad
    return (f"'boxes_{scale}' does not fit the sizes of the images", bad) if _is_systematic(bad) else None


def _misplaced(boxes: np.ndarray, limits: np.ndarray) -> np.ndarray:
    return np.any(list(find_box_faults(boxes, limits).values()), axis=0)


def _looks_like(name: str, scale: int) -> str:
    return f"'boxes_{scale}' looks like {name}, not (cx, cy, w, h) in a frame of {scale}"


def _explain_frames(frames: dict[int, np.ndarray]) -> str:
    """Why the boxes of the two frames, given by their long sides in the order to try, disagree."""
    first, second = frames
    if frames_disagree(frames[second], frames[first], second / first).mean() <= _MAX_SHARE_LEFT:
        return "'boxes_1024' and 'boxes_512' are exchanged"
    for scale, against in ((first, second), (second, first)):
        for name, read in _other_formats(frames[scale], scale).items():
            if frames_disagree(read, frames[against], against / scale).mean() <= _MAX_SHARE_LEFT:
                return _looks_like(name, scale)
    return "'boxes_1024' and 'boxes_512' are different boxes"


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


def _fill_half(boxes: np.ndarray, limits: np.ndarray) -> bool:
    """Whether no box reaches beyond the half of its image in both directions."""
    known = np.isfinite(limits).all(axis=1) & np.isfinite(boxes).all(axis=1)
    high = corners(boxes[known])[:, 2:]
    return bool(known.sum() >= _MIN_ROWS and (high <= limits[known] / 2 + ROUNDING).all())


def _explain_numbers(name: str, arrays: RawArrays, classes: ClassNames | None) -> Explanation:
    numbers = arrays.values.get(name)
    if numbers is None or classes is None or len(numbers) < _MIN_ROWS:
        return None
    low, high, count = int(classes.numbers[0]), int(classes.numbers[-1]), len(classes.numbers)
    least, most = int(numbers.min()), int(numbers.max())
    every = np.full(len(numbers), True)
    if (low, high) == (1, count) and least == 0 and most < count:
        # Some 0 among the numbers may be single mistakes; taking them for such would shift all other classes.
        doubt = "" if most == count - 1 else "probably "
        return f"'{name}' {doubt}starts at 0 ({least} to {most}), the dictionary at 1", every
    if (low, high) == (0, count - 1) and least > 0 and most == count:
        return f"the dictionary starts at 0, '{name}' at 1 (up to {most})", every
    unknown = unknown_numbers(numbers, classes)
    if not _is_systematic(unknown):
        return None
    return f"'{name}' has {least} to {most}, the dictionary {low} to {high}", unknown


def _explain_relations(arrays: RawArrays) -> Explanation:
    pairs = arrays.values.get("relationships")
    if pairs is None:
        return None

    def misplaced(values: np.ndarray) -> np.ndarray:
        return np.any(list(find_misplaced_relations(arrays, values).values()), axis=0)

    bad = misplaced(pairs)
    if bad.sum() < _MIN_ROWS:
        return None
    first = np.append(arrays.boxes.ranges.first, 0)[arrays.relations.owners][:, None]
    for text, read in (
        ("boxes are numbered from 0 in each image, not over the file", pairs + first),
        ("boxes are numbered from 1 in each image, not from 0 over the file", pairs + first - 1),
        ("boxes are numbered from 1, not from 0", pairs - 1),
    ):
        if _explains(misplaced(read), bad):
            return text, bad
    return (
        ("most relations refer to missing boxes or boxes of other images", bad)
        if _is_systematic(bad)
        else None
    )
