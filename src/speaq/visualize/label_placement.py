"""Positions of labels and shapes of arrows on a photo, so that labels do not overlap."""

from collections.abc import Sequence
from itertools import product
from math import hypot

import numpy as np

from speaq.graph.colours import Box, Point

ARC_STEPS = 60


class LabelSpace:
    """Places labels one after the other on an image of width and height ``size``."""

    def __init__(self, size: tuple[float, float]) -> None:
        self.size = size
        self._occupied: list[Box] = []

    def reserve(self, point: Point | np.ndarray, radius: float) -> None:
        """Keep labels away from a point."""
        x, y = point
        self._occupied.append((x - radius, y - radius, x + radius, y + radius))

    def place(self, size: tuple[float, float], positions: Sequence[Point], around: Box) -> Box | None:
        """Put a label at the first free position, or else as near to the box ``around`` as possible.

        Args:
            size: width and height of the label.
            positions: candidates for its top left corner, best first; they are moved into the image.
            around: the box that the label belongs to.

        Returns:
            The box of the label, or None if the image has no room for it.
        """
        if size[0] > self.size[0] or size[1] > self.size[1]:
            return None
        corner = self._first_free(size, np.array(positions))
        if corner is None:
            corner = self._first_free(size, self._grid(size, around))
        if corner is None:
            return None
        x, y = corner.tolist()
        self._occupied.append((x, y, x + size[0], y + size[1]))
        return self._occupied[-1]

    def _first_free(self, size: tuple[float, float], corners: np.ndarray) -> np.ndarray | None:
        corners = np.clip(corners, 0, np.subtract(self.size, size))
        low, high = corners[:, None], corners[:, None] + size
        occupied = np.array(self._occupied).reshape(1, -1, 4)
        overlaps = ((low < occupied[..., 2:] - 1e-6) & (high > occupied[..., :2] + 1e-6)).all(axis=-1)
        free = np.flatnonzero(~overlaps.any(axis=-1))
        return corners[free[0]] if len(free) else None

    def _grid(self, size: tuple[float, float], around: Box) -> np.ndarray:
        """Positions all over the image, sorted by distance from a box, then from its top left corner."""
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
    middle, right, above, bottom = (x1 + x2 - width) / 2, x2 - width, y1 - height, y2 - height
    corners = [(x, y) for rows in ((above, y2), (y1, bottom)) for y in rows for x in (x1, right)]
    further = [(middle, y) for y in (above, y2, y1, bottom)]
    return corners + further + [(x, y) for y in (y1, bottom) for x in (x1 - width, x2)]


def arrow_ends(subject: Box, object_: Box, min_length: float) -> tuple[Point, Point]:
    """The ends of an arrow from one box to another: their centres, if these are ``min_length`` apart.

    Otherwise, such as when one box lies within the other, points half-way to the sides are candidates too,
    and the pair closest to the centres that is far enough apart is taken.
    """

    def cost(ends: tuple[tuple[float, Point], tuple[float, Point]]) -> float:
        (shift, start), (other_shift, end) = ends
        gap = hypot(start[0] - end[0], start[1] - end[1])
        return shift + other_shift + 4 * max(min_length - gap, 0)

    (_, start), (_, end) = min(product(_inner_points(subject), _inner_points(object_)), key=cost)
    return start, end


def _inner_points(box: Box) -> list[tuple[float, Point]]:
    """The centre of a box and 8 points around it, with their distances from the centre."""
    x1, y1, x2, y2 = box
    x, y, dx, dy = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 4, (y2 - y1) / 4
    shifts = [(0, 0), (0, -dy), (0, dy), (-dx, 0), (dx, 0), (-dx, -dy), (dx, -dy), (-dx, dy), (dx, dy)]
    return [(hypot(a, b), (x + a, y + b)) for a, b in shifts]


def arc(start: Point, end: Point, bend: float) -> np.ndarray:
    """Points (ARC_STEPS + 1, 2) on an arc whose height is ``bend`` of its length."""
    a, c = np.array(start), np.array(end)
    direction = c - a
    # A quadratic Bezier curve is half as high as its control point.
    b = (a + c) / 2 + 2 * bend * np.array([-direction[1], direction[0]])
    t = np.linspace(0, 1, ARC_STEPS + 1)[:, None]
    return (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c


def arrow(points: np.ndarray, length: float, gap: float) -> tuple[np.ndarray, list[Point]]:
    """The points of the shaft of an arrow, and the three corners of its head, the tip first.

    Args:
        points: points (..., 2) of a line, close together.
        length: length of the head.
        gap: distance between its tip and the last point.
    """
    apart = np.hypot(*(points - points[-1]).T) >= gap
    tip = points[np.flatnonzero(apart)[-1]] if apart.any() else points[0]
    before = apart & (np.hypot(*(points - tip).T) >= 0.8 * length)
    shaft = points[before] if before.any() else points[:1]
    return shaft, arrow_head(tip, tip - shaft[-1], length)


def arrow_head(tip: Point | np.ndarray, direction: Point | np.ndarray, length: float) -> list[Point]:
    """The three corners of an arrow's head, the tip first."""
    (x, y), (dx, dy) = tip, direction
    norm = hypot(dx, dy) or 1.0
    dx, dy = dx / norm * length, dy / norm * length
    return [(x, y), *((x - dx + side * dy, y - dy - side * dx) for side in (-0.45, 0.45))]


def line_positions(points: np.ndarray, size: tuple[float, float]) -> list[Point]:
    """Top left corners for a label on a line, best first: its middle, its ends, then beside it."""
    order = np.argsort(np.abs(np.arange(len(points)) - len(points) / 2), kind="stable")
    on_line = points[order[: len(points) * 2 // 3]] - np.array(size) / 2
    beside = [on_line[:3] + np.array((0, shift * size[1])) for shift in (1, -1, 2, -2)]
    return [(x, y) for x, y in np.concatenate((on_line, *beside)).tolist()]
