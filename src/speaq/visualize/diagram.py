"""A scene graph as nodes and arrows that reads from left to right."""

import numpy as np
from matplotlib.patches import Polygon
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, mixed, text_colour
from speaq.visualize.canvas import Panel
from speaq.visualize.graph_layout import layout_graph
from speaq.visualize.label_placement import arrow_head
from speaq.visualize.style import Edge, Node, StyledGraph, emphasis
from speaq.visualize.text import LINE_HEIGHT, Text, row_size, with_score, wrapped

NODE_SIZE, EDGE_SIZE = 18.0, 15.0  # font sizes
LINE_LENGTH = 22  # characters
MAX_STRETCH = 1.6


class Diagram:
    """The nodes and arrows of a graph with their positions, with room for scores if it is scored.

    Args:
        graph: the whole graph; its parts can be drawn one by one.
        aspect: preferred width / height.
        height: preferred height; a lower diagram is stretched, up to ``MAX_STRETCH``.

    Attributes:
        size: width and height.
    """

    def __init__(self, graph: StyledGraph, aspect: float, *, height: float = 0) -> None:
        score = 0.0 if graph.scored else None
        self._nodes, self._labels = (
            np.array([_label_size(texts) for texts in rows]).reshape(-1, 2)
            for rows in (
                [_node_texts(node, score) for node in graph.nodes],
                [_edge_texts(edge, score) for edge in graph.edges],
            )
        )
        pairs = np.array([(edge.subject.index, edge.object.index) for edge in graph.edges], np.int64)
        boxes = np.array([node.box for node in graph.nodes], np.float32).reshape(-1, 4)
        layout = layout_graph(
            self._nodes, self._labels, pairs.reshape(-1, 2), boxes[:, 1] + boxes[:, 3], aspect
        )
        self._layout = layout.stretched(min(max(height / max(layout.height, 1), 1), MAX_STRETCH))
        self.size = self._layout.width, self._layout.height

    def draw(self, panel: Panel, part: StyledGraph) -> None:
        """Draw a part of the graph, in the positions it has in the whole."""
        for edge in part.edges:
            self._draw_edge(panel, edge, edge.score if part.scored else None)
        for node in part.nodes:
            centre, edge = self._layout.nodes[node.index], INK if node.dashed else None
            box = _box(centre, self._nodes[node.index])
            panel.rectangle(box, fill=node.colour, edge=edge, width=2, radius=7, dashed=node.dashed, zorder=4)
            panel.texts(centre, _node_texts(node, node.score if part.scored else None), zorder=4)

    def _draw_edge(self, panel: Panel, edge: Edge, score: float | None) -> None:
        weight, dashed = emphasis(edge.score), edge.mark.dashed
        colour, width = mixed(edge.mark.colour, WHITE, 0.35 + 0.65 * weight), 1.2 + 2.3 * weight
        route, length = self._layout.routes[edge.index].copy(), 7 + 1.8 * width
        forward = np.sign(route[-1, 0] - route[-2, 0]) or np.sign(route[-1, 0] - route[-3, 0])
        head = Polygon(arrow_head(route[-1], (forward, 0.0), length))
        route[-1, 0] -= forward * 0.7 * length  # the line ends inside the head
        panel.curve(_outline(route), colour, width, dashed=dashed, zorder=1)
        panel.filled(head, colour, zorder=2)
        centre, radius = self._layout.labels[edge.index], EDGE_SIZE * 0.7
        box = _box(centre, self._labels[edge.index])
        panel.rectangle(box, fill=WHITE, edge=colour, width=1.3, radius=radius, dashed=dashed, zorder=3)
        panel.texts(centre, _edge_texts(edge, score), zorder=3)


def _node_texts(node: Node, score: float | None) -> list[Text]:
    ink = text_colour(node.colour)
    return with_score(Text(node.label(wrapped, LINE_LENGTH), NODE_SIZE, ink), score, ink)


def _edge_texts(edge: Edge, score: float | None) -> list[Text]:
    sign = [Text(edge.mark.sign, EDGE_SIZE, edge.mark.colour, bold=True)] if edge.mark.sign else []
    return sign + with_score(Text(wrapped(edge.predicate, LINE_LENGTH), EDGE_SIZE, INK), score, GREY)


def _label_size(texts: list[Text]) -> tuple[float, float]:
    """Width and height of a node or a label with texts in it."""
    (width, lines), size = row_size(texts), texts[0].size
    return width + 1.1 * size, (0.6 + LINE_HEIGHT * lines) * size


def _box(centre: np.ndarray, size: np.ndarray) -> Box:
    (x1, y1), (x2, y2) = (centre - size / 2).tolist(), (centre + size / 2).tolist()
    return x1, y1, x2, y2


def _outline(route: np.ndarray) -> Outline:
    """The line of an edge, see ``GraphLayout.routes``."""
    points, codes = [route[0], route[1]], [Outline.MOVETO, Outline.LINETO]
    for (x1, y1), (x2, y2), end in zip(route[1::2], route[2::2], route[3::2], strict=False):
        middle = (x1 + x2) / 2
        points += [(middle, y1), (middle, y2), (x2, y2), end]
        codes += [Outline.CURVE4] * 3 + [Outline.LINETO]
    return Outline(points, codes)
