"""Mistakes that run through a whole file: what they look like. Mending these row by row makes nonsense.

I: images, M: boxes, T: relations, N: rows of labels or predicates.
"""

from dataclasses import replace

import numpy as np

from speaq.data.vg_annotations import corners
from speaq.tools.doctor.arrays import RawArrays
from speaq.tools.doctor.boxes import BoxFaults, find_box_faults, frame_limits, frames_disagree
from speaq.tools.doctor.dictionary import ClassNames, Dictionary
from speaq.tools.doctor.findings import Findings
from speaq.tools.doctor.relations import RelationFaults, find_relation_faults

_SHARE, _LEAST = 0.3, 20  # of the rows wrong, and at least so many: no accident
_LEFT = 0.02  # of the rows wrong at most where another reading is the right one
_ROUNDING = 2.0  # units of the frame
_EXCHANGED = "(cy, cx, h, w)"
_ADVICE = "Correct the file, or name the one that belongs here. --fix does not repair this."


def check_systematic(
    arrays: RawArrays, sizes: np.ndarray | None, dictionary: Dictionary, box_scale: int, findings: Findings
) -> list[str]:
    """Note arrays that are wrong as a whole; the reasons, in words, why the set is not repaired.

    Args:
        arrays: as they are in the file.
        sizes: (I, 2) height and width, 0 for unknown; None where no size is known.
        dictionary: the classes as far as they could be read.
        box_scale: long side of the frame of ``arrays.boxes``.
        findings: where to note it.
    """
    owners = arrays.box_ranges and arrays.box_ranges.owners
    relation_owners = arrays.relation_ranges and arrays.relation_ranges.owners
    key = f"boxes_{box_scale}"
    found = (
        ("boxes", key, arrays.boxes, owners, _check_boxes(arrays, sizes, box_scale)),
        (
            "labels",
            "labels",
            arrays.labels,
            owners,
            _check_numbers("labels", arrays.labels, dictionary.objects),
        ),
        (
            "predicates",
            "predicates",
            arrays.predicates,
            relation_owners,
            _check_numbers("predicates", arrays.predicates, dictionary.predicates),
        ),
        ("relationships", "relationships", arrays.pairs, relation_owners, _check_relations(arrays)),
    )
    obstacles = []
    for name, place, values, its_owners, result in found:
        if result is not None and values is not None:
            what, bad = result
            code = f"systematic-{name}"
            findings.add_rows(
                "error",
                code,
                f"Most or all of '{name}' are wrong in the same way: {what}.",
                _ADVICE,
                key=place,
                bad=bad,
                values=values,
                owners=its_owners,
            )
            obstacles.append(f"{what} ({code}); correct the file first")
    return obstacles


def _is_systematic(bad: np.ndarray) -> bool:
    return bool(bad.sum() >= _LEAST and bad.mean() > _SHARE)


def _explains(left: np.ndarray, bad: np.ndarray) -> bool:
    """Whether a reading leaves so few rows wrong, of those that were, that it is the right one."""
    return bool(left.mean() <= _LEFT and left.sum() < bad.sum() / 10)


# Boxes


def _check_boxes(
    arrays: RawArrays, sizes: np.ndarray | None, box_scale: int
) -> tuple[str, np.ndarray] | None:
    """What the boxes look like and which (M,) bool are wrong; None where they are not wrong as a whole."""
    boxes, other, other_scale = arrays.boxes, arrays.other_boxes, 1536 - box_scale
    owners = arrays.box_ranges and arrays.box_ranges.owners
    if boxes is None:
        return None

    def misplaced(values: np.ndarray, scale: int) -> np.ndarray:
        return _misplaced(find_box_faults(values, None, owners, sizes, None, scale))

    key, other_key, ratio = f"boxes_{box_scale}", f"boxes_{other_scale}", other_scale / box_scale
    bad = misplaced(boxes, box_scale)
    if other is None:
        if box_scale == 1024 and _fill_half(boxes, owners, sizes):
            return f"'{key}' ends at half of every image, as in a frame of {other_scale}", np.full(
                len(boxes), True
            )
    elif _is_systematic(apart := frames_disagree(boxes, other, ratio)):
        if (~frames_disagree(other, boxes, ratio)).mean() >= 1 - _LEFT:
            return f"'{key}' and '{other_key}' are exchanged", apart
        # The one that lies worse in the images is tried first: some readings explain both ways.
        sides = [
            (bad.sum(), key, boxes, other, box_scale),
            (misplaced(other, other_scale).sum(), other_key, other, boxes, other_scale),
        ]
        for _, name, values, against, scale in sorted(sides, key=lambda side: -side[0]):
            for reading, read in _readings(values, scale).items():
                if frames_disagree(read, against, (1536 - scale) / scale).mean() <= _LEFT:
                    return f"'{name}' looks like {reading}, not (cx, cy, w, h) in a frame of {scale}", apart
        return f"'{key}' and '{other_key}' do not show the same boxes", apart
    if bad.sum() < _LEAST:
        return None
    for reading, read in _readings(boxes, box_scale).items():
        # Smaller boxes always lie better: that says something only where most do not fit.
        if reading.startswith("boxes") and not _is_systematic(bad):
            continue
        if _explains(misplaced(read, box_scale), bad):
            # With both sides of the boxes and of the images exchanged, the boxes fit as well.
            doubt = ", or the image list has width and height exchanged" if reading == _EXCHANGED else ""
            return f"'{key}' looks like {reading}, not (cx, cy, w, h) in a frame of {box_scale}{doubt}", bad
    return (f"'{key}' does not fit the sizes of the images", bad) if _is_systematic(bad) else None


def _misplaced(faults: BoxFaults) -> np.ndarray:
    return faults.not_finite | faults.negative | faults.empty | faults.off_image | faults.outside


def _readings(boxes: np.ndarray, box_scale: int) -> dict[str, np.ndarray]:
    """Boxes (M, 4) as (cx, cy, w, h) if the file has something else, by what it then has."""
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
    return bool(known.sum() >= _LEAST and (high <= limits[known] / 2 + _ROUNDING).all())


# Class numbers


def _check_numbers(
    name: str, numbers: np.ndarray | None, classes: ClassNames | None
) -> tuple[str, np.ndarray] | None:
    """What the class numbers (N,) look like and which are wrong."""
    if numbers is None or classes is None or len(numbers) < _LEAST:
        return None
    low, high, count = int(classes.numbers[0]), int(classes.numbers[-1]), len(classes.numbers)
    least, most = int(numbers.min()), int(numbers.max())
    every = np.full(len(numbers), True)
    if (low, high) == (1, count) and (least, most) == (0, count - 1):
        return f"'{name}' counts from 0 ({least} to {most}), the dictionary from 1", every
    if (low, high) == (0, count - 1) and least > 0 and most == count:
        return f"the dictionary counts from 0, '{name}' from 1 (up to {most})", every
    unknown = classes.indices(numbers) < 0
    if not _is_systematic(unknown):
        return None
    return f"'{name}' has {least} to {most}, the dictionary {low} to {high}", unknown


# Relations


def _check_relations(arrays: RawArrays) -> tuple[str, np.ndarray] | None:
    """What the box numbers of relations look like and which relations (T,) bool are wrong."""
    pairs, boxes, relations = arrays.pairs, arrays.box_ranges, arrays.relation_ranges
    if pairs is None:
        return None
    bad = _astray(find_relation_faults(arrays, None))
    if bad.sum() < _LEAST:
        return None
    if boxes is not None and relations is not None:
        first = boxes.ranges.first[relations.owners][:, None]
        readings = {
            "box numbers count in each image from 0, not over the file": pairs + first,
            "box numbers count in each image from 1, not over the file from 0": pairs + first - 1,
            "box numbers count from 1, not from 0": pairs - 1,
        }
        for what, read in readings.items():
            left = _astray(find_relation_faults(replace(arrays, pairs=read), None))
            if _explains(left, bad):
                return what, bad
    return ("most relations name boxes of other images, or none", bad) if _is_systematic(bad) else None


def _astray(faults: RelationFaults) -> np.ndarray:
    return faults.unknown_box | faults.other_image
