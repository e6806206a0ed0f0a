"""Plans a scene: which objects, how large, and where.

A scene is a row of two or three groups on the ground: an object that stands there, its base, and up to two
guests. Lengths are in units of the image's shorter side; y runs down from the top of the image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from speaq.tools.scenes.kinds import Kind, Range, Spot
from speaq.tools.scenes.relations import UnclearError, find_relations
from speaq.tools.scenes.sprites import HEIGHT, Sprite

NUM_OBJECTS = (3, 5)  # minimum and maximum number in a scene
MARGIN = 0.015  # minimum distance between an object and the edge of the image

# How often a group has these guests: the long tail. Left and right follow from the row.
_GROUPS: dict[tuple[str, ...], float] = {
    (): 2.2,
    ("on",): 7.2,
    ("on", "on"): 2.2,
    ("on", "above"): 0.8,
    ("above",): 1.2,
    ("in front of",): 1.8,
    ("under",): 0.9,
    ("on", "under"): 0.5,
    ("in",): 1.3,
    ("behind",): 2.1,
    ("holding",): 1.0,
    ("riding",): 0.8,
    ("wearing",): 0.7,
    ("carrying",): 0.6,
}
_GAPS = (0.04, 0.17)  # between neighbouring groups
_THREE_GROUPS = 0.2  # share of scenes with a third group
_SORTED = 0.3  # share of scenes whose groups stand in subject order; the others in any order
_ATTEMPTS = 80  # large groups fit less often; without many attempts most scenes would be small
_GUEST_ATTEMPTS = 8
# Drawing order of guests; the base's layers are at 0 and 1.
_DRAWN = {"behind": -2.0, "inside": 0.4, "before": 3.0}

# Guests that need no spot: how far across the host (shares of its width, behind it from either side), up (-1)
# from its top or foot or down (1), at what distance, and how wide at most (share of its width).
_NEARBY = {
    "above": ((0.3, 0.7), -1, (0.04, 0.15), math.inf),
    "behind": ((-0.06, 0.3), -1, (0.045, 0.065), 1.0),
    "in front of": ((0.2, 0.8), 1, (0.05, 0.075), 0.65),
}


class CannotPlaceError(Exception):
    """The objects of a scene do not fit; the caller plans another scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        kind: its class.
        box: (4,) xyxy of the whole object, hidden parts included.
        pose: how it is drawn, a key of ``kind.sprites``.
        mirror: whether it faces left.
        order: drawing order; higher numbers are drawn later.
        rests: whether it stands on something, and so has a shadow at its foot.
        occluded: whether it must be partly hidden.
    """

    kind: Kind
    box: np.ndarray
    pose: str = ""
    mirror: bool = False
    order: float = 0.0
    rests: bool = True
    occluded: bool = False

    @property
    def sprite(self) -> Sprite:
        """The drawing of its kind in its pose."""
        return self.kind.sprites[self.pose]

    @property
    def layer_orders(self) -> list[float]:
        """Drawing order of its layers; a guest inside its host comes between the host's two layers."""
        step = 0.1 if self.order else 1.0
        return [self.order + step * layer for layer in range(len(self.sprite.layers))]

    def moved(self, x: float, y: float) -> "SceneObject":
        """The same object, moved by (x, y)."""
        return replace(self, box=self.box + np.array((x, y, x, y)))


def plan_scene(
    rng: np.random.Generator, kinds: Sequence[Kind], predicates: Sequence[str], width: float, height: float
) -> list[SceneObject]:
    """Plan a scene: 3 to 5 objects of different kinds inside the image, whose relations are clear.

    Only these kinds and predicates are planned. The smaller of ``width`` and ``height`` is 1.
    """
    while True:
        plans = _choose_groups(rng, predicates)
        for _ in range(_ATTEMPTS):
            try:
                return _attempt(rng, plans, list(kinds), width, height)
            except (CannotPlaceError, UnclearError):
                continue


def _choose_groups(rng: np.random.Generator, predicates: Sequence[str]) -> list[tuple[str, ...]]:
    """The predicates of each group's guests, the largest group first."""
    plans = [plan for plan in _GROUPS if set(plan) <= set(predicates)]
    weights = np.array([_GROUPS[plan] for plan in plans])
    while True:
        size = 3 if rng.random() < _THREE_GROUPS else 2
        chosen = [plans[i] for i in rng.choice(len(plans), size=size, p=weights / weights.sum())]
        if NUM_OBJECTS[0] <= size + sum(map(len, chosen)) <= NUM_OBJECTS[1]:
            return sorted(chosen, key=len, reverse=True)


def _attempt(
    rng: np.random.Generator, plans: list[tuple[str, ...]], available: list[Kind], width: float, height: float
) -> list[SceneObject]:
    groups = [[_place_base(rng, plan, available)] for plan in plans]
    widths = [float(base.box[2] - base.box[0]) for (base,) in groups]
    if sum(widths) + 2 * MARGIN + _GAPS[0] * (len(groups) - 1) > width:
        raise CannotPlaceError
    for plan, group in zip(plans, groups, strict=True):
        for predicate in plan:
            group.append(_place_guest(rng, predicate, group, available))
            available.remove(group[-1].kind)
    groups = _arrange(rng, groups, width, height)
    expected = np.concatenate([_expected_boxes(group) for group in groups])
    objects = [one for group in groups for one in group]
    find_relations([one.kind for one in objects], expected)  # discards unclear scenes before they are drawn
    return objects


def _place_base(rng: np.random.Generator, plan: tuple[str, ...], available: list[Kind]) -> SceneObject:
    """An object that stands at (0, 0) and can have such guests; takes its kind out of ``available``."""
    names = {kind.name for kind in available}
    hosts = [kind for kind in available if kind.stands and all(offers(kind, guest, names) for guest in plan)]
    kind = _pick(rng, hosts)
    available.remove(kind)
    pose = next((spot.host_pose for spot in kind.spots if spot.predicate in plan and spot.host_pose), "")
    return SceneObject(kind=kind, pose=pose, box=_size(rng, kind, pose), mirror=bool(rng.integers(2)))


def offers(kind: Kind, predicate: str, names: set[str]) -> bool:
    """Whether a group with this base can have a guest with this predicate, of the kinds in ``names``."""
    if predicate in ("in front of", "behind"):
        return kind.landmark
    if predicate == "above":
        return True
    return any(spot.predicate == predicate and not names.isdisjoint(spot.guests) for spot in kind.spots)


def _size(
    rng: np.random.Generator, kind: Kind, pose: str, room: tuple[float, float] = (9.0, 9.0)
) -> np.ndarray:
    """A box (4,) for this kind, its foot at (0, 0), not larger than ``room`` (width, height)."""
    shape = kind.sprites[pose].width / HEIGHT * rng.uniform(0.94, 1.04)
    low, high = kind.heights
    high = min(high, room[1], room[0] / shape)
    if high < low:
        raise CannotPlaceError
    tall = rng.uniform(low, high)
    return np.array((-0.5 * shape * tall, -tall, 0.5 * shape * tall, 0.0))


def _place_guest(
    rng: np.random.Generator, predicate: str, group: list[SceneObject], available: list[Kind]
) -> SceneObject:
    """A guest for the group's base (its first object) whose pairs with the other guests are clear."""
    spot = next((spot for spot in group[0].kind.spots if spot.predicate == predicate), None)
    for _ in range(_GUEST_ATTEMPTS):
        if spot is not None:
            guest = _at_spot(rng, spot, group[0], available)
        else:
            guest = _nearby(rng, predicate, group[-1] if predicate == "above" else group[0], available)
        try:
            for other in group[1:]:
                find_relations([guest.kind, other.kind], np.array((guest.box, other.box)))
        except UnclearError:
            continue
        return guest
    raise CannotPlaceError


def _pick(rng: np.random.Generator, kinds: list[Kind]) -> Kind:
    """One of the kinds, in proportion to their ``chance``."""
    if not kinds:
        raise CannotPlaceError
    mark = rng.uniform(0, sum(kind.chance for kind in kinds))
    for kind in kinds:
        mark -= kind.chance
        if mark < 0:
            return kind
    return kinds[-1]


def _between(rng: np.random.Generator, bounds: Range, low: float, high: float) -> float:
    """A number whose place between ``low`` (0) and ``high`` (1) is within ``bounds``."""
    return low + (high - low) * rng.uniform(*bounds)


def _at_spot(rng: np.random.Generator, spot: Spot, host: SceneObject, available: list[Kind]) -> SceneObject:
    """A guest that fits this spot of the host."""
    x1, y1, x2, y2 = host.box
    kind = _pick(rng, [kind for kind in available if kind.name in spot.guests])
    box = _size(rng, kind, spot.guest_pose, ((x2 - x1) * spot.room[0], (y2 - y1) * spot.room[1]))
    mirror = host.mirror if spot.guest_pose else bool(rng.integers(2))
    across = (1 - spot.across[1], 1 - spot.across[0]) if host.mirror else spot.across
    foot = kind.sprites[spot.guest_pose].foot
    foot = 0.5 - foot if mirror else foot - 0.5
    x = _between(rng, across, x1, x2) - foot * (box[2] - box[0])
    y = _between(rng, spot.down, y1, y2) - (1 - spot.seat) * box[1]
    guest = SceneObject(kind=kind, box=box, pose=spot.guest_pose, mirror=mirror, order=_DRAWN[spot.depth])
    return replace(guest, rests=spot.predicate in ("on", "under")).moved(x, y)


def _nearby(
    rng: np.random.Generator, predicate: str, host: SceneObject, available: list[Kind]
) -> SceneObject:
    """A guest above, behind or in front of the host."""
    if predicate == "above":
        kinds = [kind for kind in available if kind.flies is not None]
    elif predicate == "in front of":
        kinds = [kind for kind in available if kind.stands and not kind.landmark]
    else:  # of the landmarks, trees hide, and only a house is large enough for them
        house = host.kind.name == "house"
        kinds = [kind for kind in available if kind.hides and (not kind.landmark or house)]
    kind = _pick(rng, kinds)
    pose = kind.flies or "" if predicate == "above" else ""
    across, direction, distance, widest = _NEARBY[predicate]
    left, top, right, ground = host.box
    box = _size(rng, kind, pose, (widest * (right - left), 9.0))
    if predicate == "behind" and not rng.integers(2):
        left, right = right, left
    x = _between(rng, across, left, right)
    y = (top if predicate == "above" else ground) + direction * rng.uniform(*distance)
    guest = SceneObject(
        kind=kind,
        box=box,
        pose=pose,
        mirror=bool(rng.integers(2)),
        order=_DRAWN["behind" if predicate == "behind" else "before"],
        rests=predicate != "above",
        occluded=predicate == "behind",
    )
    return guest.moved(x, y)


def _arrange(
    rng: np.random.Generator, groups: list[list[SceneObject]], width: float, height: float
) -> list[list[SceneObject]]:
    """The groups in a row on the ground, side by side and inside the image."""
    rng.shuffle(groups)
    if rng.random() < _SORTED:
        groups.sort(key=lambda group: group[0].kind.subject_rank)
    extents = [np.array([one.box for one in group]) for group in groups]
    widths = [boxes[:, 2].max() - boxes[:, 0].min() for boxes in extents]
    gaps = rng.uniform(*_GAPS, size=len(groups) - 1)
    spare = width - 2 * MARGIN - sum(widths) - gaps.sum()
    if spare < 0:
        raise CannotPlaceError
    ground = height - rng.uniform(0.09, 0.17)
    x = MARGIN + rng.uniform(0, spare)
    placed = []
    for group, boxes, wide, gap in zip(groups, extents, widths, [*gaps, 0.0], strict=True):
        y = ground + rng.uniform(-0.012, 0.012)
        placed.append([one.moved(x - boxes[:, 0].min(), y) for one in group])
        x += wide + gap
    if any(one.box[1] < MARGIN or one.box[3] > height - MARGIN for group in placed for one in group):
        raise CannotPlaceError
    return placed


def _expected_boxes(group: list[SceneObject]) -> np.ndarray:
    """The approximate boxes (N, 4) of the visible parts: a guest inside ends at its host's rim."""
    boxes = np.array([one.box for one in group])
    top, bottom = boxes[0, 1], boxes[0, 3]
    rim = next((spot.rim for spot in group[0].kind.spots if spot.depth == "inside"), 1.0)
    inside = np.array([one.order == _DRAWN["inside"] for one in group])
    boxes[inside, 3] = np.minimum(boxes[inside, 3], top + rim * (bottom - top))
    return boxes
