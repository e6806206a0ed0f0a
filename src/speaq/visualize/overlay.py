"""Boxes and names of a scene graph on its image, with arrows if there is no diagram beside it."""

import numpy as np
from matplotlib.patches import Circle, Polygon
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, text_colour
from speaq.visualize.canvas import Panel, Text, row_width
from speaq.visualize.label_placement import (
    LabelSpace,
    arc,
    arrow,
    arrow_ends,
    distance,
    line_positions,
    tag_positions,
)
from speaq.visualize.style import Part, Style, emphasis, has_scores
from speaq.visualize.text import shortened

TEXT_SIZES = (17.0, 15.0, 13.0, 11.0, 9.0)
"""Font sizes of the names; the first at which all have room beside their boxes is used."""
MAX_NAME_LENGTH = 24  # characters
HALO = 1.4
SCORE_SIZE = 0.8  # of the text beside it


class Overlay:
    """Boxes, labels and arrows on a photo.

    Args:
        part: the graph to draw.
        style: style of its entities and relations.
        size: width and height of the photo on the page.
        arrows: whether to draw relations too, and scores after the names.

    Attributes:
        boxes: boxes of the entities, on the page.
        arcs: arcs of the arrows, by subject and object.
        tags, labels: boxes of the names of entities and predicates that have room.
        num_hidden: names and predicates that have no room.
        text_size: font size of the names.
    """

    def __init__(self, part: Part, style: Style, size: tuple[float, float], *, arrows: bool) -> None:
        self.part, self.style, self.size, self.arrows = part, style, size, arrows
        self.scored = has_scores(part.graph)
        height, width = part.graph.image_size
        scale = np.array([size[0] / width, size[1] / height] * 2)
        # 2 units inside the photo, so that lines along its border are visible.
        inside = np.clip(part.graph.boxes * scale, 2, np.maximum(np.array(size * 2) - 2, 2))
        self.boxes: list[Box] = [(x1, y1, max(x2, x1), max(y2, y1)) for x1, y1, x2, y2 in inside.tolist()]
        # Large boxes are drawn first. The names of small ones are placed first, as they have the least room.
        self.order = sorted(range(len(self.boxes)), key=lambda i: -_area(self.boxes[i]))
        self.relations: dict[tuple[int, int], list[int]] = {}
        for row, (subject, object_) in enumerate(part.graph.pairs.tolist()):
            if arrows:
                self.relations.setdefault((subject, object_), []).append(row)
        # Arcs bend to their left, so that arrows in opposite directions do not overlap.
        self.arcs = {
            (subject, object_): arc(
                *arrow_ends(self.boxes[subject], self.boxes[object_], min_length=100), bend=0.08
            )
            for subject, object_ in self.relations
        }
        self._place_labels()

    def _place_labels(self) -> None:
        """Place names and predicates in the largest font size at which all have room."""
        best = None
        for text_size in TEXT_SIZES:
            self.text_size = text_size
            tags, labels = self._find_room()
            hidden = len(self.boxes) - len(tags) + len(self.arcs) - len(labels)
            far = sum(distance(tag, self.boxes[index]) > 1 for index, tag in tags.items())
            if best is None or (hidden, far) < best[0]:
                best = (hidden, far), text_size, tags, labels
            if not hidden and not far:
                break
        assert best is not None
        (self.num_hidden, _), self.text_size, self.tags, self.labels = best

    def _find_room(self) -> tuple[dict[int, Box], dict[tuple[int, int], Box]]:
        space, tags, labels = LabelSpace(self.size), {}, {}
        for points in self.arcs.values():
            space.reserve(points[0], radius=self.text_size / 2)
            space.reserve(points[-1], radius=self.text_size)
        for index in reversed(self.order):
            tag = row_width(self._name(index)) + 0.8 * self.text_size, 1.45 * self.text_size
            place = space.place(tag, tag_positions(self.boxes[index], tag), self.boxes[index])
            if place is not None:
                tags[index] = place
        for pair, points in self.arcs.items():
            label = row_width(self._predicates(pair)) + 0.9 * self.text_size, 1.4 * self.text_size
            middle = points[len(points) // 2]
            place = space.place(label, line_positions(points, label), (*middle, *middle))
            if place is not None:
                labels[pair] = place
        return tags, labels

    def draw(self, panel: Panel) -> None:
        """Boxes, then arrows, then names."""
        for index in self.order:
            weight = emphasis(float(self.part.graph.scores[index]))
            panel.rectangle(
                self.boxes[index],
                edge=self._colour(index),
                width=1.5 + 1.5 * weight,
                radius=3,
                opacity=0.4 + 0.6 * weight,
                dashed=bool(self.part.unmatched[index]),
                halo=HALO,
            )
        for pair, points in self.arcs.items():
            self._draw_arrow(panel, pair, points)
        for index, tag in self.tags.items():
            self._draw_tag(panel, index, tag)
        for pair, place in self.labels.items():
            edge = self.style.line_colours[self._row(pair)]
            panel.rectangle(place, fill=WHITE, edge=edge, width=1.5, radius=place[3] - place[1], zorder=3)
            panel.texts(_centre(place), self._predicates(pair), zorder=3)

    def _draw_arrow(self, panel: Panel, pair: tuple[int, int], points: np.ndarray) -> None:
        subject, object_ = (self._colour(index) for index in pair)
        scores = self.part.graph.triplet_scores[self.relations[pair]]
        width = 1.5 + 2 * emphasis(float(scores.max()))
        shaft, corners = arrow(points, length=9 + 2 * width, gap=8)
        panel.curve(Outline(shaft), subject, width, halo=HALO, zorder=2)
        panel.filled(Polygon(corners), subject, halo=HALO, zorder=2)
        panel.filled(Circle(tuple(points[0]), 5), subject, halo=HALO, zorder=2)
        panel.filled(Circle(tuple(points[-1]), 5), object_, halo=HALO, zorder=2)

    def _draw_tag(self, panel: Panel, index: int, tag: Box) -> None:
        box, colour = self.boxes[index], self._colour(index)
        if distance(tag, box) > 1:  # connected to its box by a line
            start = _centre(tag)
            end = tuple(np.clip(start, box[:2], box[2:]).tolist())
            panel.curve(Outline([start, end]), colour, 1.5, halo=HALO, zorder=2)
        panel.rectangle(tag, fill=colour, radius=4, halo=0.7, zorder=3)
        panel.texts(_centre(tag), self._name(index), zorder=3)

    def _colour(self, index: int) -> tuple[int, int, int]:
        return self.style.colours[self.part.entities[index]]

    def _row(self, pair: tuple[int, int]) -> int:
        return int(self.part.relations[self.relations[pair][0]])

    def _name(self, index: int) -> list[Text]:
        ink = text_colour(self._colour(index))
        name = self.style.fitted_name(self.part.entities[index], shortened, MAX_NAME_LENGTH)
        texts = [Text(name, self.text_size, ink)]
        if self.arrows and self.scored:
            texts.append(Text(f"{self.part.graph.scores[index]:.2f}", SCORE_SIZE * self.text_size, ink))
        return texts

    def _predicates(self, pair: tuple[int, int]) -> list[Text]:
        rows = self.relations[pair]
        names = dict.fromkeys(self.style.predicates[self.part.relations[row]] for row in rows)
        texts = [Text(shortened(", ".join(names), MAX_NAME_LENGTH), 0.9 * self.text_size, INK)]
        if self.scored:
            score = self.part.graph.triplet_scores[rows].max()
            texts.append(Text(f"{score:.2f}", SCORE_SIZE * 0.9 * self.text_size, GREY))
        return texts


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
