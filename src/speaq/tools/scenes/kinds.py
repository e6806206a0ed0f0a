"""The object classes and predicates of generated scenes, read from ``kinds.yaml``.

Lengths of a scene are in units of the image's shorter side; y runs down. "Host" and "guest" are the two
things of a touching pair: a table is the host of the cup on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from speaq.tools.scenes.pen import Colour, Point, Shape, smooth

Range = tuple[float, float]
Shapes = tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Sprite:
    """How to draw a kind of thing in one pose.

    Attributes:
        width: width of its frame, which is 100 high.
        layers: drawn one after the other; a guest inside comes after the first.
        foot: where it stands or is held, as a share of its width.
    """

    width: float
    layers: tuple[Shapes, ...]
    foot: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place at a host where a guest can be, and the predicate that this makes true.

    Attributes:
        predicate: predicate of the pair.
        guests: kinds that can be there.
        across: where the guest's foot goes, as shares of the host's width.
        down: where the guest's bottom (or ``seat``) goes, as shares of the host's height.
        band: where the bottom of the visible part of the guest lies, as shares of the host's height, whenever
            the predicate holds, and never when it does not.
        depth: the guest is drawn "before" the host, "inside" it (after its first layer) or "behind" it.
        rim: share of the host's height below which a guest inside is hidden.
        room: the largest guest, as shares of the host's width and height.
        seat: the height of the guest, as a share from its top, that rests on the host.
        host_is_subject: whether the relation reads host - predicate - guest.
        host_pose, guest_pose: how the two are drawn.
    """

    predicate: str
    guests: tuple[str, ...]
    across: Range
    down: Range
    band: Range
    depth: str = "before"
    rim: float = 1.0
    room: tuple[float, float] = (1.0, 9.0)
    seat: float = 1.0
    host_is_subject: bool = False
    host_pose: str = ""
    guest_pose: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """One object class.

    Attributes:
        name: name of the class.
        attribute: its colour, as a word.
        heights: smallest and largest, in scene units.
        colours: for each part, the colours to choose from.
        sprites: drawings by pose; "" is the usual pose.
        spots: places where guests can be.
        stands: whether it can stand on the ground by itself.
        flies: the pose in which it flies, or None.
        hides: whether it can be partly behind a landmark.
        landmark: whether things can be in front of it or behind it.
        outdoors: whether a scene with it is never in a room.
        chance: relative frequency with which it is chosen; 1 for most kinds.
    """

    name: str
    attribute: str
    heights: Range
    colours: dict[str, tuple[Colour, ...]]
    sprites: dict[str, Sprite]
    spots: tuple[Spot, ...] = ()
    stands: bool = True
    flies: str | None = None
    hides: bool = False
    landmark: bool = False
    outdoors: bool = False
    chance: float = 1.0


def _parse_points(text: str) -> list[Point]:
    """The points of ``x,y x,y ...``."""
    return [(float(x), float(y)) for x, y in (point.split(",") for point in text.split())]


def _parse_shape(command: str, places: str) -> Shape:
    """The shape of one line of the file."""
    form, colour, *size = command.split()
    name, _, factor = colour.partition("*")
    outlines = [[_parse_points(line) for line in outline.split("/")] for outline in places.split(";")]
    if form in ("curve", "band"):
        outlines = [[smooth(line) for line in outline] for outline in outlines]
    return Shape(
        form={"curve": "line", "band": "polygon"}.get(form, form),
        colour=name,
        factor=float(factor or 1),
        size=float(size[0]) if size else 0.0,
        outlines=tuple([point for line in outline for point in line] for outline in outlines),
    )


def _shift(shape: Shape, x: float, y: float) -> Shape:
    """The shape moved by (x, y)."""
    moved = 1 if shape.form in ("ellipse", "slice") else None  # only the centre, or all points
    return replace(
        shape,
        outlines=tuple(
            [(x + px, y + py) for px, py in points[:moved]] + list(points[len(points[:moved]) :])
            for points in shape.outlines
        ),
    )


def _parse_shapes(lines: Iterable[dict[str, str]], parts: dict[str, Shapes]) -> Shapes:
    """The shapes of one layer of a sprite."""
    shapes: list[Shape] = []
    for line in lines:
        ((command, places),) = line.items()
        if command.startswith("use "):
            ((x, y),) = _parse_points(places)
            shapes += [_shift(shape, x, y) for shape in parts[command.removeprefix("use ")]]
        else:
            shapes.append(_parse_shape(command, places))
    return tuple(shapes)


def _parse_sprite(entry: dict[str, Any], parts: dict[str, Shapes]) -> Sprite:
    layers = tuple(_parse_shapes(entry[key], parts) for key in ("shapes", "front") if key in entry)
    return Sprite(width=entry["width"], layers=layers, foot=entry.get("foot", 0.5))


def _as_tuples(value: Any) -> Any:
    """Lists, also nested ones, as tuples."""
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


def _read_kinds() -> tuple[tuple[Kind, ...], dict[str, Colour]]:
    """The kinds, and the colours that are the same for all things."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # about ten times faster, where PyYAML has it
    content = yaml.load(Path(__file__).with_name("kinds.yaml").read_bytes(), loader)
    parts = {name: _parse_shapes(lines, {}) for name, lines in content["parts"].items()}
    kinds = []
    for name, entry in content["kinds"].items():
        sprites = {pose: _parse_sprite(sprite, parts) for pose, sprite in entry.pop("sprites").items()}
        spots = tuple(
            Spot(**{key: _as_tuples(value) for key, value in spot.items()}) for spot in entry.pop("spots", ())
        )
        colours = {part: _as_tuples(choices) for part, choices in entry.pop("colours").items()}
        heights = _as_tuples(entry.pop("heights"))
        kinds.append(Kind(name=name, heights=heights, colours=colours, sprites=sprites, spots=spots, **entry))
    return tuple(kinds), {name: _as_tuples(colour) for name, colour in content["fixed_colours"].items()}


# The first kinds alone already make scenes with every predicate of the default vocabulary.
KINDS, FIXED_COLOURS = _read_kinds()

# Roughly from frequent to rare.
PREDICATES: tuple[str, ...] = (
    "on", "left of", "right of", "above", "in front of", "in", "under", "holding", "behind",
    "riding", "wearing", "carrying",
)  # fmt: skip

# Of two things side by side, or one before the other, the earlier one here is the subject, as people say
# "the cat left of the house" and not "the house right of the cat".
SUBJECT_ORDER: tuple[str, ...] = (
    "person", "dog", "cat", "bird", "horse", "kite", "balloon", "ball", "cup", "flower",
    "hat", "lamp", "basket", "umbrella", "table", "bench", "car", "boat", "tree", "house",
)  # fmt: skip
