"""Boxes and names of a scene graph on its image, with arrows if there is no diagram beside it."""

import numpy as np
from matplotlib.patches import Circle, Polygon
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, Point, text_colour
from speaq.visualize.canvas import Panel
from speaq.visualize.label_placement import (
    LabelSpace,
    arc,
    arrow,
    arrow_ends,
    distance,
    line_positions,
    tag_positions,
)
from speaq.visualize.style import Edge, Node, StyledGraph, emphasis
from speaq.visualize.text import Text, row_size, shortened, with_score

TEXT_SIZES = (17.0, 15.0, 13.0, 11.0, 9.0)
"""Font sizes of the names; the first at which all have room beside their boxes is used."""
MAX_NAME_LENGTH = 24  # characters
HALO = 1.4


class Overlay:
    """Boxes, labels and arrows on a photo of width and height ``size``.

    With ``arrows``, relations are drawn too, and scores after the names.

    Attributes:
        boxes: boxes of the entities, in the units of ``size``.
        relations: by subject and object, the relations that share an arrow.
        arcs: arcs of the arrows.
        tags, labels: boxes of the names of entities and predicates that have room.
        num_hidden: names and predicates that have no room.
        text_size: font size of the names.
    """

    def __init__(self, graph: StyledGraph, size: tuple[float, float], *, arrows: bool) -> None:
        self.size, self.arrows, self.scored = size, arrows, graph.scored
        height, width = graph.image_size
        scale = np.array([size[0] / width, size[1] / height] * 2)
        highest = np.maximum(np.array(size * 2) - 2, 2)  # inside the photo: lines at its border are visible
        self.boxes: dict[int, Box] = {}
        for node in graph.nodes:
            x1, y1, x2, y2 = np.clip(node.box * scale, 2, highest).tolist()
            self.boxes[node.index] = x1, y1, max(x2, x1), max(y2, y1)
        # Large boxes are drawn first. The names of small ones are placed first, as they have the least room.
        self.nodes = sorted(graph.nodes, key=lambda node: -_area(self.boxes[node.index]))
        self.relations: dict[tuple[int, int], list[Edge]] = {}
        for edge in graph.edges if arrows else ():
            self.relations.setdefault((edge.subject.index, edge.object.index), []).append(edge)
        # Arcs bend to their left, so that arrows in opposite directions do not overlap.
        self.arcs = {
            pair: arc(*arrow_ends(self.boxes[pair[0]], self.boxes[pair[1]], min_length=100), bend=0.08)
            for pair in self.relations
        }
        self._place_labels()

    def _place_labels(self) -> None:
        """Place names and predicates in the largest font size at which all have room."""
        attempts = []
        for text_size in TEXT_SIZES:
            self.text_size = text_size
            tags, labels = self._find_room()
            hidden = len(self.boxes) - len(tags) + len(self.arcs) - len(labels)
            far = sum(distance(tag, self.boxes[index]) > 1 for index, tag in tags.items())
            attempts.append((hidden, far, text_size, tags, labels))
            if not hidden and not far:
                break
        best = min(attempts, key=lambda attempt: attempt[:2])
        self.num_hidden, _, self.text_size, self.tags, self.labels = best

    def _find_room(self) -> tuple[dict[int, Box], dict[tuple[int, int], Box]]:
        space, tags, labels = LabelSpace(self.size), {}, {}
        for points in self.arcs.values():
            space.reserve(points[0], radius=self.text_size / 2)
            space.reserve(points[-1], radius=self.text_size)
        for node in reversed(self.nodes):
            tag = row_size(self._name(node))[0] + 0.8 * self.text_size, 1.45 * self.text_size
            box = self.boxes[node.index]
            if place := space.place(tag, tag_positions(box, tag), box):
                tags[node.index] = place
        for pair, points in self.arcs.items():
            label = row_size(self._predicates(pair))[0] + 0.9 * self.text_size, 1.4 * self.text_size
            middle = points[len(points) // 2]
            if place := space.place(label, line_positions(points, label), (*middle, *middle)):
                labels[pair] = place
        return tags, labels

    def draw(self, panel: Panel) -> None:
        """Boxes, then arrows, then names."""
        for node in self.nodes:
            weight = emphasis(node.score)
            panel.rectangle(
                self.boxes[node.index],
                edge=node.colour,
                width=1.5 + 1.5 * weight,
                radius=3,
                opacity=0.4 + 0.6 * weight,
                dashed=node.dashed,
                halo=HALO,
            )
        for pair, points in self.arcs.items():
            _draw_arrow(panel, self.relations[pair], points)
        for node in reversed(self.nodes):
            if node.index in self.tags:
                self._draw_tag(panel, node)
        for pair, place in self.labels.items():
            edge = self.relations[pair][0].mark.colour
            panel.rectangle(place, fill=WHITE, edge=edge, width=1.5, radius=place[3] - place[1], zorder=3)
            panel.texts(_centre(place), self._predicates(pair), zorder=3)

    def _draw_tag(self, panel: Panel, node: Node) -> None:
        tag, box = self.tags[node.index], self.boxes[node.index]
        centre = _centre(tag)
        if distance(tag, box) > 1:  # connected to its box by a line
            end = np.clip(centre, box[:2], box[2:]).tolist()
            panel.curve(Outline(np.array([centre, end])), node.colour, 1.5, halo=HALO, zorder=2)
        panel.rectangle(tag, fill=node.colour, radius=4, halo=0.7, zorder=3)
        panel.texts(centre, self._name(node), zorder=3)

    def _name(self, node: Node) -> list[Text]:
        ink = text_colour(node.colour)
        name = Text(node.label(shortened, MAX_NAME_LENGTH), self.text_size, ink)
        return with_score(name, node.score if self.arrows and self.scored else None, ink)

    def _predicates(self, pair: tuple[int, int]) -> list[Text]:
        edges = self.relations[pair]
        names = ", ".join(dict.fromkeys(edge.predicate for edge in edges))
        text = Text(shortened(names, MAX_NAME_LENGTH), 0.9 * self.text_size, INK)
        return with_score(text, _best_score(edges) if self.scored else None, GREY)


def _draw_arrow(panel: Panel, edges: list[Edge], points: np.ndarray) -> None:
    subject, object_ = edges[0].subject.colour, edges[0].object.colour
    width = 1.5 + 2 * emphasis(_best_score(edges))
    shaft, head = arrow(points, length=9 + 2 * width, gap=8)
    panel.curve(Outline(shaft), subject, width, halo=HALO, zorder=2)
    for shape, colour in (
        (Polygon(head), subject),
        (Circle(points[0], 5), subject),
        (Circle(points[-1], 5), object_),
    ):
        panel.filled(shape, colour, halo=HALO, zorder=2)


def _best_score(edges: list[Edge]) -> float:
    return max(edge.score for edge in edges)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Box) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
