"""Drawings of scene graphs: on the image, beside the ground truth, or as a diagram without the image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from speaq.errors import SpeaqError
from speaq.graph.colours import GREY
from speaq.graph.data import GraphData
from speaq.images import ImageSource, read_image, read_image_file, read_image_size
from speaq.visualize.comparison import align
from speaq.visualize.diagram import Diagram
from speaq.visualize.overlay import Overlay
from speaq.visualize.page import (
    MARGIN,
    NOTE_SIZE,
    SCALE,
    TITLE_SIZE,
    Block,
    column,
    diagram_block,
    padded,
    photo_block,
    row,
    text_block,
    title_text,
    write_page,
)
from speaq.visualize.style import HIT, MISS, StyledGraph, has_scores, style_graph
from speaq.visualize.text import Text

PHOTO_SIZE, MIN_PHOTO_SIZE = 800, 220
"""Units of the longest side of a photo, and of the shortest, for which the longest may be up to doubled."""
MAX_GROWTH, MAX_ZOOM = 1.5, 1.35
SCREEN_ASPECT = 16 / 9
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
    """Draw boxes and names of the best relations on the image, with the graph as a diagram beside it.

    Arguments and errors are those of `speaq.SceneGraph.draw`.
    """
    if panel not in PANELS:
        choices = ", ".join(repr(choice) for choice in PANELS)
        raise SpeaqError(f"panel: expected one of {choices}, found {panel!r}")
    photo, size = _scaled_photo(graph, image)
    shown = _best_part(graph, top, score)
    styled = style_graph(shown)
    if panel is None:
        overlay = Overlay(styled, size, arrows=True)
        page = photo_block(photo, overlay)
    else:
        sides = ("right", "below") if panel == "auto" else (panel,)
        overlay, page = max(
            (_with_diagram(photo, size, styled, below=side == "below") for side in sides),
            key=lambda drawn: _size_on_screen(drawn[1]),
        )
    notes = [_omission_note(graph, shown)]
    if overlay.num_hidden:
        notes.append(f"{overlay.num_hidden} labels do not fit on the image")
    return write_page(page, path, title=title, note=" · ".join(filter(None, notes)))


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
    """Draw ground truth and prediction side by side, with hits and misses marked.

    Panoramas are drawn one above the other. Entities and relations that both graphs have are at the same
    place in both diagrams, with the same names and colours.

    Args:
        truth: the ground truth; all of its relations are drawn.
        prediction: the prediction.
        path: file to write: .svg and .pdf hold shapes and text, all other formats pixels.
        image: the image to draw on; by default that of the ground truth, otherwise of the prediction.
        top: maximum number of predicted relations, the best ones.
        score: minimum score of predicted relations.
        titles: titles above the images.

    Raises:
        SpeaqError: the graphs have no image or it cannot be read, they have different numbers of predicate
            classes, or the drawing cannot be written.
    """
    photo, size = _scaled_photo(truth if truth.image is not None else prediction, image)
    left, right = _best_part(truth, max(len(truth), 1), 0.0), _best_part(prediction, top, score)
    union, *parts = align(left, right)
    diagram = Diagram(replace(union, scored=has_scores(truth) or has_scores(prediction)), aspect=1.4)
    hits = [sum(edge.mark is HIT for edge in part.edges) for part in parts]
    summaries = f"{hits[0]} of {len(left)} relations found", f"{hits[1]} of {len(right)} relations match"
    sides = []
    for part, heading in zip(parts, _headings(titles, summaries, size[0]), strict=True):
        overlay = Overlay(part, size, arrows=False)
        below = diagram_block(diagram, part, _zoom(diagram, size))
        sides.append(column([padded(heading, MARGIN / 3), photo_block(photo, overlay), below]))
    legend = f"{HIT.sign} on both sides · {MISS.sign} missed · dashed: not on the other side"
    page = max((row(sides, MARGIN), column(sides, MARGIN)), key=_size_on_screen)
    return write_page(page, path, note=" · ".join(filter(None, (legend, _omission_note(prediction, right)))))


def draw_diagram(
    graph: GraphData, *, path: str | Path | None = None, top: int = 20, score: float = 0.0
) -> Image.Image:
    """Draw the best relations as a diagram from left to right; the image is not needed.

    Arguments are those of `speaq.SceneGraph.draw`.

    Raises:
        SpeaqError: the drawing cannot be written.
    """
    shown = _best_part(graph, top, score)
    styled = style_graph(shown)
    page = diagram_block(Diagram(styled, aspect=1.5), styled)
    return write_page(page, path, note=_omission_note(graph, shown))


def _best_part(graph: GraphData, top: int, score: float) -> GraphData:
    """The best relations of a graph with their entities, or the best entities if there is no relation."""
    shown = graph.filter(score=score, top=top)
    if len(shown):
        return shown
    best = np.argsort(-graph.scores, kind="stable")[: max(top, 0)]
    best = best[graph.scores[best] >= score]
    return replace(shown, boxes=graph.boxes[best], labels=graph.labels[best], scores=graph.scores[best])


def _omission_note(graph: GraphData, shown: GraphData) -> str:
    """A note on how much of a graph is shown; empty if all of it is."""
    parts = ((len(shown), len(graph), "relations"), (len(shown.boxes), len(graph.boxes), "entities"))
    counts = [f"{kept} of {total} {kind}" for kept, total, kind in parts if kept < total]
    if not counts:
        return ""
    reason = "the best ones" if len(shown) < len(graph) or not len(shown) else "those with relations"
    return f"Shown: {' and '.join(counts)}, {reason}"


def _headings(titles: Sequence[str], summaries: Sequence[str], width: float) -> list[Block]:
    """Titles with summaries, all of the height of the highest, so that the photos below are aligned."""
    rows = []
    for title, summary in zip(titles, summaries, strict=True):
        text = Text(summary, NOTE_SIZE, GREY)
        rows.append([title_text(title, width - text.width - TITLE_SIZE), text])
    height = max(text_block(texts).height for texts in rows)
    return [text_block(texts, height) for texts in rows]


def _with_diagram(
    photo: Image.Image, size: tuple[float, float], graph: StyledGraph, *, below: bool
) -> tuple[Overlay, Block]:
    """A photo with a diagram below it or to its right; the photo is enlarged to match a larger diagram."""
    diagram = Diagram(graph, aspect=1.4 if below else 0.8, height=0 if below else 0.8 * size[1])
    beside = diagram_block(diagram, graph, _zoom(diagram, size))
    growth = beside.width / size[0] if below else beside.height / size[1]
    width, height = (round(min(max(growth, 1), MAX_GROWTH) * side) for side in size)
    overlay = Overlay(graph, (width, height), arrows=False)
    return overlay, (column if below else row)([photo_block(photo, overlay), beside])


def _zoom(diagram: Diagram, size: tuple[float, float]) -> float:
    """How much to enlarge a small diagram beside a photo of this size."""
    fit = (room / max(side, 1) for side, room in zip(diagram.size, size, strict=True))
    return max(min(0.8 * min(fit), MAX_ZOOM), 1)


def _size_on_screen(block: Block) -> float:
    """A measure of how large a page appears when it fills a screen."""
    return -max(block.width / SCREEN_ASPECT, block.height)


def _scaled_photo(graph: GraphData, image: ImageSource | None) -> tuple[Image.Image, tuple[float, float]]:
    """The image to draw on, reduced to the pixels needed, and its width and height on the page."""
    source = graph.image if image is None else image
    if source is None:
        raise SpeaqError("this scene graph has no image: pass the image to draw on (image=...)")
    photo = read_image(source)
    size = graph.image_size[1], graph.image_size[0]
    if isinstance(source, Path) and photo.size != size == read_image_size(source, listed=size):
        photo = read_image_file(
            source, listed=size
        )  # annotated on the stored pixels, not on the upright image
    longest, shortest = max(photo.size), min(photo.size)
    scale = min(max(PHOTO_SIZE / longest, MIN_PHOTO_SIZE / shortest), 2 * PHOTO_SIZE / longest)
    width, height = (max(round(side * scale), 1) for side in photo.size)
    limit = round(width * 2 * SCALE), round(height * 2 * SCALE)
    if photo.width > limit[0]:
        photo = photo.resize(limit, Image.Resampling.LANCZOS, reducing_gap=3)
    return photo, (width, height)
