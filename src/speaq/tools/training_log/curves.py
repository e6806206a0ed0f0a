"""Curves, the panels that hold them, and their colours."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps

from speaq.graph.colours import FAINT, GREY, INK, PALETTE
from speaq.tools.training_log.history import TrainingHistory
from speaq.visualize.charts import Rgb, rgb
from speaq.visualize.text import clean, shortened, text_width

BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY = (rgb(colour) for colour in PALETTE[:6])
DARK, LIGHT, MIDDLE = rgb(INK), rgb(FAINT), rgb(GREY)
# Yellow is hard to see on white, and the last ones are too pale or too much like the text.
_RUN_COLOURS = tuple(rgb(PALETTE[index]) for index in (0, 4, 2, 3, 1, 5, 7, 9))
# "x" and "^" mark values that are not finite or beyond the axis.
_RUN_MARKERS = ("o", "s", "D", "P", "d", "|")
_TITLE_WIDTH, TITLE_SIZE = 265.0, 11.0  # points; the width leaves out the tick labels of the next panel


def run_colour(run: int) -> Rgb:
    """Colour of a run among several."""
    return _RUN_COLOURS[run % len(_RUN_COLOURS)]


def run_marker(run: int) -> str:
    """Marker of a run: the next one whenever the colours repeat."""
    return _RUN_MARKERS[run // len(_RUN_COLOURS) % len(_RUN_MARKERS)]


def shades(colour_map: str, first: float, last: float, count: int) -> list[Rgb]:
    """``count`` colours between two places of a matplotlib colour map."""
    return [colormaps[colour_map](place)[:3] for place in np.linspace(first, last, count)]


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity: a series by iteration for each run, empty where a run lacks it.

    The colour is used if the figure shows one run.
    """

    label: str
    series: list[pd.Series]
    colour: Rgb


def curve(label: str, colour: Rgb, histories: Sequence[TrainingHistory], *names: str) -> Curve:
    """The curve of a logged value, or of the sum of several."""
    return Curve(label, [history.series(*names) for history in histories], colour)


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves in one pair of axes.

    Attributes:
        title: what is drawn.
        curves: see :class:`Curve`.
        about: the data set or the run that is shown, where there are several.
        evaluated: points are evaluations: marked, the best one with a star, and never smoothed.
        percent: values are in 0..1 and shown in percent.
        smoothed: noise is smoothed.
        from_zero: the axis begins at 0.
        single: the panel shows one run even if the figure shows several: colours tell curves apart.
    """

    title: str
    curves: list[Curve]
    _: KW_ONLY
    about: str = ""
    evaluated: bool = False
    percent: bool = False
    smoothed: bool = True
    from_zero: bool = False
    single: bool = False

    @property
    def heading(self) -> str:
        """``about`` and the title on a line each, cut to the width of the panel."""
        title = self.title + (" (%)" if self.percent else "")
        return "\n".join(_fitted(clean(line)) for line in (self.about, title) if line)

    @property
    def empty(self) -> bool:
        """Whether no run has a finite value."""
        return not any(np.isfinite(series).any() for curve in self.curves for series in curve.series)


def _fitted(line: str) -> str:
    length = len(line)
    while length > 1 and text_width(shortened(line, length), TITLE_SIZE) > _TITLE_WIDTH:
        length -= 1
    return shortened(line, length)
