"""What of a graph a page shows, what is said around it, and how it is written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from speaq.graph.colours import GREY, INK
from speaq.graph.data import GraphData
from speaq.visualize.drawing.blocks import Block, column, padded, text_block
from speaq.visualize.drawing.sheet import Sheet, Word
from speaq.visualize.text import clean, text_width, wrapped

SCALE = 1.8
"""Pixels per unit."""
MARGIN, NOTE, TITLE = 25, 15, 20
TITLE_LINES = 6  # at most


def best_part(graph: GraphData, top: int, score: float) -> GraphData:
    """The part of a graph to draw: its best relations, or its best entities where it has no relation."""
    shown = graph.filter(score=score, top=top)
    if len(shown):
        return shown
    best = np.argsort(-graph.scores, kind="stable")[: max(top, 0)]
    best = best[graph.scores[best] >= score]
    return replace(shown, boxes=graph.boxes[best], labels=graph.labels[best], scores=graph.scores[best])


def left_out(graph: GraphData, shown: GraphData) -> str:
    """A sentence on what is not shown of a graph; empty where nothing is missing."""
    parts = ((len(shown), len(graph), "relations"), (len(shown.boxes), len(graph.boxes), "entities"))
    counts = [f"{kept} of {total} {kind}" for kept, total, kind in parts if kept < total]
    if not counts:
        return ""
    reason = "the best ones" if len(shown) < len(graph) or not len(shown) else "those with relations"
    return f"Shown: {' and '.join(counts)}, {reason}"


def framed(page: Block, title: str | None, note: str) -> Block:
    """A page with a title above it and a note below, where there are any."""
    blocks = [page]
    if title:
        blocks.insert(0, padded(text_block([heading(title, page.width - 2 * MARGIN / 3)]), MARGIN / 3))
    if note:
        blocks.append(padded(text_block([Word(note, NOTE, GREY)]), MARGIN / 4))
    return column(blocks) if len(blocks) > 1 else page


def heading(title: str, width: float) -> Word:
    """A title on lines that fit above something of this width, or of 10 letters where that is narrower."""
    text = clean(title)
    letters = max(min(len(text), round(width / (0.3 * TITLE))), 10)  # no more fit, however narrow
    while letters > 10 and text_width(wrapped(text, letters, TITLE_LINES), TITLE, bold=True) > width:
        letters -= 1
    return Word(wrapped(text, letters, TITLE_LINES), TITLE, INK, bold=True)


def written(page: Block, path: str | Path | None) -> Image.Image:
    """The picture of a page, also written to ``path`` where given.

    Raises:
        SpeaqError: the picture cannot be written.
    """
    sheet = Sheet(page.width, page.height, SCALE)
    page.draw(sheet, 0, 0)
    if path is not None:
        sheet.write(path)
    return sheet.pixels
