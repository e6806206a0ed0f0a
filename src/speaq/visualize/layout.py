"""Where labels and arrows go on a picture, so that they can be read."""

from collections.abc import Iterable, Sequence
from math import hypot

from speaq.visualize.style import Box, Point


class Space:
    """Finds room for labels on a picture that fills up.

    Args:
        size: width and height of the picture in pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self.taken: list[Box] = []

    def reserve(self, point: Point, radius: float) -> None:
        """Keep labels away from a point."""
        self.taken.append((point[0] - radius, point[1] - radius, point[0] + radius, point[1] + radius))

    def place(self, size: tuple[int, int], positions: Iterable[Point]) -> Box:
        """Put a label at the position where it covers the least of the earlier ones; the first of equals.

        Args:
            size: width and height of the label.
            positions: where its top left corner may go, best first; moved into the picture if need be.
        """
        width, height = size
        best, least = None, float("inf")
        for x, y in positions:
            x = min(max(x, 0), max(self.size[0] - width, 0))
            y = min(max(y, 0), max(self.size[1] - height, 0))
            box = (x, y, x + width, y + height)
            covered = sum(_common_area(box, other) for other in self.taken)
            if covered < least:
                best, least = box, covered
            if not covered:
                break
        assert best is not None, "a label needs a position"
        self.taken.append(best)
        return best


def tag_positions(box: Box, size: tuple[int, int]) -> list[Point]:
    """Top left corners for the name tag of an entity: at the corners of its box, outside before inside."""
    x1, y1, x2, y2 = box
    width, height = size
    middle = (x1 + x2 - width) / 2
    left, right, above, below = x1, x2 - width, y1 - height, y2
    outside = [(left, above), (right, above), (left, below), (right, below)]
    inside = [(left, y1), (right, y1), (left, y2 - height), (right, y2 - height)]
    further = [
        (middle, above),
        (middle, below),
        (x1 - width, y1),
        (x2, y1),
        (x1 - width, y2),
        (x2, y2 - height),
    ]
    return outside + inside + further


def anchors(subject: Box, object_: Box, distance: float) -> tuple[Point, Point]:
    """The ends of an arrow from one box to another: their centres, where these are ``distance`` apart.

    Otherwise, as when one box lies within the other, the points half-way to the sides are tried too, and the
    pair closest to the centres that is far enough apart is taken.
    """
    best, least = None, float("inf")
    for shift, start in _inner_points(subject):
        for other_shift, end in _inner_points(object_):
            gap = hypot(start[0] - end[0], start[1] - end[1])
            cost = shift + other_shift + 4 * max(distance - gap, 0)
            if cost < least:
                best, least = (start, end), cost
    assert best is not None
    return best


def curve(start: Point, end: Point, bend: float, steps: int = 100) -> list[Point]:
    """Points of an arc from ``start`` to ``end`` which leaves the straight line by ``bend`` of its length."""
    (x1, y1), (x2, y2) = start, end
    # A quadratic Bezier curve passes half as far from the line as its control point is.
    control = ((x1 + x2) / 2 - 2 * bend * (y2 - y1), (y1 + y2) / 2 + 2 * bend * (x2 - x1))
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        points.append((a * x1 + b * control[0] + c * x2, a * y1 + b * control[1] + c * y2))
    return points


def arrow(points: Sequence[Point], length: float, gap: float) -> tuple[list[Point], list[Point]]:
    """A line through ``points`` as an arrow that stops short of its last point.

    Args:
        points: of the line, close together.
        length: of the head.
        gap: between its tip and the last point.

    Returns:
        The points of the shaft, and the three corners of the head, the tip first.
    """
    target = points[-1]
    short = [point for point in points if hypot(point[0] - target[0], point[1] - target[1]) >= gap]
    tip = short[-1] if short else points[0]
    shaft = [point for point in short if hypot(point[0] - tip[0], point[1] - tip[1]) >= 0.8 * length]
    shaft = shaft or [points[0]]
    dx, dy = tip[0] - shaft[-1][0], tip[1] - shaft[-1][1]
    norm = hypot(dx, dy) or 1.0
    dx, dy = dx / norm * length, dy / norm * length
    left = (tip[0] - dx - 0.5 * dy, tip[1] - dy + 0.5 * dx)
    right = (tip[0] - dx + 0.5 * dy, tip[1] - dy - 0.5 * dx)
    return shaft, [tip, left, right]


def along(points: Sequence[Point], size: tuple[int, int]) -> list[Point]:
    """Top left corners for a label on a line: its middle first, then towards the ends, then beside it."""
    width, height = size
    order = sorted(range(len(points)), key=lambda i: abs(i - len(points) / 2))
    order = order[: max(len(points) * 2 // 3, 1)]
    on_line = [(points[i][0] - width / 2, points[i][1] - height / 2) for i in order]
    beside = [(x, y + shift * height) for shift in (1, -1, 2, -2) for x, y in on_line[:3]]
    return on_line + beside


def _inner_points(box: Box) -> list[tuple[float, Point]]:
    """Points within a box with their distance from its centre, which is the first."""
    x1, y1, x2, y2 = box
    x, y, dx, dy = (x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 4, (y2 - y1) / 4
    shifts = [(0, 0), (0, -dy), (0, dy), (-dx, 0), (dx, 0), (-dx, -dy), (dx, -dy), (-dx, dy), (dx, dy)]
    return [(hypot(a, b), (x + a, y + b)) for a, b in shifts]


def _common_area(a: Box, b: Box) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)
