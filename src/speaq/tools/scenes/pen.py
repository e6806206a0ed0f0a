"""Drawing on a transparent patch in the units of a sprite, which is 100 high.

Every sprite is drawn in its own frame: y runs down from 0 to 100, x from 0 to the sprite's width. The pen
maps that frame to a rectangle of the patch, which may lie between pixels, be stretched a little, or be
mirrored.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Shapes of one form and colour.

    Attributes:
        form: "polygon", "blob" (with a smooth outline), "line", "ellipse", "slice" or "box".
        colour: the name of the colour, or "transparent".
        factor: makes the colour darker or lighter (`shade`).
        size: width of a line, or radius of the corners of a box.
        outlines: for each shape the points in sprite units. An ellipse has its centre and its half axes; a
            slice also its first and last angle in degrees, clockwise from the right; a box two corners.
    """

    form: str
    colour: str
    factor: float
    size: float
    outlines: tuple[Sequence[Point], ...]


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` darker (factor below 1) or nearer to white (above 1; 2 is white)."""
    if factor <= 1:
        return (round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor))
    red, green, blue = (round(channel + (255 - channel) * (factor - 1)) for channel in colour)
    return (red, green, blue)


def smooth(points: Sequence[Point]) -> list[Point]:
    """A smooth open line through all points: five points for each segment, and the last one."""
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
        size: size of the patch, in its own pixels.
        corner: where the frame's top left corner lies in the patch.
        scale: patch pixels per sprite unit, along x and y.
        width: width of the sprite, in its units; needed to mirror.
        mirror: swap left and right.
        """
        self.image = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._scale = np.array(scale)
        self._corner = np.array(corner)
        self._mirror_at = width if mirror else None

    def draw(self, shapes: Iterable[Shape], colours: Mapping[str, Colour]) -> None:
        """Draw shapes one after the other, in the colours of these names."""
        for shape in shapes:
            if shape.colour == "transparent":
                fill = (0, 0, 0, 0)
            else:
                fill = (*shade(colours[shape.colour], shape.factor), 255)
            for points in shape.outlines:
                self._draw_outline(shape, points, fill)

    def _draw_outline(self, shape: Shape, points: Sequence[Point], fill: tuple[int, ...]) -> None:
        match shape.form:
            case "polygon":
                self._polygon(self._place(points), fill)
            case "blob":
                placed = self._place(points)
                neighbours = np.stack([np.roll(placed, shift, axis=0) for shift in (1, 0, -1, -2)], axis=1)
                self._polygon((_SPLINE @ neighbours).reshape(-1, 2), fill)
            case "line":
                self._line(self._place(points) - 0.5, shape.size, fill)
            case "box":
                radius = shape.size * float(self._scale.min())
                self._draw.rounded_rectangle(self._rectangle(*points), radius, fill=fill)
            case "ellipse" | "slice":
                (x, y), (rx, ry), *angles = points
                corners = self._rectangle((x - rx, y - ry), (x + rx, y + ry))
                if not angles:
                    self._draw.ellipse(corners, fill=fill)
                    return
                start, end = angles[0]
                if self._mirror_at is not None:
                    start, end = 180 - end, 180 - start
                self._draw.pieslice(corners, start, end, fill=fill)
            case other:
                raise ValueError(f"unknown shape {other!r}")

    def _place(self, points: Sequence[Point]) -> np.ndarray:
        """Sprite units to patch pixels, an array (number of points, 2)."""
        placed = np.array(points, dtype=float)
        if self._mirror_at is not None:
            placed[:, 0] = self._mirror_at - placed[:, 0]
        return placed * self._scale + self._corner

    def _polygon(self, placed: np.ndarray, fill: tuple[int, ...]) -> None:
        # Pillow also paints the pixels that an outline only touches: half a pixel less makes edges exact.
        self._draw.polygon([tuple(point) for point in (placed - 0.5).tolist()], fill=fill)

    def _line(self, placed: np.ndarray, width: float, fill: tuple[int, ...]) -> None:
        """A line with round ends and joints."""
        thickness = max(1.0, width * float(self._scale.mean()))
        path = [tuple(point) for point in placed.tolist()]
        self._draw.line(path, fill=fill, width=round(thickness), joint="curve")
        if thickness > 3:
            for x, y in (path[0], path[-1]):
                reach = thickness / 2 - 0.5
                self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=fill)

    def _rectangle(self, *corners: Point) -> tuple[float, float, float, float]:
        first, second = self._place(corners)
        left, right = sorted((float(first[0]), float(second[0])))
        # Pillow's rectangles include their last pixel.
        return (left, float(first[1]), max(left, right - 1), max(float(first[1]), float(second[1]) - 1))
