"""A scene graph as nodes and arrows, reading from left to right.

E: entities, M: relations.
"""

import numpy as np
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, Colour, Point, mixed, text_colour
from speaq.graph.data import GraphData
from speaq.visualize.drawing.arrange import arrange
from speaq.visualize.drawing.layout import head
from speaq.visualize.drawing.look import Look, Mark, Part, is_scored, strength
from speaq.visualize.drawing.sheet import LINE, Panel, Word, words_width
from speaq.visualize.text import wrapped

NODE_TEXT, EDGE_TEXT = 18.0, 15.0
SCORE_SIZE = 0.8  # of the text beside it
LINE_LENGTH = 22  # letters
MOST_STRETCH = 1.6


class Diagram:
    """The nodes and arrows of a graph, laid out.

    Args:
        graph: all of it; its parts may be drawn one by one.
        look: of its entities and relations.
        aspect: the width per height to come close to.
        scored: whether there is room for scores behind names and predicates.
        height: to fill, as far as that does not tear the graph apart.
        marked: whether there is room for marks before the predicates.
    """

    def __init__(
        self,
        graph: GraphData,
        look: Look,
        aspect: float,
        *,
        scored: bool,
        height: float = 0,
        marked: bool = False,
    ) -> None:
        self.graph, self.look = graph, look
        self.names = [look.fitted(index, wrapped, LINE_LENGTH) for index in range(len(look.names))]
        self.predicates = [wrapped(name, LINE_LENGTH) for name in look.predicates]
        score = 0.0 if scored else None
        sizes = [_size(self._node_words(index, score), self.names[index]) for index in range(len(self.names))]
        labels = [
            _size(self._edge_words(row, score, "✓" if marked else ""), self.predicates[row])
            for row in range(len(graph))
        ]
        self._nodes, self._labels = np.array(sizes).reshape(-1, 2), np.array(labels).reshape(-1, 2)
        centres = graph.boxes[:, 1] + graph.boxes[:, 3]
        places = arrange(self._nodes, self._labels, graph.pairs, centres, aspect)
        self._places = places.stretched(min(max(height / max(places.height, 1), 1), MOST_STRETCH))
        self.size = self._places.width, self._places.height

    def draw(self, panel: Panel, part: Part) -> None:
        """Draw a part of the graph; the rest of it stays free."""
        graph, scored = part.graph, is_scored(part.graph)
        for row, shown in enumerate(part.relations.tolist()):
            mark = part.marks[row] if part.marks else Mark("", self.look.lines[shown], dashed=False)
            self._draw_edge(panel, shown, float(graph.triplet_scores[row]), mark, scored)
        for index, shown in enumerate(part.entities.tolist()):
            score = float(graph.scores[index]) if scored else None
            self._draw_node(panel, shown, score, dashed=bool(part.alone[index]))

    def _draw_node(self, panel: Panel, index: int, score: float | None, *, dashed: bool) -> None:
        box = _around(self._places.nodes[index], self._nodes[index])
        edge = INK if dashed else None
        panel.plate(box, fill=self.look.colours[index], edge=edge, width=2, radius=7, dashed=dashed, level=4)
        panel.words(tuple(self._places.nodes[index]), self._node_words(index, score), level=4)

    def _draw_edge(self, panel: Panel, row: int, score: float, mark: Mark, scored: bool) -> None:
        shown, dashed = strength(score), mark.dashed
        colour, width = mixed(mark.colour, WHITE, 0.35 + 0.65 * shown), 1.2 + 2.3 * shown
        route = self._places.routes[row]
        tip, before = np.array(route[-1]), np.array(route[-2])
        length = 7 + 1.8 * width
        forward = np.sign(tip[0] - before[0]) or np.sign(tip[0] - route[-3][0])
        route = [*route[:-1], (tip[0] - forward * 0.7 * length, tip[1])]
        panel.curve(_swinging(route), colour, width, dashed=dashed, level=1)
        panel.polygon(head(tuple(tip), (forward, 0.0), length), colour, level=2)
        box = _around(self._places.labels[row], self._labels[row])
        panel.plate(box, fill=WHITE, edge=colour, width=1.3, radius=EDGE_TEXT * 0.7, dashed=dashed, level=3)
        words = self._edge_words(row, score if scored else None, mark.sign, mark.colour)
        panel.words(tuple(self._places.labels[row]), words, level=3)

    def _node_words(self, index: int, score: float | None) -> list[Word]:
        ink = text_colour(self.look.colours[index])
        words = [Word(self.names[index], NODE_TEXT, ink)]
        return words if score is None else [*words, Word(f"{score:.2f}", SCORE_SIZE * NODE_TEXT, ink)]

    def _edge_words(self, row: int, score: float | None, sign: str, colour: Colour = INK) -> list[Word]:
        words = [Word(sign, EDGE_TEXT, colour, bold=True)] if sign else []
        words.append(Word(self.predicates[row], EDGE_TEXT, INK))
        return words if score is None else [*words, Word(f"{score:.2f}", SCORE_SIZE * EDGE_TEXT, GREY)]


def _size(words: list[Word], text: str) -> tuple[float, float]:
    size = words[0].size
    return words_width(words) + 1.1 * size, (0.6 + LINE * (1 + text.count("\n"))) * size


def _around(centre: np.ndarray, size: np.ndarray) -> Box:
    (x1, y1), (x2, y2) = centre - size / 2, centre + size / 2
    return float(x1), float(y1), float(x2), float(y2)


def _swinging(route: list[Point]) -> Outline:
    """A line that is straight and swings in turn, see ``Arrangement.routes``."""
    points, codes = [route[0], route[1]], [Outline.MOVETO, Outline.LINETO]
    for (x1, y1), (x2, y2), end in zip(route[1::2], route[2::2], route[3::2], strict=False):
        middle = (x1 + x2) / 2
        points += [(middle, y1), (middle, y2), (x2, y2), end]
        codes += [Outline.CURVE4] * 3 + [Outline.LINETO]
    return Outline(points, codes)
