"""A scene graph as nodes and arrows that reads from left to right.

Shape letters: see `speaq.structures`.
"""

import numpy as np
from matplotlib.patches import Polygon
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, Colour, Point, mixed, text_colour
from speaq.graph.data import GraphData
from speaq.visualize.canvas import LINE_HEIGHT, Panel, Text, row_width
from speaq.visualize.graph_layout import layout_graph
from speaq.visualize.label_placement import arrow_head
from speaq.visualize.style import Mark, Part, Style, emphasis, has_scores
from speaq.visualize.text import wrapped

NODE_SIZE, EDGE_SIZE = 18.0, 15.0  # font sizes
SCORE_SIZE = 0.8  # of the text beside it
LINE_LENGTH = 22  # characters
MAX_STRETCH = 1.6


class Diagram:
    """The nodes and arrows of a graph with their positions.

    Args:
        graph: the whole graph; its parts can be drawn one by one.
        style: style of its entities and relations.
        aspect: preferred width / height.
        scored: whether to leave room for scores behind names and predicates.
        height: preferred height; a lower diagram is stretched, up to ``MAX_STRETCH``.
        marked: whether to leave room for marks before predicates.

    Attributes:
        size: width and height.
    """

    def __init__(
        self,
        graph: GraphData,
        style: Style,
        aspect: float,
        *,
        scored: bool,
        height: float = 0,
        marked: bool = False,
    ) -> None:
        self.graph, self.style = graph, style
        self.names = [style.fitted_name(index, wrapped, LINE_LENGTH) for index in range(len(style.names))]
        self.predicates = [wrapped(name, LINE_LENGTH) for name in style.predicates]
        score = 0.0 if scored else None
        nodes = [_label_size(self._node_texts(index, score)) for index in range(len(self.names))]
        sign = "✓" if marked else ""
        labels = [_label_size(self._edge_texts(row, score, sign)) for row in range(len(graph))]
        self._nodes, self._labels = np.array(nodes).reshape(-1, 2), np.array(labels).reshape(-1, 2)
        centres = graph.boxes[:, 1] + graph.boxes[:, 3]
        layout = layout_graph(self._nodes, self._labels, graph.pairs, centres, aspect)
        self._layout = layout.stretched(min(max(height / max(layout.height, 1), 1), MAX_STRETCH))
        self.size = self._layout.width, self._layout.height

    def draw(self, panel: Panel, part: Part) -> None:
        """Draw a part of the graph, in the positions it has in the whole."""
        graph, scored = part.graph, has_scores(part.graph)
        for row, index in enumerate(part.relations.tolist()):
            mark = part.marks[row] if part.marks else Mark("", self.style.line_colours[index], dashed=False)
            self._draw_edge(panel, index, float(graph.triplet_scores[row]), mark, scored)
        for row, index in enumerate(part.entities.tolist()):
            score = float(graph.scores[row]) if scored else None
            self._draw_node(panel, index, score, dashed=bool(part.unmatched[row]))

    def _draw_node(self, panel: Panel, index: int, score: float | None, *, dashed: bool) -> None:
        centre, fill = self._layout.nodes[index], self.style.colours[index]
        box, edge = _box(centre, self._nodes[index]), INK if dashed else None
        panel.rectangle(box, fill=fill, edge=edge, width=2, radius=7, dashed=dashed, zorder=4)
        panel.texts(tuple(centre), self._node_texts(index, score), zorder=4)

    def _draw_edge(self, panel: Panel, row: int, score: float, mark: Mark, scored: bool) -> None:
        weight, dashed = emphasis(score), mark.dashed
        colour, width = mixed(mark.colour, WHITE, 0.35 + 0.65 * weight), 1.2 + 2.3 * weight
        route = self._layout.routes[row]
        tip, before = np.array(route[-1]), np.array(route[-2])
        length = 7 + 1.8 * width
        forward = np.sign(tip[0] - before[0]) or np.sign(tip[0] - route[-3][0])
        route = [*route[:-1], (tip[0] - forward * 0.7 * length, tip[1])]
        panel.curve(_edge_outline(route), colour, width, dashed=dashed, zorder=1)
        panel.filled(Polygon(arrow_head(tuple(tip), (forward, 0.0), length)), colour, zorder=2)
        centre, radius = self._layout.labels[row], EDGE_SIZE * 0.7
        box = _box(centre, self._labels[row])
        panel.rectangle(box, fill=WHITE, edge=colour, width=1.3, radius=radius, dashed=dashed, zorder=3)
        texts = self._edge_texts(row, score if scored else None, mark.sign, mark.colour)
        panel.texts(tuple(centre), texts, zorder=3)

    def _node_texts(self, index: int, score: float | None) -> list[Text]:
        ink = text_colour(self.style.colours[index])
        texts = [Text(self.names[index], NODE_SIZE, ink)]
        return texts if score is None else [*texts, Text(f"{score:.2f}", SCORE_SIZE * NODE_SIZE, ink)]

    def _edge_texts(self, row: int, score: float | None, sign: str, colour: Colour = INK) -> list[Text]:
        texts = [Text(sign, EDGE_SIZE, colour, bold=True)] if sign else []
        texts.append(Text(self.predicates[row], EDGE_SIZE, INK))
        return texts if score is None else [*texts, Text(f"{score:.2f}", SCORE_SIZE * EDGE_SIZE, GREY)]


def _label_size(texts: list[Text]) -> tuple[float, float]:
    """Width and height of a node or a label with texts in it."""
    size, lines = texts[0].size, max(text.text.count("\n") + 1 for text in texts)
    return row_width(texts) + 1.1 * size, (0.6 + LINE_HEIGHT * lines) * size


def _box(centre: np.ndarray, size: np.ndarray) -> Box:
    (x1, y1), (x2, y2) = centre - size / 2, centre + size / 2
    return float(x1), float(y1), float(x2), float(y2)


def _edge_outline(route: list[Point]) -> Outline:
    """The line of an edge, see ``GraphLayout.routes``."""
    points, codes = [route[0], route[1]], [Outline.MOVETO, Outline.LINETO]
    for (x1, y1), (x2, y2), end in zip(route[1::2], route[2::2], route[3::2], strict=False):
        middle = (x1 + x2) / 2
        points += [(middle, y1), (middle, y2), (x2, y2), end]
        codes += [Outline.CURVE4] * 3 + [Outline.LINETO]
    return Outline(points, codes)
