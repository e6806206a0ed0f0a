"""A scene graph drawn on its image, with the graph as a diagram beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from PIL import Image

from speaq.errors import SpeaqError
from speaq.graph.colours import GREY
from speaq.graph.data import GraphData
from speaq.images import ImageSource, read_image
from speaq.visualize.drawing.blocks import Block, column, diagram_block, padded, photo_block, row, text_block
from speaq.visualize.drawing.diagram import Diagram
from speaq.visualize.drawing.look import HIT, MISS, Look, Part, is_scored
from speaq.visualize.drawing.matches import matched
from speaq.visualize.drawing.page import (
    MARGIN,
    NOTE,
    SCALE,
    TITLE,
    best_part,
    framed,
    heading,
    left_out,
    written,
)
from speaq.visualize.drawing.photo import Overlay
from speaq.visualize.drawing.sheet import Word, words_width

PHOTO, THINNEST = 800, 220
"""Units of a photo's longest side, and of its shortest side where the longest need not be doubled for it."""
MOST_GROWTH, MOST_ZOOM = 1.5, 1.35
SCREEN = 16 / 9
PANELS = ("auto", "right", "below", None)


def draw_graph(
    graph: GraphData,
    *,
    path: str | Path | None = None,
    image: ImageSource | None = None,
    top: int = 10,
    score: float = 0.0,
    panel: Literal["auto", "right", "below"] | None = "auto",
    title: str | None = None,
) -> Image.Image:
    """The image with boxes and names for the best relations, and beside it the graph that they form.

    Lines are the stronger the higher the score. Where something is left out, the picture says so.

    Args:
        graph: what to draw.
        path: where to write the picture: .svg and .pdf hold shapes and text, all other formats pixels.
        image: what to draw on; by default the image that the graph was made from.
        top: how many relations are drawn at most, the best ones; entities, where there is no relation.
        score: the least score of what is drawn.
        panel: where the diagram goes; None for no diagram, but arrows on the image.
        title: above the picture.

    Raises:
        SpeaqError: the image is not known or cannot be read, or the picture cannot be written.
    """
    if panel not in PANELS:
        choices = ", ".join(repr(choice) for choice in PANELS)
        raise SpeaqError(f"panel: expected one of {choices}, found {panel!r}")
    picture, size = _canvas(_image_of(graph, image))
    shown = best_part(graph, top, score)
    part, look = Part.whole(shown), Look.of(shown)
    if panel is None:
        overlay = Overlay(part, look, size, arrows=True)
        page = photo_block(picture, overlay)
    else:
        sides = {"auto": ("right", "below")}.get(panel, (panel,))
        overlay, page = max(
            (_with_diagram(picture, size, part, look, below=side == "below") for side in sides),
            key=lambda drawn: _size_on_screen(drawn[1]),
        )
    notes = [left_out(graph, shown)]
    if overlay.lost:
        notes.append(f"{overlay.lost} labels found no room on the image")
    return written(framed(page, title, " · ".join(filter(None, notes))), path)


def draw_comparison(
    truth: GraphData,
    prediction: GraphData,
    *,
    path: str | Path | None = None,
    image: ImageSource | None = None,
    top: int = 10,
    score: float = 0.0,
    titles: tuple[str, str] = ("Ground truth", "Prediction"),
) -> Image.Image:
    """Ground truth beside prediction (panoramas: above it), with hits and misses marked.

    What both have is at the same place in both diagrams, and has the same name and colour.

    Args:
        truth: the first graph; all of its relations are drawn.
        prediction: the second graph.
        path: where to write the picture, see ``draw_graph``.
        image: what to draw on; by default the image that the ground truth, or else the prediction, is of.
        top: how many predicted relations are drawn at most.
        score: the least score of a predicted relation drawn.
        titles: above the images.

    Raises:
        SpeaqError: the image is not known or cannot be read, the graphs are of different classes, or the
            picture cannot be written.
    """
    picture, size = _canvas(_image_of(truth if truth.image is not None else prediction, image))
    left, right = best_part(truth, max(len(truth), 1), 0.0), best_part(prediction, top, score)
    union, *parts = matched(left, right)
    look = Look.of(union)
    diagram = Diagram(union, look, aspect=1.4, scored=is_scored(truth) or is_scored(prediction), marked=True)
    hits = [sum(mark is HIT for mark in part.marks) for part in parts]
    summaries = f"{hits[0]} of {len(left)} relations found", f"{hits[1]} of {len(right)} relations match"
    sides = []
    for part, head in zip(parts, _heads(titles, summaries, size[0]), strict=True):
        photo = photo_block(picture, Overlay(part, look, size, arrows=False))
        below = padded(diagram_block(diagram, part, _zoom(diagram, size)), MARGIN)
        sides.append(column([padded(head, MARGIN / 3), photo, below]))
    legend = f"{HIT.sign} on both sides · {MISS.sign} missed · dashed: not on the other side"
    note = left_out(prediction, right)
    page = max((row(sides, MARGIN), column(sides, MARGIN)), key=_size_on_screen)
    return written(framed(page, None, " · ".join(filter(None, (legend, note)))), path)


def _heads(titles: Sequence[str], summaries: Sequence[str], width: float) -> list[Block]:
    """What stands above the photos, of one height, so that these are level, too."""
    blocks = []
    for title, summary in zip(titles, summaries, strict=True):
        words = Word(summary, NOTE, GREY)
        blocks.append(text_block([heading(title, width - words_width([words]) - TITLE), words]))
    strut = Block(0, max(block.height for block in blocks), lambda sheet, x, y: None)
    return [row([block, strut]) for block in blocks]


def _with_diagram(
    picture: Image.Image, size: tuple[float, float], part: Part, look: Look, *, below: bool
) -> tuple[Overlay, Block]:
    """A photo, which grows a little with its diagram, above the diagram or to its left."""
    diagram = Diagram(
        part.graph,
        look,
        aspect=1.4 if below else 0.8,
        scored=is_scored(part.graph),
        height=0 if below else 0.8 * size[1],
    )
    beside = padded(diagram_block(diagram, part, _zoom(diagram, size)), MARGIN)
    growth = beside.width / size[0] if below else beside.height / size[1]
    width, height = (min(max(growth, 1), MOST_GROWTH) * side for side in size)
    overlay = Overlay(part, look, (round(width), round(height)), arrows=False)
    blocks = [photo_block(picture, overlay), beside]
    return overlay, column(blocks) if below else row(blocks)


def _zoom(diagram: Diagram, size: tuple[float, float]) -> float:
    """How much a small diagram grows to look good beside a photo of this size."""
    fit = (room / max(side, 1) for side, room in zip(diagram.size, size, strict=True))
    return max(min(0.8 * min(fit), MOST_ZOOM), 1)


def _size_on_screen(block: Block) -> float:
    """How large a page is on a screen that it fills."""
    return -max(block.width / SCREEN, block.height)


def _image_of(graph: GraphData, image: ImageSource | None) -> Image.Image:
    source = graph.image if image is None else image
    if source is None:
        raise SpeaqError("this scene graph does not know its image: pass the image to draw on (image=...)")
    return read_image(source)


def _canvas(picture: Image.Image) -> tuple[Image.Image, tuple[float, float]]:
    """The picture with no more pixels than are needed, and its width and height on the page."""
    longest, shortest = max(picture.size), min(picture.size)
    scale = min(max(PHOTO / longest, THINNEST / shortest), 2 * PHOTO / longest)
    width, height = (max(round(side * scale), 1) for side in picture.size)
    limit = round(width * 2 * SCALE), round(height * 2 * SCALE)
    if picture.width > limit[0]:
        picture = picture.resize(limit, Image.Resampling.LANCZOS, reducing_gap=3)
    return picture, (width, height)
