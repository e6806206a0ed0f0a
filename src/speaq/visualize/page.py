"""A page of blocks in rows and columns; the size of a block is computed before it is drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from speaq.graph.colours import GREY, INK
from speaq.visualize.canvas import Canvas
from speaq.visualize.diagram import Diagram
from speaq.visualize.overlay import Overlay
from speaq.visualize.style import StyledGraph
from speaq.visualize.text import LINE_HEIGHT, Text, clean, row_size, text_width, wrapped

SCALE = 1.8  # pixels per unit
MARGIN = 25
NOTE_SIZE, TITLE_SIZE = 15, 20  # font sizes
_MAX_TITLE_LINES = 6
_BLOCK_HEIGHT = 1.9  # of a block with one line of text, of the font size


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a page: ``draw(canvas, x, y)`` puts its top left corner at (x, y)."""

    width: float
    height: float
    draw: Callable[[Canvas, float, float], None]


def photo_block(photo: Image.Image, overlay: Overlay) -> Block:
    """A photo with its overlay."""
    width, height = overlay.size

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.photo(photo, x, y, width, height)
        overlay.draw(canvas.panel(x, y, width, height))

    return Block(width, height, draw)


def diagram_block(diagram: Diagram, part: StyledGraph, zoom: float = 1.0) -> Block:
    """A part of a diagram, as large as the whole and with a margin; a text if the diagram has no node."""
    if not any(diagram.size):
        return padded(text_block([Text("nothing found", 18, GREY)]), MARGIN)
    width, height = (zoom * side for side in diagram.size)

    def draw(canvas: Canvas, x: float, y: float) -> None:
        diagram.draw(canvas.panel(x, y, width, height, zoom), part)

    return padded(Block(width, height, draw), MARGIN)


def text_block(texts: Sequence[Text], min_height: float = 0) -> Block:
    """Texts in a row."""
    width, lines = row_size(texts)
    height = max((_BLOCK_HEIGHT + LINE_HEIGHT * (lines - 1)) * texts[0].size, min_height)

    def draw(canvas: Canvas, x: float, y: float) -> None:
        canvas.panel(x, y, width, height).texts((width / 2, height / 2), texts)

    return Block(width, height, draw)


def title_text(title: str, width: float) -> Text:
    """A title wrapped to a width, or to 10 characters where that is wider."""
    text = clean(title)
    length = max(min(len(text), round(width / (0.3 * TITLE_SIZE))), 10)  # no more characters fit
    while True:
        rows = wrapped(text, length, _MAX_TITLE_LINES)
        if length == 10 or text_width(rows, TITLE_SIZE, bold=True) <= width:
            return Text(rows, TITLE_SIZE, INK, bold=True)
        length -= 1


def padded(block: Block, margin: float) -> Block:
    """A block with a margin around it."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        block.draw(canvas, x + margin, y + margin)

    return Block(block.width + 2 * margin, block.height + 2 * margin, draw)


def row(blocks: Sequence[Block], gap: float = 0) -> Block:
    """Blocks from left to right, centred vertically."""
    height = max(block.height for block in blocks)

    def draw(canvas: Canvas, x: float, y: float) -> None:
        for block in blocks:
            block.draw(canvas, x, y + (height - block.height) / 2)
            x += block.width + gap

    return Block(sum(block.width for block in blocks) + gap * (len(blocks) - 1), height, draw)


def column(blocks: Sequence[Block], gap: float = 0) -> Block:
    """Blocks from top to bottom, centred horizontally."""
    width = max(block.width for block in blocks)

    def draw(canvas: Canvas, x: float, y: float) -> None:
        for block in blocks:
            block.draw(canvas, x + (width - block.width) / 2, y)
            y += block.height + gap

    return Block(width, sum(block.height for block in blocks) + gap * (len(blocks) - 1), draw)


def write_page(
    content: Block, path: str | Path | None, *, title: str | None = None, note: str = ""
) -> Image.Image:
    """The image of a page with a title and a note around its content; also written to ``path`` if given.

    Raises:
        SpeaqError: the image cannot be written.
    """
    blocks = [content]
    if title:
        heading = text_block([title_text(title, content.width - 2 * MARGIN / 3)])
        blocks.insert(0, padded(heading, MARGIN / 3))
    if note:
        blocks.append(padded(text_block([Text(note, NOTE_SIZE, GREY)]), MARGIN / 4))
    page = column(blocks)
    canvas = Canvas(page.width, page.height, SCALE)
    page.draw(canvas, 0, 0)
    if path is not None:
        canvas.write(path)
    return canvas.pixels
