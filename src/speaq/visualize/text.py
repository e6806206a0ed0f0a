"""Text as it is drawn: wrapped or shortened, in fonts that have its characters."""

import logging
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from speaq.graph.export import NOT_IN_XML

FONT = "DejaVu Sans"  # comes with matplotlib, so pictures look the same on every machine
SYMBOL_FONTS = ("cm", "STIXSize", "STIXNon", "Last Resort")  # map characters to other glyphs
_INVISIBLE = re.compile(f"{NOT_IN_XML.pattern}|[\x7f-\x9f]")  # control characters
_log = logging.getLogger(__name__)


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
    """Width of the widest line of ``text`` at a font size, in its unit."""
    font = FontProperties(family=list(families(text)), size=size, weight="bold" if bold else "normal")
    with letters_may_be_missing():
        return max(
            text_to_path.get_text_width_height_descent(line, font, False)[0] for line in text.split("\n")
        )


@contextmanager
def letters_may_be_missing() -> Iterator[None]:
    """Suppress the warnings of matplotlib about missing glyphs: ``families`` warns once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


@lru_cache(maxsize=4096)
def families(text: str) -> tuple[str, ...]:
    """Font families for a text: the default, and installed ones for characters that it lacks."""
    missing = _missing(str(font_manager.findfont(FONT)), set(text) - {"\n"})
    chosen = [FONT]
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
    """The letters that a font file lacks."""
    font = font_manager.get_font(file)
    return {letter for letter in letters if not font.get_char_index(ord(letter))}


@lru_cache(maxsize=64)
def _report(letters: str) -> None:
    """Warn once for the same letters."""
    _log.warning(
        "no installed font has the letters %s: install one for PNG and PDF (an SVG shows them wherever it is "
        "opened with such a font)",
        letters,
    )
