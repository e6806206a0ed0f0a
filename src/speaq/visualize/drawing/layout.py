"""Where names and arrows go on a photo, so that they can be read."""

from collections.abc import Sequence
from math import hypot

import numpy as np

from speaq.graph.colours import Box, Point

ARC_STEPS = 60


class Space:
    """Finds room for labels on a picture that fills up.

    Args:
        size: width and height of the picture.
    """

    def __init__(self, size: tuple[float, float]) -> None:
        self.size = size
        self._taken: list[Box] = []

    def reserve(self, point: Point, radius: float) -> None:
        """Keep labels away from a point."""
        self._taken.append((point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius))

    def place(self, size: tuple[float, float], positions: Sequence[Point], around: Box) -> Box | None:
        """Put a label at the first position where it covers nothing, or else as near to ``around`` as can be.

        Args:
            size: width and height of the label.
            positions: where its top left corner may go, best first; moved into the picture if need be.
            around: what the label belongs to.

        Returns:
            The label's place in the picture, or None where the picture has no room for it.
        """
        if size[0] > self.size[0] or size[1] > self.size[1]:
            return None
        corner = self._first_free(size, np.array(positions))
        if corner is None:
            corner = self._first_free(size, self._everywhere(size, around))
        if corner is None:
            return None
        box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
        self._taken.append(box)
        return box

    def _first_free(self, size: tuple[float, float], corners: np.ndarray) -> Point | None:
        corners = np.clip(corners, 0, np.subtract(self.size, size))
        low, high = corners[:, None], corners[:, None] + size
        taken = np.array(self._taken).reshape(1, -1, 4)
        covers = ((low < taken[..., 2:] - 1e-6) & (high > taken[..., :2] + 1e-6)).all(axis=-1).any(axis=-1)
        free = np.flatnonzero(~covers)
        return (float(corners[free[0], 0]), float(corners[free[0], 1])) if len(free) else None

    def _everywhere(self, size: tuple[float, float], around: Box) -> np.ndarray:
        """Positions all over the picture, those nearest to a box first, and of these the highest."""
        step = size[1] / 2
        x, y = (np.arange(0, whole - side + step, step) for whole, side in zip(self.size, size, strict=True))
        corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        corners = np.clip(corners, 0, np.subtract(self.size, size))
        away = np.maximum(np.maximum(around[:2] - (corners + size), corners - around[2:]), 0)
        from_corner = np.hypot(*(corners - around[:2]).T)
        return corners[np.lexsort((from_corner, np.hypot(*away.T).round(3)))]


def distance(a: Box, b: Box) -> float:
    """Between two boxes; 0 where they touch."""
    return hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))


def tag_positions(box: Box, size: tuple[float, float]) -> list[Point]:
    """Top left corners for the name of an entity: at the corners of its box, outside before inside."""
    x1, y1, x2, y2 = box
    width, height = size
    middle = (x1 + x2 - width) / 2
    left, right, above, below = x1, x2 - width, y1 - height, y2
    outside = [(left, above), (right, above), (left, below), (right, below)]
    inside = [(left, y1), (right, y1), (left, y2 - height), (right, y2 - height)]
    further = [(middle, above), (middle, below), (middle, y1), (middle, y2 - height)]
    sideways = [(x1 - width, y1), (x2, y1), (x1 - width, y2 - height), (x2, y2 - height)]
    return outside + inside + further + sideways


def anchors(subject: Box, object_: Box, apart: float) -> tuple[Point, Point]:
    """The ends of an arrow from one box to another: their centres, where these are ``apart`` or more.

    Otherwise, as when one box lies within the other, the points half-way to the sides are tried too, and the
    pair closest to the centres that is far enough apart is taken.
    """
    best, least = ((0.0, 0.0), (0.0, 0.0)), float("inf")
    for shift, start in _inner_points(subject):
        for other_shift, end in _inner_points(object_):
            gap = hypot(start[0] - end[0], start[1] - end[1])
            cost = shift + other_shift + 4 * max(apart - gap, 0)
            if cost < least:
                best, least = (start, end), cost
    return best


def arc(start: Point, end: Point, bend: float) -> np.ndarray:
    """Points (ARC_STEPS + 1, 2) on an arc that leaves the straight line by ``bend`` of its length."""
    a, c = np.array(start), np.array(end)
    along = c - a
    # A quadratic Bezier curve passes half as far from the line as its control point is.
    b = (a + c) / 2 + 2 * bend * np.array([-along[1], along[0]])
    t = np.linspace(0, 1, ARC_STEPS + 1)[:, None]
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c


def arrow(points: np.ndarray, length: float, gap: float) -> tuple[np.ndarray, list[Point]]:
    """A line through ``points`` (N, 2) as an arrow that stops short of its last point.

    Args:
        points: of the line, close together.
        length: of the head.
        gap: between its tip and the last point.

    Returns:
        The points of the shaft, and the three corners of the head, the tip first.
    """
    left = np.hypot(*(points - points[-1]).T)
    tip = points[np.flatnonzero(left >= gap)[-1]] if (left >= gap).any() else points[0]
    before = (left >= gap) & (np.hypot(*(points - tip).T) >= 0.8 * length)
    shaft = points[before] if before.any() else points[:1]
    return shaft, head(tip, tip - shaft[-1], length)


def head(tip: Point | np.ndarray, direction: Point | np.ndarray, length: float) -> list[Point]:
    """The three corners of an arrow's head, the tip first."""
    (x, y), (dx, dy) = tip, direction
    norm = hypot(dx, dy) or 1.0
    dx, dy = dx / norm * length, dy / norm * length
    return [(float(x), float(y))] + [
        (float(x - dx + side * dy), float(y - dy - side * dx)) for side in (-0.45, 0.45)
    ]


def along(points: np.ndarray, size: tuple[float, float]) -> list[Point]:
    """Top left corners for a label on a line: its middle first, then towards the ends, then beside it."""
    order = np.argsort(np.abs(np.arange(len(points)) - len(points) / 2), kind="stable")
    on_line = points[order[: len(points) * 2 // 3]] - np.array(size) / 2
    beside = [on_line[:3] + np.array((0, shift * size[1])) for shift in (1, -1, 2, -2)]
    return [(float(x), float(y)) for x, y in np.concatenate((on_line, *beside))]


def _inner_points(box: Box) -> list[tuple[float, Point]]:
    """Points within a box with their distance from its centre, which is the first."""
    x1, y1, x2, y2 = box
    x, y, dx, dy = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 4, (y2 - y1) / 4
    shifts = [(0, 0), (0, -dy), (0, dy), (-dx, 0), (dx, 0), (-dx, -dy), (dx, -dy), (-dx, dy), (dx, dy)]
    return [(hypot(a, b), (x + a, y + b)) for a, b in shifts]
