"""Sprites: drawings in a frame in which y runs down from 0 to 100, and x from 0 to the sprite's width."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from speaq.graph.colours import Colour

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
    """A shape of one colour, in sprite units.

    Attributes:
        form: "polygon", "line", "ellipse", "slice" or "box".
        colour: the name of the colour, or "transparent".
        factor: makes the colour darker or lighter (`shade`).
        size: width of a line, or radius of the corners of a box.
        points: (number of points, 2); of an ellipse, slice or box two opposite corners.
        angles: first and last angle of a slice in degrees, clockwise from the right.
    """

    form: str
    colour: str
    factor: float
    size: float
    points: np.ndarray
    angles: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Sprite:
    """A drawing in one pose.

    Attributes:
        width: width of its frame, which is 100 high.
        layers: shapes, drawn one after the other; a guest inside is drawn after the first layer.
        foot: where it stands or is held, as a share of its width.
    """

    width: float
    layers: tuple[tuple[Shape, ...], ...]
    foot: float = 0.5


def parse_shapes(
    lines: Iterable[Mapping[str, str]],
    parts: Mapping[str, Any],
    origin: tuple[float, float] | np.ndarray = (0.0, 0.0),
) -> tuple[Shape, ...]:
    """The shapes of lines of ``kinds.yaml``, moved by ``origin``; "use" refers to ``parts``."""
    shapes: list[Shape] = []
    for line in lines:
        ((command, places),) = line.items()
        form, colour, *size = command.split()
        if form == "use":
            shapes += parse_shapes(parts[colour], parts, _parse_points(places)[0])
            continue
        colour, _, factor = colour.partition("*")
        for outline in places.split(";"):
            parsed, angles = [_parse_points(part) for part in outline.split("/")], []
            if form in ("curve", "band", "blob"):
                parsed = [_smooth(points, closed=form == "blob") for points in parsed]
            points = np.concatenate(parsed)
            if form in ("ellipse", "slice"):
                centre, half_axes, *angles = points
                points = np.array((centre - half_axes, centre + half_axes))
            shapes.append(
                Shape(
                    form={"curve": "line", "band": "polygon", "blob": "polygon"}.get(form, form),
                    colour=colour,
                    factor=float(factor or 1),
                    size=float(size[0]) if size else 0.0,
                    points=points + origin,
                    angles=tuple(angles[0].tolist()) if angles else (),
                )
            )
    return tuple(shapes)


def _parse_points(text: str) -> np.ndarray:
    """The points (number of points, 2) of ``x,y x,y ...``."""
    return np.array([point.split(",") for point in text.split()], dtype=float)


def _smooth(points: np.ndarray, *, closed: bool) -> np.ndarray:
    """A smooth line through all points: five points for each segment, and the last one of an open line."""
    before, after = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    known = np.concatenate((before, points, after))
    neighbours = np.stack([known[i : len(known) - 3 + i] for i in range(4)], axis=1)
    line = (_SPLINE @ neighbours).reshape(-1, 2)
    return line if closed else np.concatenate((line, after))


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` darker (factor below 1) or nearer to white (above 1; 2 is white)."""
    red, green, blue = (c * factor if factor <= 1 else c + (255 - c) * (factor - 1) for c in colour)
    return (round(red), round(green), round(blue))


def draw_layer(
    sprite: Sprite,
    layer: int,
    colours: Mapping[str, Colour],
    box: np.ndarray,
    *,
    mirror: bool = False,
    oversampling: int = 1,
) -> tuple[Image.Image, tuple[int, int]]:
    """Draw one layer of a sprite into a box (4,), xyxy in pixels.

    Returns:
        A transparent RGBA patch around the box, and the pixel where its top left corner goes.
    """
    left, top = np.floor(box[:2]).astype(int).tolist()
    right, bottom = np.ceil(box[2:]).astype(int).tolist()
    image = Image.new("RGBA", ((right - left) * oversampling, (bottom - top) * oversampling), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    corner = (box[:2] - (left, top)) * oversampling
    scale = (box[2:] - box[:2]) * oversampling / (sprite.width, HEIGHT)
    for shape in sprite.layers[layer]:
        fill = (0, 0, 0, 0)
        if shape.colour != "transparent":
            fill = (*shade(colours[shape.colour], shape.factor), 255)
        points, angles = shape.points.copy(), shape.angles
        if mirror:
            points[:, 0] = sprite.width - points[:, 0]
            angles = tuple(180 - angle for angle in reversed(angles))
        points = points * scale + corner
        match shape.form:
            case "polygon":
                # Pillow also paints the pixels that an outline only touches: half a pixel less is exact.
                draw.polygon([tuple(point) for point in (points - 0.5).tolist()], fill=fill)
            case "line":
                _draw_line(draw, points - 0.5, max(1.0, shape.size * float(scale.mean())), fill)
            case "box":
                draw.rounded_rectangle(_rectangle(points), shape.size * float(scale.min()), fill=fill)
            case "ellipse":
                draw.ellipse(_rectangle(points), fill=fill)
            case "slice":
                draw.pieslice(_rectangle(points), *angles, fill=fill)
            case other:
                raise ValueError(f"unknown shape {other!r}")
    return image.reduce(oversampling), (left, top)


def _draw_line(draw: ImageDraw.ImageDraw, points: np.ndarray, width: float, fill: tuple[int, ...]) -> None:
    """Draw a line with round ends and joints."""
    path = [tuple(point) for point in points.tolist()]
    draw.line(path, fill=fill, width=round(width), joint="curve")
    if width > 3:
        radius = width / 2 - 0.5
        for x, y in (path[0], path[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def _rectangle(corners: np.ndarray) -> tuple[float, float, float, float]:
    (x1, y1), (x2, y2) = corners.tolist()
    left, right = sorted((x1, x2))
    # Pillow's rectangles include their last pixel.
    return (left, y1, max(left, right - 1), max(y1, y2 - 1))
