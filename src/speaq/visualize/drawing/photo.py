"""Boxes and names of a scene graph on its image, with arrows where there is no diagram beside it."""

import numpy as np
from matplotlib.path import Path as Outline

from speaq.graph.colours import GREY, INK, WHITE, Box, text_colour
from speaq.visualize.drawing.layout import Space, along, anchors, arc, arrow, distance, tag_positions
from speaq.visualize.drawing.look import Look, Part, is_scored, strength
from speaq.visualize.drawing.sheet import Panel, Word, words_width
from speaq.visualize.text import shortened

TEXT_SIZES = (17.0, 15.0, 13.0, 11.0, 9.0)
"""Of the names: the first one at which all find room beside their boxes."""
LONGEST_NAME = 24
RIM = 1.4
SCORE_SIZE = 0.8  # of the text beside it


class Overlay:
    """What is drawn on a photo.

    Args:
        part: all of it is drawn.
        look: of its entities and relations.
        size: width and height of the photo on the page.
        arrows: whether relations are drawn too, and scores after the names.
    """

    def __init__(self, part: Part, look: Look, size: tuple[float, float], *, arrows: bool) -> None:
        self.part, self.look, self.size, self.arrows = part, look, size, arrows
        self.scored = is_scored(part.graph)
        height, width = part.graph.image_size
        scale = np.array([size[0] / width, size[1] / height] * 2)
        # A little inside the photo, so that lines along its border are seen in full.
        inside = np.clip(part.graph.boxes * scale, 2, np.maximum(np.array(size * 2) - 2, 2))
        self.boxes: list[Box] = [(x1, y1, max(x2, x1), max(y2, y1)) for x1, y1, x2, y2 in inside.tolist()]
        # Large boxes lie behind small ones; small ones have the least room, so their names choose first.
        self.order = sorted(range(len(self.boxes)), key=lambda i: -_area(self.boxes[i]))
        self.relations: dict[tuple[int, int], list[int]] = {}
        for row, (subject, object_) in enumerate(part.graph.pairs.tolist()):
            if arrows:
                self.relations.setdefault((subject, object_), []).append(row)
        # Arcs leave the straight line to their left, so that an arrow and its counterpart stay apart.
        self.arcs = {
            (subject, object_): arc(*anchors(self.boxes[subject], self.boxes[object_], apart=100), bend=0.08)
            for subject, object_ in self.relations
        }
        self._arrange()

    def _arrange(self) -> None:
        """Find places for names and predicates, in the largest text at which there is room for all."""
        fewest = None
        for text_size in TEXT_SIZES:
            self.text_size = text_size
            tags, labels = self._places()
            lost = len(self.boxes) - len(tags) + len(self.arcs) - len(labels)
            far = sum(distance(tag, self.boxes[index]) > 1 for index, tag in tags.items())
            if fewest is None or (lost, far) < fewest[0]:
                fewest = (lost, far), text_size, tags, labels
            if not lost and not far:
                break
        assert fewest is not None
        (self.lost, _), self.text_size, self.tags, self.labels = fewest

    def _places(self) -> tuple[dict[int, Box], dict[tuple[int, int], Box]]:
        space, tags, labels = Space(self.size), {}, {}
        for points in self.arcs.values():
            space.reserve(points[0], radius=self.text_size / 2)
            space.reserve(points[-1], radius=self.text_size)
        for index in reversed(self.order):
            tag = words_width(self._name(index)) + 0.8 * self.text_size, 1.45 * self.text_size
            place = space.place(tag, tag_positions(self.boxes[index], tag), self.boxes[index])
            if place is not None:
                tags[index] = place
        for pair, points in self.arcs.items():
            label = words_width(self._predicates(pair)) + 0.9 * self.text_size, 1.4 * self.text_size
            middle = points[len(points) // 2]
            place = space.place(label, along(points, label), (*middle, *middle))
            if place is not None:
                labels[pair] = place
        return tags, labels

    def draw(self, panel: Panel) -> None:
        """Boxes, then arrows, then names."""
        for index in self.order:
            shown = strength(float(self.part.graph.scores[index]))
            panel.plate(
                self.boxes[index],
                edge=self._colour(index),
                width=1.5 + 1.5 * shown,
                radius=3,
                opacity=0.4 + 0.6 * shown,
                dashed=bool(self.part.alone[index]),
                rim=RIM,
            )
        for pair, points in self.arcs.items():
            self._draw_arrow(panel, pair, points)
        for index, tag in self.tags.items():
            self._draw_tag(panel, index, tag)
        for pair, place in self.labels.items():
            edge = self.look.lines[self._row(pair)]
            panel.plate(place, fill=WHITE, edge=edge, width=1.5, radius=place[3] - place[1], level=3)
            panel.words(_centre(place), self._predicates(pair), level=3)

    def _draw_arrow(self, panel: Panel, pair: tuple[int, int], points: np.ndarray) -> None:
        subject, object_ = (self._colour(index) for index in pair)
        shown = strength(max(float(self.part.graph.triplet_scores[row]) for row in self.relations[pair]))
        width = 1.5 + 2 * shown
        shaft, corners = arrow(points, length=9 + 2 * width, gap=8)
        panel.curve(Outline(shaft), subject, width, rim=RIM, level=2)
        panel.polygon(corners, subject, rim=RIM, level=2)
        panel.disc(tuple(points[0]), 5, subject, rim=RIM, level=2)
        panel.disc(tuple(points[-1]), 5, object_, rim=RIM, level=2)

    def _draw_tag(self, panel: Panel, index: int, tag: Box) -> None:
        box, colour = self.boxes[index], self._colour(index)
        if distance(tag, box) > 1:  # a line to the nearest point of the box
            start = _centre(tag)
            end = tuple(np.clip(start, box[:2], box[2:]).tolist())
            panel.curve(Outline([start, end]), colour, 1.5, rim=RIM, level=2)
        panel.plate(tag, fill=colour, radius=4, rim=0.7, level=3)
        panel.words(_centre(tag), self._name(index), level=3)

    def _colour(self, index: int) -> tuple[int, int, int]:
        return self.look.colours[self.part.entities[index]]

    def _row(self, pair: tuple[int, int]) -> int:
        return int(self.part.relations[self.relations[pair][0]])

    def _name(self, index: int) -> list[Word]:
        ink = text_colour(self._colour(index))
        name = self.look.fitted(self.part.entities[index], shortened, LONGEST_NAME)
        words = [Word(name, self.text_size, ink)]
        if self.arrows and self.scored:
            words.append(Word(f"{self.part.graph.scores[index]:.2f}", SCORE_SIZE * self.text_size, ink))
        return words

    def _predicates(self, pair: tuple[int, int]) -> list[Word]:
        rows = self.relations[pair]
        names = dict.fromkeys(self.look.predicates[self.part.relations[row]] for row in rows)
        words = [Word(shortened(", ".join(names), LONGEST_NAME), 0.9 * self.text_size, INK)]
        if self.scored:
            score = max(float(self.part.graph.triplet_scores[row]) for row in rows)
            words.append(Word(f"{score:.2f}", SCORE_SIZE * 0.9 * self.text_size, GREY))
        return words


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
