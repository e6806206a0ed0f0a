"""Draws pages of panels, for one run or several.

With one run the colour of a curve says what it is; with several it says whose, and the dash says what.
N: logged points.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from scipy.ndimage import median_filter

from speaq.tools.training_log.history import TrainingHistory
from speaq.tools.training_log.panels import (
    DARK,
    MIDDLE,
    TITLE_SIZE,
    Panel,
    Rgb,
    run_colour,
    run_marker,
    set_labels,
    short_number,
)
from speaq.visualize.charts import short
from speaq.visualize.text import clean, wrapped

_DASHES: tuple[Any, ...] = (
    "-",
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (2, 1)),
    (0, (7, 3)),
)
_NAMES_PER_LINE = 4  # of runs in a legend
_WIDTH, _MOST_WIDTHS = 1.7, 3  # of a line, and how many times as wide one is that others cover
_NOTE_SIZE = 9
_MARKS = 8  # on a curve, about, where the colour alone does not tell whose it is


def running_median(values: np.ndarray, window: int) -> np.ndarray:
    """(N,) centred median of ``window`` points; at the ends the curve is mirrored.

    Unlike an exponential mean it does not lag behind the curve, keeps the step that a drop of the learning
    rate makes, and a single spike leaves no trace.
    """
    return values if window <= 1 else median_filter(values, size=window, mode="reflect")


class Page:
    """Panels on one picture.

    Args:
        title: of the page.
        histories: the runs, in the order of the curves' series.
        smooth: points of the running median; None takes 1/60 of a run's points.
    """

    def __init__(self, title: str, histories: Sequence[TrainingHistory], *, smooth: int | None = None):
        self.title = title
        self.histories = histories
        self._smooth = smooth
        self._windows: set[int] = set()  # these must be explained below the panels
        self._marked = self._starred = False

    def draw(self, panels: Sequence[Panel], *, columns: int) -> Figure | None:
        """The picture; panels without anything to draw are left out, and without any panel it is None.

        Args:
            panels: in reading order.
            columns: panels in a row.
        """
        panels = [panel for panel in panels if not panel.empty]
        if not panels:
            return None
        columns = min(columns, len(panels))
        rows = -(-len(panels) // columns)
        named = len(self.histories) > 1 and not all(panel.single for panel in panels)
        size = (4.3 * columns + 0.4, 3.0 * rows + 0.9)
        figure = new_figure(size, self.title, self.histories, with_legend=named)
        for index, panel in enumerate(panels):
            self._draw_panel(figure.add_subplot(rows, columns, index + 1), panel)
        footnote = self._footnote()
        if any(panel.terms for panel in panels) and (note := mixed_weights(self.histories)):
            letters = int(figure.get_figwidth() * 72 / (0.6 * _NOTE_SIZE))
            footnote += "\n" + wrapped(clean(note), letters)
        figure.supxlabel(footnote, fontsize=_NOTE_SIZE, color=MIDDLE)
        return figure

    def _draw_panel(self, axes: Axes, panel: Panel) -> None:
        axes.set_title(panel.heading, fontsize=TITLE_SIZE)
        axes.grid(True)
        by_run = len(self.histories) > 1 and not panel.single
        wanted: list[np.ndarray] = []
        lines = [
            (
                run if by_run else 0,
                run_colour(run) if by_run else curve.colour,
                _DASHES[number % len(_DASHES) if by_run else 0],
                series,
            )
            for number, curve in enumerate(panel.curves)
            for run, series in enumerate(curve.series)
        ]
        for number, (run, colour, dash, (iterations, values)) in enumerate(lines):
            # What lies on each other, such as the learning rates of two runs, shall show: thick below thin.
            later = (above for _, other, _, (_, above) in lines[number + 1 :] if other != colour)
            covers = sum(np.array_equal(values, above) for above in later)
            width = _WIDTH * min(1 + covers, _MOST_WIDTHS)
            style = {"color": colour, "linestyle": dash, "linewidth": width, "marker": run_marker(run)}
            shown = 100 * values if panel.percent else values
            if panel.evaluated:
                self._draw_evaluations(axes, iterations, shown, style)
            else:
                wanted.append(self._draw_curve(axes, panel, iterations, shown, style))
        if wanted:
            self._keep_in_sight(axes, np.concatenate(wanted), panel)
        if panel.from_zero:
            has_height = any(values.any() for *_, (_, values) in lines)
            axes.set_ylim(bottom=0, top=None if has_height else 1)
        if len(self.histories) == 1 and not panel.evaluated:
            for first, _ in self.histories[0].resumed:
                axes.axvline(first, color=MIDDLE, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
        _add_panel_legend(axes, panel, by_run)

    def _draw_evaluations(
        self, axes: Axes, iterations: np.ndarray, values: np.ndarray, style: dict[str, Any]
    ) -> None:
        if not len(values):
            return
        self._starred = True
        size = 4 if len(values) < 40 and style["linestyle"] == "-" else 2
        axes.plot(iterations, values, markersize=size, **style)
        best = int(values.argmax())
        colour = style["color"]
        star = {"color": colour, "markersize": 12, "markeredgecolor": "white", "clip_on": False}
        axes.plot(iterations[best], values[best], "*", **star)

    def _draw_curve(
        self, axes: Axes, panel: Panel, iterations: np.ndarray, values: np.ndarray, style: dict[str, Any]
    ) -> np.ndarray:
        """Draw a curve; returns the values that must be in sight."""
        finite = np.isfinite(values)
        self._mark(axes, iterations[~finite], "x", style["color"])
        x, y = iterations[finite], values[finite]
        if not len(x):
            return y
        window = self._window(len(x)) if panel.smoothed else 1
        if window > 1:
            self._windows.add(window)
            faint = max(0.25 / len(panel.curves), 0.08)
            axes.plot(x, y, color=style["color"], linewidth=0.8, alpha=faint, zorder=1.5)
        smooth = running_median(y, window)
        if style["marker"] == run_marker(0):  # of one run or the first ones: points where they are few
            style = {**style, "marker": "o" if len(x) <= 15 else "", "markersize": 3}
        else:
            style = {**style, "markersize": 5, "markevery": max(len(x) // _MARKS, 1)}
        axes.plot(x, smooth, zorder=2.5, **style)
        return np.concatenate((smooth if window > 1 else y[:0], np.quantile(y, [0, 0.98])))

    def _window(self, points: int) -> int:
        """Odd number of points of the running median."""
        window = points // 60 if self._smooth is None else min(self._smooth, points)
        return max(window - (window + 1) % 2, 1)

    def _keep_in_sight(self, axes: Axes, wanted: np.ndarray, panel: Panel) -> None:
        """End the axis above ``wanted`` where a spike would flatten the rest, and mark the spike."""
        low = 0.0 if panel.from_zero else wanted.min(initial=np.inf)
        high = wanted.max(initial=-np.inf)
        ceiling = high + (high - low)
        if not high > low or axes.get_ylim()[1] <= ceiling:
            return
        axes.set_ylim(low - 0.05 * (high - low), ceiling)
        for curve in panel.curves:
            for iterations, values in curve.series:
                above = np.isfinite(values) & (values * (100 if panel.percent else 1) > ceiling)
                self._mark(axes, iterations[above], "^", MIDDLE)

    def _mark(self, axes: Axes, iterations: np.ndarray, marker: str, colour: Rgb) -> None:
        if len(iterations):
            self._marked = True
            heights = np.full(len(iterations), 0.97)
            axes.plot(iterations, heights, marker, color=colour, ms=5, transform=axes.get_xaxis_transform())

    def _footnote(self) -> str:
        parts = ["iteration"]
        if self._windows:
            least, most = min(self._windows), max(self._windows)
            points = f"{least}" if least == most else f"{least} to {most}"
            parts.append(f"line: running median of {points} logged points, faint: as logged")
        if self._starred:
            parts.append("star: best")
        if self._marked:
            parts.append("x: not finite, triangle: beyond the axis")
        if len(self.histories) == 1 and self.histories[0].resumed:
            parts.append("dotted: resumed")
        return "   |   ".join(parts)


def mixed_weights(histories: Sequence[TrainingHistory]) -> str:
    """A warning where loss terms cannot be compared, as some logs hold them times their weights."""
    weighted = [short(history.name, 24) for history in histories if history.weighted_terms]
    if len(weighted) in (0, len(histories)):
        return ""
    names = ", ".join(weighted[:3]) + (f" and {len(weighted) - 3} more" if len(weighted) > 3 else "")
    return f"do not compare loss terms: {names} logged them times their weights, the other runs without"


def new_figure(
    size: tuple[float, float], title: str, histories: Sequence[TrainingHistory], *, with_legend: bool
) -> Figure:
    """A picture with a title and without panels, which needs no display.

    Args:
        size: width and height in inches, the head of the picture not counted.
        title: of the picture; the name of the run is added where there is one.
        histories: the runs.
        with_legend: whether the colours of the runs are named below the title.
    """
    lines = -(-len(histories) // _NAMES_PER_LINE) if with_legend else 0
    head = 0.45 + 0.25 * lines
    width, height = max(size[0], 7), size[1] + head  # long enough for the title
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - head / height), h_pad=0.08)  # type: ignore[union-attr]
    shown = title if len(histories) > 1 else f"{title}: {short(histories[0].name)}"
    place = {"y": 1 - 0.12 / height, "va": "top"}
    figure.suptitle(shown, fontsize=14, fontweight="bold", **place)
    if with_legend:
        handles = [_run_sample(run) for run in range(len(histories))]
        legend = figure.legend(
            handles,
            [""] * len(handles),
            loc="upper center",
            bbox_to_anchor=(0.5, 1 - 0.36 / height),
            ncols=min(len(handles), _NAMES_PER_LINE),
        )
        legend.set_in_layout(False)
        set_labels(legend, [short(history.name) for history in histories])
    return figure


def _add_panel_legend(axes: Axes, panel: Panel, by_run: bool) -> None:
    if len(panel.curves) < 2:
        return
    drawn = [(i, curve) for i, curve in enumerate(panel.curves) if any(len(x) for x, _ in curve.series)]
    handles = [_sample(DARK if by_run else curve.colour, i if by_run else 0) for i, curve in drawn]
    legend = axes.legend(handles, [""] * len(handles), fontsize=8.5, loc="best")
    set_labels(legend, [curve.label for _, curve in drawn])


def _run_sample(run: int) -> Line2D:
    marker = run_marker(run) if run_marker(run) != run_marker(0) else ""
    return Line2D([], [], color=run_colour(run), linewidth=2.5, marker=marker, markersize=7)


def _sample(colour: Rgb, number: int) -> Line2D:
    return Line2D([], [], color=colour, linestyle=_DASHES[number % len(_DASHES)], linewidth=1.8)
