"""Text as it is drawn: wrapped or shortened, measured, and in fonts that have its characters."""

import logging
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from speaq.graph.colours import Colour
from speaq.graph.export import NOT_IN_XML

FONT = "DejaVu Sans"  # comes with matplotlib, so drawings look the same on every machine
LINE_HEIGHT = 1.2  # of the font size
GAP = 0.4  # between texts in a row, of the font size of the first
SCORE_SIZE = 0.8  # of the text before a score
SYMBOL_FONTS = ("cm", "STIXSize", "STIXNon", "Last Resort")  # map characters to other glyphs
_INVISIBLE = re.compile(f"{NOT_IN_XML.pattern}|[\x7f-\x9f]")  # control characters
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its font size and colour; it may have several lines."""

    text: str
    size: float
    colour: Colour
    bold: bool = False

    @property
    def width(self) -> float:
        """Width of the widest line."""
        return text_width(self.text, self.size, bold=self.bold)


def row_size(texts: Sequence[Text]) -> tuple[float, int]:
    """Width of texts in a row, and the largest number of lines of one of them."""
    width = sum(text.width for text in texts) + GAP * texts[0].size * (len(texts) - 1)
    return width, max(text.text.count("\n") + 1 for text in texts)


def with_score(text: Text, score: float | None, colour: Colour) -> list[Text]:
    """A text, followed by a score in smaller type unless it is None."""
    return [text] if score is None else [text, Text(f"{score:.2f}", SCORE_SIZE * text.size, colour)]


def clean(name: str) -> str:
    """A name on one line; characters that cannot be shown are replaced by U+FFFD."""
    return " ".join(_INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", name).split())


def shortened(name: str, length: int) -> str:
    """At most ``length`` characters of a name, with an ellipsis if it is longer."""
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def wrapped(name: str, length: int, lines: int = 3) -> str:
    """A name on at most ``lines`` lines of at most ``length`` characters."""
    rows = textwrap.wrap(name, length)
    if len(rows) > lines:
        rows = [*rows[: lines - 1], shortened(" ".join(rows[lines - 1 :]), length)]
    return "\n".join(rows)


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of the widest line of ``text`` at a font size, in the unit of the size."""
    font = FontProperties(family=list(families(text)), size=size, weight="bold" if bold else "normal")
    measure = text_to_path.get_text_width_height_descent
    with missing_glyphs_allowed():
        return max(measure(line, font, False)[0] for line in text.split("\n"))


@contextmanager
def missing_glyphs_allowed() -> Iterator[None]:
    """Suppress the warnings of matplotlib about missing glyphs: ``families`` logs them once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@lru_cache(maxsize=4096)
def families(text: str) -> tuple[str, ...]:
    """Font families for a text: the default, and installed ones for characters that it lacks."""
    chosen, missing = [FONT], _missing(str(font_manager.findfont(FONT)), set(text) - {"\n"})
    for name, file in _installed() if missing else ():
        remaining = _missing(file, missing)
        if len(remaining) < len(missing):
            chosen.append(name)
            missing = remaining
        if not missing:
            break
    if missing:
        _report("".join(sorted(missing)))
    return tuple(chosen)


@lru_cache(maxsize=1)
def _installed() -> list[tuple[str, str]]:
    """Names and files of the installed upright fonts of normal weight, sorted by name."""
    return sorted(
        (font.name, font.fname)
        for font in font_manager.fontManager.ttflist
        if font.style == "normal"
        and font.weight in (400, "normal", "regular")
        and not font.name.startswith(SYMBOL_FONTS)
    )


def _missing(file: str, letters: set[str]) -> set[str]:
    font = font_manager.get_font(file)
    return {letter for letter in letters if not font.get_char_index(ord(letter))}


@lru_cache(maxsize=64)  # once for the same letters
def _report(letters: str) -> None:
    _log.warning(
        "no installed font has the letters %s: install one for PNG and PDF (an SVG shows them wherever it is "
        "opened with such a font)",
        letters,
    )
