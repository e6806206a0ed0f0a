"""Boxes, names and arrows of a scene graph on its image."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from PIL import Image

from speaq.scene_graph import SceneGraph
from speaq.visualize.layout import Space, along, anchors, arrow, curve, tag_positions
from speaq.visualize.style import INK, PALETTE, WHITE, Box, Colour, Point, Sketch, tag_size


@dataclass(frozen=True, slots=True)
class Look:
    """How the E entities of a graph appear, in the drawing and in the list alike.

    Attributes:
        names: with a number where a name occurs more than once: cup, person 1, person 2.
        colours: of their boxes, tags and arrows.
    """

    names: list[str]
    colours: list[Colour]

    @classmethod
    def of(cls, graph: SceneGraph, shades: Sequence[int] | None = None) -> Self:
        """Names and colours; ``shades`` (E) are positions in the palette, by default in turn."""
        names = [entity.name for entity in graph.entities]
        total, seen, numbered = Counter(names), Counter[str](), []
        for name in names:
            seen[name] += 1
            numbered.append(f"{name} {seen[name]}" if total[name] > 1 else name)
        shades = range(len(names)) if shades is None else shades
        return cls(numbered, [PALETTE[shade % len(PALETTE)] for shade in shades])


def overlay(graph: SceneGraph, look: Look, picture: Image.Image, size: int) -> Image.Image:
    """The picture with the graph on it: boxes, then arrows, then all labels.

    Args:
        graph: all of it is drawn.
        look: of its entities.
        picture: of the same scene, in any resolution.
        size: of the text in pixels.
    """
    stroke = max(size / 7, 2)
    boxes = _boxes_on(graph, picture)
    sketch, space = Sketch(picture.size), Space(picture.size)

    predicates: dict[tuple[int, int], list[str]] = {}
    for triplet in graph.triplets:
        predicates.setdefault((triplet.subject_index, triplet.object_index), []).append(triplet.predicate)
    # Arcs leave the straight line to their left, so that an arrow and its counterpart stay apart.
    arcs = {
        (subject, object_): curve(*anchors(boxes[subject], boxes[object_], distance=6 * size), bend=0.08)
        for subject, object_ in predicates
    }
    for points in arcs.values():
        space.reserve(points[0], radius=size / 2)
        space.reserve(points[-1], radius=size)
    tags: dict[int, Box] = {}
    largest_first = sorted(range(len(boxes)), key=lambda i: -_area(boxes[i]))
    for index in reversed(largest_first):  # small things have the least room, so they choose first
        tag = tag_size(look.names[index], size)
        tags[index] = space.place(tag, tag_positions(boxes[index], tag))

    for index in largest_first:
        _outline(sketch, boxes[index], look.colours[index], stroke)
    for (subject, object_), points in arcs.items():
        _arrow(sketch, points, (look.colours[subject], look.colours[object_]), stroke)
    for index, tag in tags.items():
        sketch.tag(tag, look.names[index], size, look.colours[index])
    for (subject, object_), points in arcs.items():
        text = ", ".join(dict.fromkeys(predicates[subject, object_]))
        label = tag_size(text, round(0.9 * size))
        _pill(sketch, space.place(label, along(points, label)), text, look.colours[subject], stroke / 2)
    return sketch.onto(picture)


def _boxes_on(graph: SceneGraph, picture: Image.Image) -> list[Box]:
    """The boxes in pixels of the picture, cut at its border."""
    height, width = graph.image_size
    scale = np.array([picture.width / width, picture.height / height] * 2)
    return [tuple(box) for box in np.clip(graph.boxes * scale, 0, picture.size * 2).tolist()]


def _outline(sketch: Sketch, box: Box, colour: Colour, stroke: float) -> None:
    """An outline with a thin white rim, which shows on any background."""
    rim = stroke / 2
    around = (box[0] - rim, box[1] - rim, box[2] + rim, box[3] + rim)
    sketch.rectangle(around, WHITE, stroke + 2 * rim, radius=2 * stroke)
    sketch.rectangle(box, colour, stroke, radius=2 * stroke)


def _arrow(sketch: Sketch, points: Sequence[Point], colours: tuple[Colour, Colour], stroke: float) -> None:
    """From a disc of the subject's colour to one of the object's, all with a thin white rim."""
    radius, rim = 2 * stroke, stroke / 2
    shaft, head = arrow(points, length=6 * stroke, gap=radius + 2 * rim)
    sketch.line(shaft, WHITE, stroke + 2 * rim)
    sketch.line([*head, head[0]], WHITE, 2 * rim)
    for centre, colour in zip((points[0], points[-1]), colours, strict=True):
        sketch.disc(centre, radius + rim, WHITE)
        sketch.disc(centre, radius, colour)
    sketch.line(shaft, colours[0], stroke)
    sketch.polygon(head, colours[0])


def _pill(sketch: Sketch, box: Box, text: str, colour: Colour, rim: float) -> None:
    """A predicate on white, with a rim of the subject's colour."""
    radius = (box[3] - box[1]) / 2
    sketch.plate(box, colour, radius)
    sketch.plate((box[0] + rim, box[1] + rim, box[2] - rim, box[3] - rim), WHITE, radius - rim)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    sketch.text(middle, text, round(2 * radius / 1.5), INK, anchor="mm")


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
