"""Parts of a page, which know their size before they are drawn, in rows and columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from speaq.graph.colours import GREY
from speaq.visualize.drawing.diagram import Diagram
from speaq.visualize.drawing.look import Part
from speaq.visualize.drawing.photo import Overlay
from speaq.visualize.drawing.sheet import LINE as STEP
from speaq.visualize.drawing.sheet import Sheet, Word, words_width

LINE = 1.9  # height of a line of text, of its size


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a page: ``draw(sheet, x, y)`` puts its top left corner at (x, y)."""

    width: float
    height: float
    draw: Callable[[Sheet, float, float], None]


def photo_block(picture: Image.Image, overlay: Overlay) -> Block:
    """A photo with what is drawn on it."""
    width, height = overlay.size

    def draw(sheet: Sheet, x: float, y: float) -> None:
        sheet.photo(picture, x, y, width, height)
        overlay.draw(sheet.panel(x, y, width, height))

    return Block(width, height, draw)


def diagram_block(diagram: Diagram, part: Part, zoom: float = 1.0) -> Block:
    """A part of a diagram, in the room that the whole of it takes; words where it has no node at all."""
    if not diagram.names:
        return text_block([Word("nothing found", 18, GREY)])
    width, height = (zoom * side for side in diagram.size)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        diagram.draw(sheet.panel(x, y, width, height, zoom), part)

    return Block(width, height, draw)


def text_block(words: Sequence[Word]) -> Block:
    """Words in a row, of one line or several."""
    rows = max(word.text.count("\n") + 1 for word in words)
    width, height = words_width(words), (LINE + STEP * (rows - 1)) * words[0].size

    def draw(sheet: Sheet, x: float, y: float) -> None:
        sheet.panel(x, y, width, height).words((width / 2, height / 2), words)

    return Block(width, height, draw)


def padded(block: Block, margin: float) -> Block:
    """A block with room around it."""
    return Block(
        block.width + 2 * margin,
        block.height + 2 * margin,
        lambda sheet, x, y: block.draw(sheet, x + margin, y + margin),
    )


def row(blocks: Sequence[Block], gap: float = 0) -> Block:
    """Blocks from left to right, their middles at one height."""
    height = max(block.height for block in blocks)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        for block in blocks:
            block.draw(sheet, x, y + (height - block.height) / 2)
            x += block.width + gap

    return Block(sum(block.width for block in blocks) + gap * (len(blocks) - 1), height, draw)


def column(blocks: Sequence[Block], gap: float = 0, align: float = 0.5) -> Block:
    """Blocks from top to bottom; with ``align`` 0 their left sides are in line, with 0.5 their middles."""
    width = max(block.width for block in blocks)

    def draw(sheet: Sheet, x: float, y: float) -> None:
        for block in blocks:
            block.draw(sheet, x + align * (width - block.width), y)
            y += block.height + gap

    return Block(width, sum(block.height for block in blocks) + gap * (len(blocks) - 1), draw)
