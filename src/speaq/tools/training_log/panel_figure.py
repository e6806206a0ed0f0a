"""Draws figures of panels, for one run or several.

With one run the colour tells the curves apart; with several it tells the runs apart, and the line style the
curves.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.ndimage import median_filter

from speaq.graph.colours import FAINT, GREY, INK, PALETTE
from speaq.tools.training_log.history import Name, TrainingHistory
from speaq.visualize.charts import Rgb, rgb, short
from speaq.visualize.text import clean, shortened, text_width, wrapped

BLUE, ORANGE, GREEN, PURPLE, VERMILLION, SKY = (rgb(colour) for colour in PALETTE[:6])
DARK, LIGHT, MIDDLE = rgb(INK), rgb(FAINT), rgb(GREY)
# Yellow is hard to see on white, and the last ones are too pale or too much like the text.
_RUN_COLOURS = tuple(rgb(PALETTE[index]) for index in (0, 4, 2, 3, 1, 5, 7, 9))
_RUN_MARKERS = ("o", "s", "D", "P", "d", "|")
_NOT_FINITE, _BEYOND = "x", "^"  # markers
_DASHES = ((4, 1.5), (1, 1.2), (5, 1.5, 1, 1.5), (2, 1), (7, 3))
_LINE_STYLES: tuple[Any, ...] = ("-", *((0, dashes) for dashes in _DASHES))
_RUNS_PER_LINE = 4  # in the legend of a figure
_LINE_WIDTH, _MAX_WIDENING = 1.7, 3  # a line under equal lines is drawn up to 3 times as wide
_TITLE_SIZE, _FOOTNOTE_SIZE = 11, 9
_TITLE_WIDTH = 265.0  # points; leaves out the tick labels of the next panel
_MARKERS_PER_CURVE = 8  # about, where the colour alone does not tell the run

Histories = Sequence[TrainingHistory]
Curve = tuple[str, Rgb, Sequence[Name] | Callable[[TrainingHistory], pd.Series]]
"""Label, colour if the figure shows one run, and logged values that are added up or a function of a run."""


@dataclass(frozen=True)
class Panel:
    """Curves in one pair of axes."""

    title: str
    curves: Sequence[Curve]
    _: KW_ONLY
    about: str = ""  # the data set or the run that is shown, where there are several
    run: TrainingHistory | None = None  # the only one that is shown: colours tell curves apart
    evaluated: bool = False  # points are evaluations: marked, the best one with a star, and never smoothed
    percent: bool = False  # values are in 0..1 and shown in percent
    smoothed: bool = True
    from_zero: bool = False

    def lines(self, histories: Histories) -> list[list[pd.Series]]:
        """A series for each run of every curve, empty where it lacks the values."""
        runs, factor = [self.run] if self.run else histories, 100 if self.percent else 1
        lines = [
            [factor * (of(run) if callable(of) else run.series(*of)) for run in runs]
            for _, _, of in self.curves
        ]
        return [[line[np.isfinite(line)] for line in of] for of in lines] if self.evaluated else lines


def running_median(values: np.ndarray, window: int) -> np.ndarray:
    """Centred median of ``window`` points of values (N,), mirrored at the ends.

    Unlike an exponential average it does not lag behind, keeps the step at a drop of the learning rate, and
    removes single spikes.
    """
    return values if window <= 1 else median_filter(values, size=window, mode="reflect")


def run_style(run: int) -> dict[str, Any]:
    """Colour of a run among several, and its marker: the next one whenever the colours repeat."""
    turn, colour = divmod(run, len(_RUN_COLOURS))
    return {"color": _RUN_COLOURS[colour], "marker": _RUN_MARKERS[turn % len(_RUN_MARKERS)]}


def shades(colour_map: str, first: float, last: float, count: int) -> list[Rgb]:
    """``count`` colours between two places of a matplotlib colour map."""
    return [colormaps[colour_map](place)[:3] for place in np.linspace(first, last, count)]


def short_number(value: float, _position: int | None = None) -> str:
    """A number as a tick label: 120k, 1.5M, 2e-5."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.4g}M"
    return f"{value / 1000:.4g}k" if abs(value) >= 10_000 else f"{value:.6g}".replace("e-0", "e-")


def new_figure(size: tuple[float, float], title: str, histories: Histories, *, with_legend: bool) -> Figure:
    """A figure with a title, to which the name of a single run is added, and without panels.

    ``size`` is width and height in inches without title and legend of runs.
    """
    head = 0.45 + (0.25 * -(-len(histories) // _RUNS_PER_LINE) if with_legend else 0)
    width, height = max(size[0], 7), size[1] + head  # wide enough for the title
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height), h_pad=0.08)  # type: ignore[union-attr]
    shown = title if len(histories) > 1 else f"{title}: {short(histories[0].name)}"
    figure.suptitle(shown, fontsize=14, fontweight="bold", y=1 - 0.12 / height, va="top")
    if with_legend:
        styles = [run_style(run) for run in range(len(histories))]
        handles = [Line2D([], [], linewidth=2.5, markersize=7, **style) for style in styles]
        for handle in handles[: len(_RUN_COLOURS)]:
            handle.set_marker("")
        labels = [short(history.name) for history in histories]
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, 1 - 0.36 / height)}
        legend = figure.legend(handles, labels, ncols=min(len(handles), _RUNS_PER_LINE), **below)
        legend.set_in_layout(False)
    return figure


def draw_panels(
    title: str,
    histories: Histories,
    panels: Sequence[Panel],
    *,
    columns: int = 3,
    smooth: int | None = None,
    has_loss_terms: bool = False,
) -> Figure | None:
    """Draw the panels that have data, and a footnote that explains the marks that occur; None without any.

    ``smooth`` is the number of points of the running median, None for 1/60 of a run's points. With
    ``has_loss_terms``, there is a warning if only some runs logged them times their weights.
    """
    drawn = [(panel, panel.lines(histories)) for panel in panels]
    drawn = [
        (panel, lines)
        for panel, lines in drawn
        if any(np.isfinite(line).any() for of in lines for line in of)
    ]
    if not drawn:
        return None
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    with_legend = len(histories) > 1 and any(panel.run is None for panel, _ in drawn)
    figure = new_figure((4.3 * columns + 0.4, 3.0 * rows + 0.9), title, histories, with_legend=with_legend)
    windows: set[int] = set()
    for place, (panel, lines) in enumerate(drawn, start=1):
        axes = figure.add_subplot(rows, columns, place)
        windows |= _draw_panel(axes, panel, lines, smooth)
        if len(histories) == 1 and not panel.evaluated:
            for first, _ in histories[0].resumed:
                axes.axvline(first, color=MIDDLE, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.margins(x=0.02)
    notes = ["iteration"]
    if windows := windows - {1}:
        points = " to ".join(map(str, sorted({min(windows), max(windows)})))
        notes.append(f"line: running median of {points} logged points, faint: as logged")
    if any(panel.evaluated for panel, _ in drawn):
        notes.append("star: best")
    if {str(line.get_marker()) for axes in figure.axes for line in axes.lines} & {_NOT_FINITE, _BEYOND}:
        notes.append("x: not finite, triangle: beyond the axis")
    if len(histories) == 1 and histories[0].resumed:
        notes.append("dotted: resumed")
    footnote = "   |   ".join(notes)
    weighted = [short(history.name, 24) for history in histories if history.weighted_terms]
    if has_loss_terms and 0 < len(weighted) < len(histories):
        names = ", ".join(weighted[:3]) + (f" and {len(weighted) - 3} more" if len(weighted) > 3 else "")
        warning = (
            f"do not compare loss terms: {names} logged them times their weights, the other runs without"
        )
        footnote += "\n" + wrapped(clean(warning), int(figure.get_figwidth() * 72 / (0.6 * _FOOTNOTE_SIZE)))
    figure.supxlabel(footnote, fontsize=_FOOTNOTE_SIZE, color=MIDDLE)
    return figure


def _draw_panel(axes: Axes, panel: Panel, lines: list[list[pd.Series]], smooth: int | None) -> set[int]:
    """Draw a panel; returns the windows of its running medians."""
    heading = (panel.about, panel.title + (" (%)" if panel.percent else ""))
    axes.set_title("\n".join(_fitted(clean(line)) for line in heading if line), fontsize=_TITLE_SIZE)
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(short_number))
    axes.yaxis.set_major_formatter(FuncFormatter(short_number))
    by_run = len(lines[0]) > 1
    dashes = [_LINE_STYLES[number % len(_LINE_STYLES)] for number in range(len(lines))]
    styled = [
        (series, run_style(run) | ({"linestyle": dash} if by_run else {"linestyle": "-", "color": colour}))
        for (_, colour, _), dash, runs in zip(panel.curves, dashes, lines, strict=True)
        for run, series in enumerate(runs)
    ]
    shown, windows = [], set()  # what the axis must include
    for number, (series, style) in enumerate(styled):
        # Equal lines, such as the learning rates of two runs, are drawn wide below narrow.
        above = (other for other, its in styled[number + 1 :] if its["color"] != style["color"])
        covers = sum(np.array_equal(series, other) for other in above)
        style["linewidth"] = _LINE_WIDTH * min(1 + covers, _MAX_WIDENING)
        finite = series[np.isfinite(series)]
        _mark(axes, series.index[~np.isfinite(series)], _NOT_FINITE, style["color"])
        if len(finite) and panel.evaluated:
            axes.plot(finite, markersize=4 if len(finite) < 40 and style["linestyle"] == "-" else 2, **style)
            star = {"markersize": 12, "markeredgecolor": "white", "clip_on": False}
            axes.plot(
                finite.index[finite.to_numpy().argmax()], finite.max(), "*", color=style["color"], **star
            )
        elif len(finite):
            window = len(finite) // 60 if smooth is None else min(smooth, len(finite))
            window = max(window - (window + 1) % 2, 1) if panel.smoothed else 1  # odd
            shown.append(_draw_curve(axes, finite, style, window, faint=max(0.25 / len(lines), 0.08)))
            windows.add(window)
    if shown:
        _limit_axis(axes, np.concatenate(shown), [series for series, _ in styled], panel.from_zero)
    if panel.from_zero:
        axes.set_ylim(bottom=0, top=None if any(series.any() for series, _ in styled) else 1)
    if len(panel.curves) > 1:
        styles: dict[str, dict[str, Any]] = {
            label: {"color": DARK, "linestyle": dash} if by_run else {"color": colour}
            for (label, colour, _), dash, runs in zip(panel.curves, dashes, lines, strict=True)
            if any(map(len, runs))
        }
        handles = [Line2D([], [], linewidth=1.8, **style) for style in styles.values()]
        axes.legend(handles, list(styles), fontsize=8.5, loc="best")
    return windows


def _fitted(line: str) -> str:
    """A line, cut to the width of a panel."""
    length = len(line)
    while length > 1 and text_width(shortened(line, length), _TITLE_SIZE) > _TITLE_WIDTH:
        length -= 1
    return shortened(line, length)


def _draw_curve(
    axes: Axes, values: pd.Series, style: dict[str, Any], window: int, *, faint: float
) -> np.ndarray:
    """Draw a running median and faint values; returns what the axis must include."""
    median = running_median(values.to_numpy(), window)
    if window > 1:
        axes.plot(values, color=style["color"], linewidth=0.8, alpha=faint, zorder=1.5)
    if style["marker"] == _RUN_MARKERS[0]:  # the colour tells the run: markers only on short curves
        style = {**style, "marker": "o" if len(values) <= 15 else "", "markersize": 3}
    else:
        style = {**style, "markersize": 5, "markevery": max(len(values) // _MARKERS_PER_CURVE, 1)}
    axes.plot(values.index, median, zorder=2.5, **style)
    return np.concatenate((median if window > 1 else median[:0], np.quantile(values, [0, 0.98])))


def _limit_axis(axes: Axes, shown: np.ndarray, lines: Sequence[pd.Series], from_zero: bool) -> None:
    """End the axis above ``shown`` where a spike would flatten the rest, and mark the spike."""
    low, high = 0.0 if from_zero else shown.min(), shown.max()
    ceiling = high + (high - low)
    if high > low and axes.get_ylim()[1] > ceiling:
        axes.set_ylim(low - 0.05 * (high - low), ceiling)
        for series in lines:
            _mark(axes, series.index[np.isfinite(series) & (series > ceiling)], _BEYOND, MIDDLE)


def _mark(axes: Axes, iterations: pd.Index, marker: str, colour: Rgb) -> None:
    if len(iterations):
        heights = np.full(len(iterations), 0.97)
        axes.plot(iterations, heights, marker, color=colour, ms=5, transform=axes.get_xaxis_transform())
