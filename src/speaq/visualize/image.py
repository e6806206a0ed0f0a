"""A scene graph drawn on its image, for a newcomer's eye and for a paper."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from speaq.boxes import pairwise_iou
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.inference.images import ImageSource, read_image
from speaq.scene_graph import SceneGraph
from speaq.visualize.overlay import Look, overlay
from speaq.visualize.panel import relation_list
from speaq.visualize.style import WHITE

SMALLEST, LARGEST = 960, 1600
"""Pixels of the longest side of what is drawn on: smaller images are enlarged, larger ones reduced."""


def draw_graph(
    graph: SceneGraph,
    *,
    path: str | Path | None = None,
    image: ImageSource | None = None,
    top: int = 10,
    score: float = 0.0,
    panel: Literal["right", "below"] | None = "right",
    title: str = "Relations",
) -> Image.Image:
    """The image with boxes, names and arrows for the best relations, and a list of them.

    Args:
        graph: what to draw.
        path: where to write the picture; the ending says the format.
        image: what to draw on; by default the image that the graph was made from.
        top: how many relations are drawn at most, the best ones; entities, where there is no relation.
        score: the least score of what is drawn.
        panel: where the list goes; None for no list.
        title: of the list.

    Raises:
        SpeaqError: the image is not known or cannot be read, or the picture cannot be written.
    """
    picture, size = _canvas(_image_of(graph, image))
    shown = _best(graph, top, score)
    look = Look.of(shown)
    drawing = overlay(shown, look, picture, size)
    if panel is not None:
        below = panel == "below"
        width = picture.width if below else None
        rows = relation_list(shown, look, size=size, title=title, width=width, height=picture.height)
        drawing = _join([drawing, rows], below=below)
    return _written(drawing, path)


def draw_comparison(
    truth: SceneGraph,
    prediction: SceneGraph,
    *,
    path: str | Path | None = None,
    image: ImageSource | None = None,
    top: int = 10,
    score: float = 0.0,
    titles: tuple[str, str] = ("Ground truth", "Prediction"),
) -> Image.Image:
    """Ground truth and prediction side by side, each with its list; what is in both is ticked.

    Args:
        truth: the graph on the left; all of its relations are drawn.
        prediction: the graph on the right.
        path: where to write the picture.
        image: what to draw on; by default the image that the ground truth, or else the prediction, is of.
        top: how many predicted relations are drawn at most.
        score: the least score of a predicted relation drawn.
        titles: above the lists.

    Raises:
        SpeaqError: the image is not known or cannot be read, or the picture cannot be written.
    """
    picture, size = _canvas(_image_of(truth if truth.image is not None else prediction, image))
    left, right = _best(truth, max(len(truth), 1), 0.0), _best(prediction, top, score)
    shades = _shades_like(right, left)
    hits = _common_triplets(left, right)
    sides = []
    for graph, shade, found, title in (
        (left, None, hits.any(axis=1), titles[0]),
        (right, shades, hits.any(axis=0), titles[1]),
    ):
        look, ticked = Look.of(graph, shade), np.flatnonzero(found).tolist()
        rows = relation_list(graph, look, size=size, title=title, width=picture.width, ticked=ticked)
        sides.append(_join([overlay(graph, look, picture, size), rows], below=True))
    return _written(_join(sides, below=False, gap=size), path)


def _image_of(graph: SceneGraph, image: ImageSource | None) -> Image.Image:
    source = graph.image if image is None else image
    if source is None:
        raise SpeaqError("this scene graph does not know its image: pass the image to draw on (image=...)")
    return read_image(source)


def _canvas(picture: Image.Image) -> tuple[Image.Image, int]:
    """The picture in a size on which text can be read, and the size of that text, both in pixels."""
    longest = max(picture.size)
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    width, height = (max(round(side * scale), 1) for side in picture.size)
    filter_ = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return picture.resize((width, height), filter_), round(max(width, height) / 52)


def _best(graph: SceneGraph, top: int, score: float) -> SceneGraph:
    """The part of a graph to draw: its best relations, or its best entities where it has no relation."""
    shown = graph.filter(score=score, top=top)
    if len(shown):
        return shown
    best = np.argsort(-graph.scores, kind="stable")[:top]
    best = best[graph.scores[best] >= score]
    return replace(shown, boxes=graph.boxes[best], labels=graph.labels[best], scores=graph.scores[best])


def _same_entities(a: SceneGraph, b: SceneGraph) -> np.ndarray:
    """IoU (E of a, E of b) of entities with the same label; 0 where the labels differ."""
    overlap = pairwise_iou(torch.from_numpy(a.boxes), torch.from_numpy(b.boxes)).numpy()
    return overlap * (a.labels[:, None] == b.labels)


def _common_triplets(a: SceneGraph, b: SceneGraph) -> np.ndarray:
    """(M of a, M of b) bool: same three labels, and an IoU of at least 0.5 of both boxes."""
    same = _same_entities(a, b) >= 0.5
    agree = [same[np.ix_(a.pairs[:, role], b.pairs[:, role])] for role in (0, 1)]
    return agree[0] & agree[1] & (a.predicates[:, None] == b.predicates)


def _shades_like(graph: SceneGraph, reference: SceneGraph) -> list[int]:
    """Palette positions for a graph: those of the same entities in the reference, and new ones for others."""
    overlap = _same_entities(graph, reference)
    unused = iter(range(len(reference.boxes), len(reference.boxes) + len(graph.boxes)))
    taken, shades = set[int](), []
    for row in overlap:
        best = int(row.argmax()) if len(row) else -1
        fits = best >= 0 and row[best] >= 0.5 and best not in taken
        shades.append(best if fits else next(unused))
        taken.add(shades[-1])
    return shades


def _join(pictures: Sequence[Image.Image], *, below: bool, gap: int = 0) -> Image.Image:
    """Pictures in a column, or in a row with their tops aligned, on white."""
    widths, heights = zip(*(picture.size for picture in pictures), strict=True)
    gaps = gap * (len(pictures) - 1)
    size = (max(widths), sum(heights) + gaps) if below else (sum(widths) + gaps, max(heights))
    joined = Image.new("RGB", size, WHITE)
    x = y = 0
    for picture in pictures:
        joined.paste(picture, (x, y))
        x, y = (0, y + picture.height + gap) if below else (x + picture.width + gap, 0)
    return joined


def _written(picture: Image.Image, path: str | Path | None) -> Image.Image:
    if path is not None:
        try:
            with replacing(path) as temporary:
                picture.save(temporary)
        except ValueError as error:
            raise SpeaqError(f"{path}: cannot write a picture with this ending; use .png or .jpg") from error
    return picture
