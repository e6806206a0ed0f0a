"""Style of charts: fonts, lines, colours, and names and numbers on axes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np

from speaq.graph.colours import FAINT, GREY, INK, PALETTE, Colour
from speaq.visualize.text import clean, families, missing_glyphs_allowed, shortened

Rgb = tuple[float, float, float]


@contextmanager
def chart_style(names: Iterable[str]) -> Iterator[None]:
    """Matplotlib settings for making and saving charts, with fonts that have the letters of ``names``."""
    letters = "".join(sorted({letter for name in names for letter in clean(name)}))
    settings: dict[Any, Any] = {
        "axes.axisbelow": True,
        "axes.edgecolor": rgb(GREY),
        "axes.labelcolor": rgb(INK),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "figure.constrained_layout.h_pad": 0.08,  # inches
        "figure.constrained_layout.w_pad": 0.08,
        "font.family": list(families(letters)),
        "font.size": 10,
        "grid.color": rgb(FAINT),
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "pdf.fonttype": 42,  # outlines that publishers accept
        "savefig.dpi": 200,
        "svg.hashsalt": "speaq",
        "text.color": rgb(INK),
        "text.parse_math": False,  # names may have a "$"
        "xtick.color": rgb(INK),
        "ytick.color": rgb(INK),
    }
    with matplotlib.rc_context(settings), missing_glyphs_allowed():
        yield


def rgb(colour: Colour) -> Rgb:
    """A colour in the format of matplotlib."""
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def dataset_colours(sets: Sequence[str]) -> dict[str, Colour]:
    """Colours of data sets by name; those of "real" and "synthetic" are always the same."""
    names = list(dict.fromkeys(("real", "synthetic", *sets)))
    return {name: PALETTE[names.index(name) % len(PALETTE)] for name in sets}


def short(name: str, length: int = 32) -> str:
    """A name that fits beside a bar."""
    return shortened(clean(name), length)


def plain_number(value: float, _position: int | None = None) -> str:
    """A tick label without exponent: 0.001, 10,000."""
    return f"{value:,.6g}" if value >= 1 else np.format_float_positional(value, precision=6, trim="-")
