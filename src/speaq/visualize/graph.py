"""A scene graph without its image: entities as nodes, relations as arrows."""

from pathlib import Path

from PIL import Image

from speaq.graph.data import GraphData
from speaq.visualize.drawing.blocks import diagram_block, padded
from speaq.visualize.drawing.diagram import Diagram
from speaq.visualize.drawing.look import Look, Part, is_scored
from speaq.visualize.drawing.page import MARGIN, best_part, framed, left_out, written


def draw_diagram(
    graph: GraphData, *, path: str | Path | None = None, top: int = 20, score: float = 0.0
) -> Image.Image:
    """The best relations as a diagram that reads from left to right.

    Args:
        graph: what to draw; its image is not needed.
        path: where to write the picture: .svg and .pdf hold shapes and text, all other formats pixels.
        top: how many relations are drawn at most, the best ones; entities, where there is no relation.
        score: the least score of what is drawn.

    Raises:
        SpeaqError: the picture cannot be written.
    """
    shown = best_part(graph, top, score)
    diagram = Diagram(shown, Look.of(shown), aspect=1.5, scored=is_scored(shown))
    page = padded(diagram_block(diagram, Part.whole(shown)), MARGIN)
    return written(framed(page, None, left_out(graph, shown)), path)
