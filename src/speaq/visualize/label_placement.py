"""Positions of labels and shapes of arrows on a photo, so that labels do not overlap."""

from collections.abc import Sequence
from math import hypot

import numpy as np

from speaq.graph.colours import Box, Point

ARC_STEPS = 60


class LabelSpace:
    """Places labels on a picture one after the other.

    Args:
        size: width and height of the picture.
    """

    def __init__(self, size: tuple[float, float]) -> None:
        self.size = size
        self._occupied: list[Box] = []

    def reserve(self, point: Point, radius: float) -> None:
        """Keep labels away from a point."""
        x, y = point
        self._occupied.append((x - radius, y - radius, x + radius, y + radius))

    def place(self, size: tuple[float, float], positions: Sequence[Point], around: Box) -> Box | None:
        """Put a label at the first free position, or else as near to ``around`` as possible.

        Args:
            size: width and height of the label.
            positions: candidates for its top left corner, best first; they are moved into the picture.
            around: the box that the label belongs to.

        Returns:
            The box of the label, or None if the picture has no room for it.
        """
        if size[0] > self.size[0] or size[1] > self.size[1]:
            return None
        corner = self._first_free(size, np.array(positions)) or self._first_free(
            size, self._grid(size, around)
        )
        if corner is None:
            return None
        box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
        self._occupied.append(box)
        return box

    def _first_free(self, size: tuple[float, float], corners: np.ndarray) -> Point | None:
        corners = np.clip(corners, 0, np.subtract(self.size, size))
        low, high = corners[:, None], corners[:, None] + size
        occupied = np.array(self._occupied).reshape(1, -1, 4)
        overlaps = ((low < occupied[..., 2:] - 1e-6) & (high > occupied[..., :2] + 1e-6)).all(axis=-1)
        free = np.flatnonzero(~overlaps.any(axis=-1))
        return (float(corners[free[0], 0]), float(corners[free[0], 1])) if len(free) else None

    def _grid(self, size: tuple[float, float], around: Box) -> np.ndarray:
        """Positions all over the picture, sorted by distance from a box, then from its top left corner."""
        step = size[1] / 2
        x, y = (np.arange(0, whole - side + step, step) for whole, side in zip(self.size, size, strict=True))
        corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        corners = np.clip(corners, 0, np.subtract(self.size, size))
        away = np.maximum(np.maximum(around[:2] - (corners + size), corners - around[2:]), 0)
        from_corner = np.hypot(*(corners - around[:2]).T)
        return corners[np.lexsort((from_corner, np.hypot(*away.T).round(3)))]


def distance(a: Box, b: Box) -> float:
    """Distance between two boxes; 0 if they touch."""
    return hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))


def tag_positions(box: Box, size: tuple[float, float]) -> list[Point]:
    """Top left corners for the name of an entity, best first: outside its box, inside, and further away."""
    x1, y1, x2, y2 = box
    width, height = size
    middle = (x1 + x2 - width) / 2
    left, right, above, below = x1, x2 - width, y1 - height, y2
    outside = [(left, above), (right, above), (left, below), (right, below)]
    inside = [(left, y1), (right, y1), (left, y2 - height), (right, y2 - height)]
    further = [(middle, above), (middle, below), (middle, y1), (middle, y2 - height)]
    sideways = [(x1 - width, y1), (x2, y1), (x1 - width, y2 - height), (x2, y2 - height)]
    return outside + inside + further + sideways


def arrow_ends(subject: Box, object_: Box, min_length: float) -> tuple[Point, Point]:
    """The ends of an arrow from one box to another: their centres, if these are ``min_length`` apart.

    Otherwise, such as when one box lies within the other, points half-way to the sides are candidates too,
    and the pair closest to the centres that is far enough apart is taken.
    """
    best, lowest = ((0.0, 0.0), (0.0, 0.0)), float("inf")
    for shift, start in _inner_points(subject):
        for other_shift, end in _inner_points(object_):
            gap = hypot(start[0] - end[0], start[1] - end[1])
            cost = shift + other_shift + 4 * max(min_length - gap, 0)
            if cost < lowest:
                best, lowest = (start, end), cost
    return best


def arc(start: Point, end: Point, bend: float) -> np.ndarray:
    """Points (ARC_STEPS + 1, 2) on an arc whose height is ``bend`` of its length."""
    a, c = np.array(start), np.array(end)
    direction = c - a
    # A quadratic Bezier curve is half as high as its control point.
    b = (a + c) / 2 + 2 * bend * np.array([-direction[1], direction[0]])
    t = np.linspace(0, 1, ARC_STEPS + 1)[:, None]
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c


def arrow(points: np.ndarray, length: float, gap: float) -> tuple[np.ndarray, list[Point]]:
    """An arrow along a line.

    Args:
        points: (S, 2) of the line, close together.
        length: length of the head.
        gap: between its tip and the last point.

    Returns:
        The points of the shaft, and the three corners of the head, the tip first.
    """
    remaining = np.hypot(*(points - points[-1]).T)
    tip = points[np.flatnonzero(remaining >= gap)[-1]] if (remaining >= gap).any() else points[0]
    before = (remaining >= gap) & (np.hypot(*(points - tip).T) >= 0.8 * length)
    shaft = points[before] if before.any() else points[:1]
    return shaft, arrow_head(tip, tip - shaft[-1], length)


def arrow_head(tip: Point | np.ndarray, direction: Point | np.ndarray, length: float) -> list[Point]:
    """The three corners of an arrow's head, the tip first."""
    (x, y), (dx, dy) = tip, direction
    norm = hypot(dx, dy) or 1.0
    dx, dy = dx / norm * length, dy / norm * length
    corners = [(x - dx + side * dy, y - dy - side * dx) for side in (-0.45, 0.45)]
    return [(float(a), float(b)) for a, b in ((x, y), *corners)]


def line_positions(points: np.ndarray, size: tuple[float, float]) -> list[Point]:
    """Top left corners for a label on a line, best first: its middle, its ends, then beside it."""
    order = np.argsort(np.abs(np.arange(len(points)) - len(points) / 2), kind="stable")
    on_line = points[order[: len(points) * 2 // 3]] - np.array(size) / 2
    beside = [on_line[:3] + np.array((0, shift * size[1])) for shift in (1, -1, 2, -2)]
    return [(float(x), float(y)) for x, y in np.concatenate((on_line, *beside))]


def _inner_points(box: Box) -> list[tuple[float, Point]]:
    """The centre of a box and 8 points around it, with their distances from the centre."""
    x1, y1, x2, y2 = box
    x, y, dx, dy = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 4, (y2 - y1) / 4
    shifts = [(0, 0), (0, -dy), (0, dy), (-dx, 0), (dx, 0), (-dx, -dy), (dx, -dy), (-dx, dy), (dx, dy)]
    return [(hypot(a, b), (x + a, y + b)) for a, b in shifts]
