"""What is wrong with boxes, their labels and their attributes.

I: images, M: boxes.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import corners
from speaq.tools.doctor.arrays import RawArrays
from speaq.tools.doctor.dictionary import ClassNames, Dictionary
from speaq.tools.doctor.findings import Findings

# Units of the frame. Centres and sides of published boxes are whole numbers, so a corner may be off by this.
_ROUNDING = 2.0
_OTHER_DICTIONARY = (
    "Use the dictionary that belongs to the annotations; numbers count from 1. --fix leaves these {} out."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxFaults:
    """Which of M boxes have which fault; every array is (M,) bool.

    Attributes:
        not_finite: a number is NaN or infinite.
        negative: a side is below zero.
        empty: a side is zero.
        off_image: nothing of the box is inside its image.
        outside: a part of the box is outside; clipping mends it.
        unknown_label: the class is not in the dictionary.
    """

    not_finite: np.ndarray
    negative: np.ndarray
    empty: np.ndarray
    off_image: np.ndarray
    outside: np.ndarray
    unknown_label: np.ndarray


def find_box_faults(
    boxes: np.ndarray,
    labels: np.ndarray | None,
    owners: np.ndarray | None,
    sizes: np.ndarray | None,
    objects: ClassNames | None,
    box_scale: int,
) -> BoxFaults:
    """Look at every box.

    Args:
        boxes: (M, 4), (cx, cy, w, h).
        labels: (M,), None if not known.
        owners: (M,) image of each box, -1 for none; None if not known.
        sizes: (I, 2) height and width, 0 for unknown; None where no size is known.
        objects: the classes, None if not known.
        box_scale: long side of the frame of the boxes.
    """
    none = np.zeros(len(boxes), dtype=bool)
    not_finite = ~np.all(np.isfinite(boxes), axis=1)
    negative = ~not_finite & (boxes[:, 2:] < 0).any(axis=1)
    empty = ~not_finite & ~negative & (boxes[:, 2:] == 0).any(axis=1)
    off_image = outside = none
    if owners is not None and sizes is not None:
        limits = frame_limits(owners, sizes, box_scale)
        sound = ~(not_finite | negative | empty) & np.isfinite(limits).all(axis=1)
        xyxy = corners(np.where(not_finite[:, None], 0, boxes))
        low, high = xyxy[:, :2], xyxy[:, 2:]
        off_image = sound & ((high <= 0) | (low >= limits)).any(axis=1)
        outside = sound & ~off_image & ((low < -_ROUNDING) | (high > limits + _ROUNDING)).any(axis=1)
    return BoxFaults(
        not_finite=not_finite,
        negative=negative,
        empty=empty,
        off_image=off_image,
        outside=outside,
        unknown_label=none if labels is None else _unknown(labels, objects),
    )


def frame_limits(owners: np.ndarray, sizes: np.ndarray, box_scale: int) -> np.ndarray:
    """Width and height (M, 2) float32 of each box's image in the frame; NaN where they are not known."""
    limits = np.full((len(sizes) + 1, 2), np.nan, dtype=np.float32)  # the last row is for owner -1
    known = (sizes > 0).all(axis=1)
    long_side = sizes[known].max(axis=1, keepdims=True)
    limits[:-1][known] = sizes[known][:, ::-1] * (box_scale / long_side)
    return limits[owners]


def frames_disagree(boxes: np.ndarray, other: np.ndarray, ratio: float) -> np.ndarray:
    """Which boxes (M,) bool are elsewhere in the other frame, of ``ratio`` times the long side."""
    scaled = boxes.astype(np.float32) * min(ratio, 1.0)  # compared in the smaller frame
    differences = np.abs(scaled - other.astype(np.float32) * min(1 / ratio, 1.0))
    return np.any(~(differences <= _ROUNDING), axis=1)


def check_boxes(
    arrays: RawArrays, faults: BoxFaults, dictionary: Dictionary, box_scale: int, findings: Findings
) -> None:
    """Note what `find_box_faults` found, and what is wrong with the other frame and the attributes."""
    boxes, owners = arrays.boxes, arrays.box_ranges and arrays.box_ranges.owners
    if boxes is None:
        return
    key = f"boxes_{box_scale}"
    kinds = (
        ("box-not-finite", faults.not_finite, "A box has NaN or infinity."),
        ("box-negative-size", faults.negative, "A box has a negative width or height."),
        ("box-empty", faults.empty, "A box has no area."),
        ("box-off-image", faults.off_image, "A box lies wholly outside its image."),
    )
    for code, bad, what in kinds:
        advice = (
            "Boxes are (cx, cy, w, h) in a frame in which the image's long side is "
            f"{box_scale}. --fix leaves these boxes and their relations out."
        )
        findings.add_rows("error", code, what, advice, key=key, bad=bad, values=boxes, owners=owners)
    findings.add_rows(
        "warning",
        "box-outside-image",
        f"A box reaches out of its image by more than {_ROUNDING:g} units of the frame.",
        "Check the sizes in the image list. --fix clips the boxes.",
        key=key,
        bad=faults.outside,
        values=boxes,
        owners=owners,
    )
    if arrays.labels is not None:
        findings.add_rows(
            "error",
            "label-unknown",
            "A label is not in the dictionary.",
            _OTHER_DICTIONARY.format("boxes"),
            key="labels",
            bad=faults.unknown_label,
            values=arrays.labels,
            owners=owners,
        )
    if arrays.other_boxes is not None:
        other_scale = 1536 - box_scale
        findings.add_rows(
            "warning",
            "boxes-disagree",
            f"A box is elsewhere in boxes_{other_scale} than in {key}.",
            f"Only {key} is read here (BOX_SCALE). --fix computes the others from it.",
            key=f"boxes_{other_scale}",
            bad=frames_disagree(boxes, arrays.other_boxes, other_scale / box_scale) & ~faults.not_finite,
            values=arrays.other_boxes,
            owners=owners,
        )
    if arrays.attributes is not None and dictionary.attributes is not None:
        unknown = (arrays.attributes != 0) & _unknown(arrays.attributes, dictionary.attributes)
        findings.add_rows(
            "warning",
            "attribute-unknown",
            "An attribute is not in the dictionary.",
            "Attributes are not used here; 0 stands for none.",
            key="attributes",
            bad=unknown.any(axis=1),
            values=arrays.attributes,
            owners=owners,
        )


def _unknown(numbers: np.ndarray, classes: ClassNames | None) -> np.ndarray:
    """Which of the class numbers stand for no class."""
    return numbers < 1 if classes is None else classes.indices(numbers) < 0
