"""Drawing on a transparent patch in the units of a little picture, 100 high.

Every picture ("sprite") is drawn in its own frame: y runs down from 0 to 100, x from 0 to the sprite's
width. The pen maps that frame to a rectangle of the patch, which may lie between pixels, be stretched a
little, or be mirrored. K: points of an outline.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

HEIGHT = 100.0

# Rows weigh the four neighbours of a segment at five places along it (uniform Catmull-Rom spline).
_STEPS = np.arange(0, 1, 0.2)
_SPLINE = 0.5 * np.stack(
    (
        -_STEPS + 2 * _STEPS**2 - _STEPS**3,
        2 - 5 * _STEPS**2 + 3 * _STEPS**3,
        _STEPS + 4 * _STEPS**2 - 3 * _STEPS**3,
        -(_STEPS**2) + _STEPS**3,
    ),
    axis=1,
)


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` darker (factor below 1) or nearer to white (above 1; 2 is white)."""
    if factor <= 1:
        return (round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor))
    red, green, blue = (round(channel + (255 - channel) * (factor - 1)) for channel in colour)
    return (red, green, blue)


def smooth(points: Sequence[Point]) -> list[Point]:
    """A smooth open line through all points: five points for each of the K - 1 segments, and the last."""
    known = np.array(points, dtype=float)
    known = np.concatenate((known[:1], known, known[-1:]))
    neighbours = np.stack([known[i : len(known) - 3 + i] for i in range(4)], axis=1)
    return [(x, y) for x, y in (_SPLINE @ neighbours).reshape(-1, 2).tolist()] + [points[-1]]


class Pen:
    """Draws shapes given in sprite units.

    Attributes:
        image: the RGBA patch drawn on, transparent at first.
    """

    def __init__(
        self, *, size: tuple[int, int], corner: Point, scale: Point, width: float, mirror: bool = False
    ) -> None:
        """Args:
        size: of the patch, in its own pixels.
        corner: where the frame's top left corner lies in the patch.
        scale: patch pixels per sprite unit, along x and y.
        width: of the sprite, in its units; needed to mirror.
        mirror: swap left and right.
        """
        self.image = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._scale = np.array(scale)
        self._corner = np.array(corner)
        self._mirror_at = width if mirror else None

    def _place(self, points: Sequence[Point] | np.ndarray) -> np.ndarray:
        """Sprite units (K, 2) to patch pixels (K, 2)."""
        placed = np.array(points, dtype=float)
        if self._mirror_at is not None:
            placed[:, 0] = self._mirror_at - placed[:, 0]
        return placed * self._scale + self._corner

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._fill(self._place(points), colour)

    def blob(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled shape with a smooth outline through all points."""
        placed = self._place(points)
        neighbours = np.stack([np.roll(placed, shift, axis=0) for shift in (1, 0, -1, -2)], axis=1)
        self._fill((_SPLINE @ neighbours).reshape(-1, 2), colour)

    def _fill(self, placed: np.ndarray, colour: Colour) -> None:
        # Pillow also paints the pixels that an outline only touches: half a pixel less makes edges exact.
        self._draw.polygon([tuple(point) for point in (placed - 0.5).tolist()], fill=(*colour, 255))

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A filled ellipse around (x, y) with half axes ``rx`` and ``ry``."""
        self._draw.ellipse(self._rectangle(x - rx, y - ry, x + rx, y + ry), fill=(*colour, 255))

    def erase_ellipse(self, x: float, y: float, rx: float, ry: float) -> None:
        """Make an ellipse transparent again."""
        self._draw.ellipse(self._rectangle(x - rx, y - ry, x + rx, y + ry), fill=(0, 0, 0, 0))

    def slice(
        self, x: float, y: float, rx: float, ry: float, start: float, end: float, colour: Colour
    ) -> None:
        """A filled slice of an ellipse, from ``start`` to ``end`` degrees, clockwise from the right."""
        if self._mirror_at is not None:
            start, end = 180 - end, 180 - start
        self._draw.pieslice(self._rectangle(x - rx, y - ry, x + rx, y + ry), start, end, fill=(*colour, 255))

    def box(self, x1: float, y1: float, x2: float, y2: float, colour: Colour, radius: float = 0) -> None:
        """A filled rectangle with corners rounded by ``radius``."""
        corners = self._rectangle(x1, y1, x2, y2)
        self._draw.rounded_rectangle(corners, radius * float(self._scale.min()), fill=(*colour, 255))

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """A line through all points with round ends and joints."""
        placed, thickness = self._place(points) - 0.5, max(1.0, width * float(self._scale.mean()))
        path = [tuple(point) for point in placed.tolist()]
        self._draw.line(path, fill=(*colour, 255), width=round(thickness), joint="curve")
        if thickness > 3:
            for x, y in (path[0], path[-1]):
                reach = thickness / 2 - 0.5
                self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(*colour, 255))

    def _rectangle(self, x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float, float]:
        first, second = self._place([(x1, y1), (x2, y2)])
        left, right = sorted((float(first[0]), float(second[0])))
        # Pillow's rectangles include their last pixel.
        return (left, float(first[1]), max(left, right - 1), max(float(first[1]), float(second[1]) - 1))
