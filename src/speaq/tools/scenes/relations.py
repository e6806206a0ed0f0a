"""Finds the relations of a scene from the visible boxes and the classes alone.

A pair has one predicate, none, or is unclear (within the margin of a rule); scenes with an unclear pair are
not used. Lengths are in units of the image's shorter side. N: objects of a scene.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from speaq.tools.scenes.kinds import Kind

# (clearly holds up to, clearly fails from)
GAP = (0.016, 0.03)  # between touching objects
NEAR = (0.2, 0.25)  # between neighbours side by side
OVER = (0.2, 0.26)  # between an object and what is above it
LEVEL = (0.11, 0.135)  # between the bottoms of objects at one level
ALIGNED = (0.5, 0.8)  # share of the narrower object that is not over or under the other
DEPTH = 0.025  # between the bottoms of two objects of which one is in front
GROUND = 0.64  # an object before or behind a landmark ends below this share of the landmark's height

SIDEWAYS = ("left of", "right of")


class UnclearError(Exception):
    """The predicate of a pair is ambiguous: the pair is within the margin of a rule."""


def find_relations(kinds: Sequence[Kind], boxes: np.ndarray) -> list[tuple[int, str, int]]:
    """All relations (subject, predicate, object) of objects with these visible boxes (N, 4), xyxy.

    Raises:
        UnclearError: a pair is within the margin of a rule.
    """
    relations = []
    for pair in combinations(range(len(kinds)), 2):
        a, b = sorted(pair, key=lambda index: kinds[index].subject_rank)
        relation = pair_relation(kinds[a], boxes[a], kinds[b], boxes[b])
        if relation is not None:
            predicate, swapped = relation
            relations.append((b, predicate, a) if swapped else (a, predicate, b))
    return relations


def pair_relation(first: Kind, a: np.ndarray, second: Kind, b: np.ndarray) -> tuple[str, bool] | None:
    """The predicate of a pair in `SUBJECT_ORDER` with boxes a, b (4,), and whether the second is the subject.

    Of a pair with a gap, neighbours at one level are left or right of each other, and what hangs over another
    object is above it.

    Raises:
        UnclearError: the pair is within the margin of a rule.
    """
    across, down = (float(max(a[i] - b[i + 2], b[i] - a[i + 2])) for i in (0, 1))
    if max(across, down) <= GAP[0]:
        return _touching(first, a, second, b)
    if max(across, down) < GAP[1]:
        raise UnclearError
    if across >= GAP[1]:
        if _all_hold((across, NEAR), (abs(float(a[3] - b[3])), LEVEL)):
            return SIDEWAYS[0 if a[0] < b[0] else 1], False
        return None
    apart = 1 - float((min(a[2], b[2]) - max(a[0], b[0])) / min(a[2] - a[0], b[2] - b[0]))
    if _all_hold((down, OVER), (apart, ALIGNED)):
        return "above", bool(b[1] < a[1])
    return None


def _all_hold(*tests: tuple[float, tuple[float, float]]) -> bool:
    """Whether every value is within its bound: no if one clearly fails, an error if the margins decide."""
    if any(value >= fails_from for value, (_, fails_from) in tests):
        return False
    if any(value > holds_to for value, (holds_to, _) in tests):
        raise UnclearError
    return True


def _touching(first: Kind, a: np.ndarray, second: Kind, b: np.ndarray) -> tuple[str, bool]:
    """The relation of one of their spots; or, at a landmark, what stands lower in the image is in front."""
    found = []
    for host, host_box, guest, guest_box in ((second, b, first, a), (first, a, second, b)):
        height = float((guest_box[3] - host_box[1]) / (host_box[3] - host_box[1]))
        for spot in host.spots:
            if guest.name in spot.guests and spot.band[0] <= height <= spot.band[1]:
                subject = host if spot.host_is_subject else guest
                found.append((spot.predicate, subject is second))
    lower = float(a[3] - b[3])
    if second.landmark and abs(lower) >= DEPTH:
        grounded = (a[3] - b[1]) / (b[3] - b[1]) >= GROUND
        if grounded or first.landmark:
            found.append(("in front of" if lower > 0 else "behind", False))
    if len(found) != 1:
        raise UnclearError
    return found[0]
