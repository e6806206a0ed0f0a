"""What one has to know of a kind of thing to place and to draw it.

Lengths of a scene are in units of the image's shorter side; y runs down. "Host" and "guest" are the two
things of a touching pair: a table is the host of the cup on it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from speaq.tools.scenes.pen import Colour, Pen

Range = tuple[float, float]
Colours = tuple[Colour, ...]
Draw = Callable[[Pen, Colours], None]


@dataclass(frozen=True, slots=True)
class Sprite:
    """How to draw a kind of thing in one pose.

    Attributes:
        width: of its frame, which is 100 high.
        layers: drawn one after the other; a guest inside comes after the first.
        foot: where it stands or is held, as a share of its width.
    """

    width: float
    layers: tuple[Draw, ...]
    foot: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A place at a host where a guest can be, and the predicate that this makes true.

    Attributes:
        predicate: of the pair.
        guests: kinds that can be there.
        across: where the guest's foot goes, as shares of the host's width.
        down: where the guest's bottom (or ``seat``) goes, as shares of the host's height.
        band: where the bottom of the guest, as one sees it, lies, as shares of the host's height, whenever
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
        name: of the class.
        attribute: its colour, as a word.
        heights: smallest and largest, in scene units.
        colours: for each part, the colours to choose from.
        sprites: by pose; "" is the usual one.
        spots: where guests can be.
        stands: whether it can stand on the ground by itself.
        flies: the pose in which it flies, or None.
        hides: whether it can be partly behind a landmark.
        landmark: whether things can be in front of it or behind it.
        outdoors: whether a scene with it is never in a room.
        chance: how often it is chosen, against 1 for most kinds.
    """

    name: str
    attribute: str
    heights: Range
    colours: tuple[tuple[Colour, ...], ...]
    sprites: dict[str, Sprite]
    spots: tuple[Spot, ...] = ()
    stands: bool = True
    flies: str | None = None
    hides: bool = False
    landmark: bool = False
    outdoors: bool = False
    chance: float = 1.0
