"""What a page of curves is made of: curves, panels, and colours.

N: logged points.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.legend import Legend

from speaq.graph.colours import FAINT, GREY, INK, PALETTE
from speaq.tools.training_log.history import Series, TrainingHistory
from speaq.visualize.charts import Rgb, rgb
from speaq.visualize.text import clean, shortened, text_width

BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY = (rgb(colour) for colour in PALETTE[:6])
DARK, LIGHT, MIDDLE = rgb(INK), rgb(FAINT), rgb(GREY)
PART_COLOURS = {"subject": BLUE, "object": ORANGE, "relation": GREEN}
# Yellow is hard to see on white, and the last ones are too pale or too much like the text.
_RUN_COLOURS = tuple(rgb(PALETTE[index]) for index in (0, 4, 2, 3, 1, 5, 7, 9))
_RUN_MARKERS = ("o", "s", "D", "P", "d", "|")  # neither "x" nor "^": these have a meaning of their own
_TITLE_WIDTH, TITLE_SIZE = 265.0, 11.0  # points: what is beside the numbers of an axis


def run_colour(index: int) -> Rgb:
    """Colour of a run among several."""
    return _RUN_COLOURS[index % len(_RUN_COLOURS)]


def run_marker(index: int) -> str:
    """Marker of a run's points: another one whenever the colours begin anew."""
    return _RUN_MARKERS[index // len(_RUN_COLOURS) % len(_RUN_MARKERS)]


def depth_shades(count: int) -> list[Rgb]:
    """Colours of recalls at growing depths: blues from light to dark."""
    return [colormaps["Blues"](place)[:3] for place in np.linspace(0.45, 0.95, count)]


def layer_shades(count: int) -> list[Rgb]:
    """Colours of decoder layers: from light green to the final layer's dark violet."""
    return [colormaps["viridis"](place)[:3] for place in np.linspace(0.85, 0.05, count)]


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity.

    Attributes:
        label: for the legend of the panel.
        series: of each run of the page; empty where a run lacks it.
        colour: with a single run.
    """

    label: str
    series: list[Series]
    colour: Rgb

    @classmethod
    def of(
        cls,
        label: str,
        colour: Rgb,
        histories: Sequence[TrainingHistory],
        read: Callable[[TrainingHistory], Series],
    ) -> "Curve":
        """The curve that ``read`` finds in every history."""
        return cls(label, [read(history) for history in histories], colour)


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves in one pair of axes.

    Attributes:
        title: what is drawn.
        about: the data set or the run that it is about, where there are several.
        curves: see :class:`Curve`.
        evaluated: points are evaluations: they are marked, the best with a star, and never smoothed.
        percent: values are shares in 0..1, and shown in percent.
        smoothed: noise is smoothed.
        from_zero: the axis begins at 0.
        single: the panel is about one run, even on a page with several: colours say what a curve is.
        terms: curves are loss terms, which some logs hold times their weights.
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
    terms: bool = False

    @property
    def heading(self) -> str:
        """The title as it is drawn: no wider than the panel, and what it is about on a line of its own."""
        title = self.title + (" (%)" if self.percent else "")
        return "\n".join(_fitted(clean(line)) for line in (self.about, title) if line)

    @property
    def empty(self) -> bool:
        """Whether no run has anything to draw here."""
        return not any(np.isfinite(values).any() for curve in self.curves for _, values in curve.series)


def _fitted(line: str) -> str:
    """A line of a title, cut where a panel ends."""
    length = len(line)
    while length > 1 and text_width(shortened(line, length), TITLE_SIZE) > _TITLE_WIDTH:
        length -= 1
    return shortened(line, length)


def set_labels(legend: Legend, labels: Sequence[str]) -> None:
    """Give a legend its labels; matplotlib itself would leave out those that begin with _."""
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def short_number(value: float) -> str:
    """A number as a tick: 120k, 1.5M, 2e-5."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.4g}M"
    if abs(value) >= 10_000:
        return f"{value / 1000:.4g}k"
    return f"{value:.6g}".replace("e-0", "e-")
