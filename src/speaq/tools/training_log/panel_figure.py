"""Draws figures of panels, for one run or several.

With one run the colour tells the curves apart; with several it tells the runs apart, and the line style the
curves.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.ndimage import median_filter

from speaq.tools.training_log.curves import DARK, MIDDLE, TITLE_SIZE, Panel, Rgb, run_colour, run_marker
from speaq.tools.training_log.history import TrainingHistory
from speaq.visualize.charts import short
from speaq.visualize.text import clean, wrapped

_LINE_STYLES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (2, 1)),
    (0, (7, 3)),
)
_RUNS_PER_LINE = 4  # in the legend of a figure
_LINE_WIDTH, _MAX_WIDENING = 1.7, 3  # a line under equal lines is drawn up to 3 times as wide
_FOOTNOTE_SIZE = 9
_MARKERS_PER_CURVE = 8  # about, where the colour alone does not tell the run


def running_median(values: np.ndarray, window: int) -> np.ndarray:
    """Centred median of ``window`` points of values (N,), mirrored at the ends.

    Unlike an exponential average it does not lag behind, keeps the step at a drop of the learning rate, and
    removes single spikes.
    """
    return values if window <= 1 else median_filter(values, size=window, mode="reflect")


class PanelFigure:
    """Draws the panels of one figure and its footnote, which explains the marks that occur.

    Args:
        title: of the figure.
        histories: the runs, in the order of the curves' series.
        smooth: points of the running median; None for 1/60 of a run's points.
        has_loss_terms: whether to warn where some runs logged weighted loss terms and others did not.
    """

    def __init__(
        self,
        title: str,
        histories: Sequence[TrainingHistory],
        *,
        smooth: int | None = None,
        has_loss_terms: bool = False,
    ):
        self.title = title
        self.histories = histories
        self._smooth = smooth
        self._has_loss_terms = has_loss_terms
        self._windows: set[int] = set()  # of running medians
        self._has_marks = self._has_stars = False

    def draw(self, panels: Sequence[Panel], *, columns: int) -> Figure | None:
        """Draw the panels that have data, in rows of ``columns``; None without any."""
        panels = [panel for panel in panels if not panel.empty]
        if not panels:
            return None
        columns = min(columns, len(panels))
        rows = -(-len(panels) // columns)
        with_legend = len(self.histories) > 1 and not all(panel.single for panel in panels)
        size = (4.3 * columns + 0.4, 3.0 * rows + 0.9)
        figure = new_figure(size, self.title, self.histories, with_legend=with_legend)
        for index, panel in enumerate(panels):
            self._draw_panel(figure.add_subplot(rows, columns, index + 1), panel)
        footnote = self._footnote()
        if self._has_loss_terms and (warning := weighting_warning(self.histories)):
            letters = int(figure.get_figwidth() * 72 / (0.6 * _FOOTNOTE_SIZE))
            footnote += "\n" + wrapped(clean(warning), letters)
        figure.supxlabel(footnote, fontsize=_FOOTNOTE_SIZE, color=MIDDLE)
        return figure

    def _draw_panel(self, axes: Axes, panel: Panel) -> None:
        axes.set_title(panel.heading, fontsize=TITLE_SIZE)
        axes.grid(True)
        by_run = len(self.histories) > 1 and not panel.single
        factor = 100 if panel.percent else 1
        lines = [
            (
                factor * series,
                {
                    "color": run_colour(run) if by_run else curve.colour,
                    "linestyle": _LINE_STYLES[number % len(_LINE_STYLES) if by_run else 0],
                    "marker": run_marker(run if by_run else 0),
                },
            )
            for number, curve in enumerate(panel.curves)
            for run, series in enumerate(curve.series)
        ]
        visible = []
        for number, (series, style) in enumerate(lines):
            # Equal lines, such as the learning rates of two runs, are drawn wide below narrow.
            above = (other for other, its in lines[number + 1 :] if its["color"] != style["color"])
            covers = sum(np.array_equal(series, other) for other in above)
            style["linewidth"] = _LINE_WIDTH * min(1 + covers, _MAX_WIDENING)
            if panel.evaluated:
                self._draw_evaluations(axes, series, style)
            else:
                visible.append(self._draw_curve(axes, panel, series, style))
        if visible:
            self._limit_axis(axes, np.concatenate(visible), [series for series, _ in lines], panel.from_zero)
        if panel.from_zero:
            axes.set_ylim(bottom=0, top=None if any(series.any() for series, _ in lines) else 1)
        if len(self.histories) == 1 and not panel.evaluated:
            for first, _ in self.histories[0].resumed:
                axes.axvline(first, color=MIDDLE, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        _add_panel_legend(axes, panel, by_run)

    def _draw_evaluations(self, axes: Axes, series: pd.Series, style: dict[str, Any]) -> None:
        if series.empty:
            return
        self._has_stars = True
        size = 4 if len(series) < 40 and style["linestyle"] == "-" else 2
        axes.plot(series.index, series, markersize=size, **style)
        star = {"color": style["color"], "markersize": 12, "markeredgecolor": "white", "clip_on": False}
        best = series.to_numpy().argmax()
        axes.plot(series.index[best], series.iloc[best], "*", **star)

    def _draw_curve(self, axes: Axes, panel: Panel, series: pd.Series, style: dict[str, Any]) -> np.ndarray:
        """Draw a curve; returns the values that the axis must include."""
        finite = np.isfinite(series)
        self._mark(axes, series.index[~finite], "x", style["color"])
        x, y = series.index[finite].to_numpy(), series[finite].to_numpy()
        if not len(x):
            return y
        window = self._window(len(x)) if panel.smoothed else 1
        if window > 1:
            self._windows.add(window)
            alpha = max(0.25 / len(panel.curves), 0.08)
            axes.plot(x, y, color=style["color"], linewidth=0.8, alpha=alpha, zorder=1.5)
        smooth = running_median(y, window)
        if style["marker"] == run_marker(0):  # the colour tells the run: markers only on short curves
            style = {**style, "marker": "o" if len(x) <= 15 else "", "markersize": 3}
        else:
            style = {**style, "markersize": 5, "markevery": max(len(x) // _MARKERS_PER_CURVE, 1)}
        axes.plot(x, smooth, zorder=2.5, **style)
        return np.concatenate((smooth if window > 1 else y[:0], np.quantile(y, [0, 0.98])))

    def _window(self, points: int) -> int:
        """Odd number of points of the running median."""
        window = points // 60 if self._smooth is None else min(self._smooth, points)
        return max(window - (window + 1) % 2, 1)

    def _limit_axis(
        self, axes: Axes, visible: np.ndarray, lines: Sequence[pd.Series], from_zero: bool
    ) -> None:
        """End the axis above ``visible`` where a spike would flatten the rest, and mark the spike."""
        low = 0.0 if from_zero else visible.min(initial=np.inf)
        high = visible.max(initial=-np.inf)
        ceiling = high + (high - low)
        if not high > low or axes.get_ylim()[1] <= ceiling:
            return
        axes.set_ylim(low - 0.05 * (high - low), ceiling)
        for series in lines:
            self._mark(axes, series.index[np.isfinite(series) & (series > ceiling)], "^", MIDDLE)

    def _mark(self, axes: Axes, iterations: pd.Index, marker: str, colour: Rgb) -> None:
        if len(iterations):
            self._has_marks = True
            heights = np.full(len(iterations), 0.97)
            axes.plot(iterations, heights, marker, color=colour, ms=5, transform=axes.get_xaxis_transform())

    def _footnote(self) -> str:
        parts = ["iteration"]
        if self._windows:
            least, most = min(self._windows), max(self._windows)
            points = f"{least}" if least == most else f"{least} to {most}"
            parts.append(f"line: running median of {points} logged points, faint: as logged")
        if self._has_stars:
            parts.append("star: best")
        if self._has_marks:
            parts.append("x: not finite, triangle: beyond the axis")
        if len(self.histories) == 1 and self.histories[0].resumed:
            parts.append("dotted: resumed")
        return "   |   ".join(parts)


def weighting_warning(histories: Sequence[TrainingHistory]) -> str:
    """A warning if only some of the runs logged their loss terms times the weights."""
    weighted = [short(history.name, 24) for history in histories if history.weighted_terms]
    if len(weighted) in (0, len(histories)):
        return ""
    names = ", ".join(weighted[:3]) + (f" and {len(weighted) - 3} more" if len(weighted) > 3 else "")
    return f"do not compare loss terms: {names} logged them times their weights, the other runs without"


def new_figure(
    size: tuple[float, float], title: str, histories: Sequence[TrainingHistory], *, with_legend: bool
) -> Figure:
    """A figure with a title, to which the name of a single run is added, and without panels.

    ``size`` is width and height in inches without title and legend of runs.
    """
    lines = -(-len(histories) // _RUNS_PER_LINE) if with_legend else 0
    head = 0.45 + 0.25 * lines
    width, height = max(size[0], 7), size[1] + head  # wide enough for the title
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height), h_pad=0.08)  # type: ignore[union-attr]
    shown = title if len(histories) > 1 else f"{title}: {short(histories[0].name)}"
    figure.suptitle(shown, fontsize=14, fontweight="bold", y=1 - 0.12 / height, va="top")
    if with_legend:
        handles = [_run_sample(run) for run in range(len(histories))]
        legend = figure.legend(
            handles,
            [""] * len(handles),
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.36 / height),
            ncols=min(len(handles), _RUNS_PER_LINE),
        )
        legend.set_in_layout(False)
        _set_labels(legend, [short(history.name) for history in histories])
    return figure


def short_number(value: float) -> str:
    """A number as a tick label: 120k, 1.5M, 2e-5."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.4g}M"
    if abs(value) >= 10_000:
        return f"{value / 1000:.4g}k"
    return f"{value:.6g}".replace("e-0", "e-")


def _add_panel_legend(axes: Axes, panel: Panel, by_run: bool) -> None:
    if len(panel.curves) < 2:
        return
    drawn = [(i, curve) for i, curve in enumerate(panel.curves) if any(map(len, curve.series))]
    handles = [
        Line2D([], [], color=DARK, linestyle=_LINE_STYLES[i % len(_LINE_STYLES)], linewidth=1.8)
        if by_run
        else Line2D([], [], color=curve.colour, linewidth=1.8)
        for i, curve in drawn
    ]
    legend = axes.legend(handles, [""] * len(handles), fontsize=8.5, loc="best")
    _set_labels(legend, [curve.label for _, curve in drawn])


def _run_sample(run: int) -> Line2D:
    marker = run_marker(run) if run_marker(run) != run_marker(0) else ""
    return Line2D([], [], color=run_colour(run), linewidth=2.5, marker=marker, markersize=7)


def _set_labels(legend: Legend, labels: Sequence[str]) -> None:
    """Set the labels of a legend; matplotlib itself leaves out those that begin with an underscore."""
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)
