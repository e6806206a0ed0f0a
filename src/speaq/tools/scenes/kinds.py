"""The object classes and predicates of generated scenes, read from ``kinds.yaml``.

Lengths of a scene are in units of the image's shorter side; y runs down. "Host" and "guest" are the two
objects of a touching pair: a table is the host of the cup on it.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ConfigDict, TypeAdapter

from speaq.graph.colours import Colour
from speaq.tools.scenes.sprites import Sprite, parse_shapes

Range = tuple[float, float]


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
        landmark: whether other objects can be in front of it or behind it.
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

    @property
    def subject_rank(self) -> int:
        """Its place in `SUBJECT_ORDER`."""
        return SUBJECT_ORDER.index(self.name)


def _read_kinds() -> tuple[tuple[Kind, ...], dict[str, Colour]]:
    """The kinds, and the colours that all objects have in common."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # about ten times faster, where PyYAML has it
    content = yaml.load(Path(__file__).with_name("kinds.yaml").read_bytes(), loader)
    for name, entry in content["kinds"].items():
        entry["name"] = name
        for sprite in entry["sprites"].values():
            layers = [sprite.pop(key) for key in ("shapes", "front") if key in sprite]
            sprite["layers"] = [parse_shapes(lines, content["parts"]) for lines in layers]
    arrays = ConfigDict(arbitrary_types_allowed=True)
    return (
        TypeAdapter(tuple[Kind, ...], config=arrays).validate_python([*content["kinds"].values()]),
        TypeAdapter(dict[str, Colour]).validate_python(content["fixed_colours"]),
    )


# The first kinds alone already make scenes with every predicate of the default vocabulary.
KINDS, FIXED_COLOURS = _read_kinds()

# Roughly from frequent to rare.
PREDICATES: tuple[str, ...] = (
    "on", "left of", "right of", "above", "in front of", "in", "under", "holding", "behind",
    "riding", "wearing", "carrying",
)  # fmt: skip

# Of two objects side by side, or one before the other, the earlier one here is the subject, as people say
# "the cat left of the house" and not "the house right of the cat".
SUBJECT_ORDER: tuple[str, ...] = (
    "person", "dog", "cat", "bird", "horse", "kite", "balloon", "ball", "cup", "flower",
    "hat", "lamp", "basket", "umbrella", "table", "bench", "car", "boat", "tree", "house",
)  # fmt: skip
