"""A scene graph without its image: entities as nodes, relations as arrows.

E: entities.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.scene_graph import SceneGraph
from speaq.visualize.overlay import Look
from speaq.visualize.style import GREY, INK, Colour, text_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Rgb = tuple[float, float, float]

ASPECT = 1.4  # width of the diagram per height
BEND = 0.12  # how far an arrow bends from the straight line, so that there and back stay apart


def draw_diagram(
    graph: SceneGraph, *, path: str | Path | None = None, top: int = 20, score: float = 0.0
) -> "Figure":
    """The best relations as a diagram; with an ending such as .pdf or .svg in vector form, for a paper.

    Nodes are arranged as the entities are in the image, and then spread out.

    Args:
        graph: what to draw.
        path: where to write the picture; the ending says the format.
        top: how many relations are drawn at most, the best ones.
        score: the least score of a relation drawn.

    Raises:
        SpeaqError: the picture cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = graph.filter(score=score, top=top)
    look = Look.of(shown)
    side = 2.5 + 0.8 * len(shown.boxes) ** 0.5  # inches
    figure = Figure(figsize=(ASPECT * side, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(aspect="equal", xlim=(-0.12, ASPECT + 0.12), ylim=(1.08, -0.08))
    axes.set_axis_off()
    if not len(shown):
        axes.text(ASPECT / 2, 0.5, "no relations", ha="center", color=_rgb(GREY), fontsize=12)
    positions = arrange(shown) * (ASPECT, 1)
    nodes = []
    for (x, y), name, colour in zip(positions, look.names, look.colours, strict=True):
        plate = {"boxstyle": "round,pad=0.4", "facecolor": _rgb(colour), "edgecolor": "none"}
        ink = _rgb(text_colour(colour))
        nodes.append(
            axes.text(x, y, name, ha="center", va="center", fontsize=11, color=ink, bbox=plate, zorder=3)
        )
    predicates: dict[tuple[int, int], list[str]] = {}
    for triplet in shown.triplets:
        predicates.setdefault((triplet.subject_index, triplet.object_index), []).append(triplet.predicate)
    for (subject, object_), names in predicates.items():
        _draw_edge(
            axes, nodes[subject], nodes[object_], ", ".join(dict.fromkeys(names)), _rgb(look.colours[subject])
        )
    if path is not None:
        try:
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=150)
        except ValueError as error:
            raise SpeaqError(f"{path}: cannot write a picture with this ending ({error})") from error
    return figure


def _draw_edge(axes: "Axes", subject: "Text", object_: "Text", label: str, colour: Rgb) -> None:
    """An arrow between two nodes with the predicate on its middle; a loop above a node to itself."""
    start, end = np.array(subject.get_position()), np.array(object_.get_position())
    dx, dy = end - start
    bend = BEND
    # The middle of matplotlib's arc is half its bend away from the straight line; the y axis points down.
    x, y = (start + end) / 2 + bend / 2 * np.array([-dy, dx])
    if subject is object_:
        bend, (x, y) = 2.5, start - (0, 0.125)
        start, end = start + np.array([0.05, 0]), end - np.array([0.05, 0])
    axes.annotate(
        "",
        xy=(float(end[0]), float(end[1])),
        xytext=(float(start[0]), float(start[1])),
        arrowprops={
            "arrowstyle": "-|>,head_length=0.5,head_width=0.25",
            "connectionstyle": f"arc3,rad={bend}",
            "color": colour,
            "linewidth": 1.6,
            "patchA": subject.get_bbox_patch(),
            "patchB": object_.get_bbox_patch(),
            "shrinkA": 2,
            "shrinkB": 2,
        },
        zorder=1,
    )
    plate = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.9}
    axes.text(x, y, label, ha="center", va="center", fontsize=9, color=_rgb(INK), bbox=plate, zorder=2)


def arrange(graph: SceneGraph, steps: int = 200) -> np.ndarray:
    """Positions (E, 2) of nodes in 0..1: from the centres of their boxes by force-directed placement.

    Nodes repel each other and related ones attract each other (Fruchterman and Reingold, 1991). Starting from
    the image keeps what is above above, and makes the result the same every time.
    """
    count = len(graph.boxes)
    height, width = graph.image_size
    centres = (graph.boxes[:, :2] + graph.boxes[:, 2:]) / 2 / (width, height)
    # Entities in one place would never part: move each a little in its own direction.
    angle = 2.4 * np.arange(count)  # the golden angle, in radians
    position = centres + 0.01 * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    ideal = 0.9 / max(count, 1) ** 0.5
    related = np.zeros((count, count), bool)
    related[graph.pairs[:, 0], graph.pairs[:, 1]] = True
    related |= related.T
    for step in range(steps):
        offset = position[:, None] - position[None]
        distance = np.maximum(np.hypot(offset[..., 0], offset[..., 1]), 1e-3)
        force = ideal**2 / distance - related * distance**2 / ideal
        move = (offset / distance[..., None] * force[..., None]).sum(axis=1) + 0.3 * (centres - position)
        length = np.maximum(np.hypot(move[:, 0], move[:, 1]), 1e-9)[:, None]
        position += move / length * np.minimum(length, 0.1 * (1 - step / steps))
    low, high = position.min(axis=0, initial=np.inf), position.max(axis=0, initial=-np.inf)
    spread = high - low
    return np.where(spread > 1e-6, (position - low) / np.where(spread > 1e-6, spread, 1), 0.5)


def _rgb(colour: Colour) -> Rgb:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255
