"""Charts of the distributions of predicates, object classes and triplets in data sets.

A data set has the same colour in every chart.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from speaq.graph.colours import GREY
from speaq.tools.distribution.comparison import Comparison, classes_to_cover
from speaq.visualize.charts import Rgb, dataset_colours, plain_number, rgb, short

TOP = 20  # classes of a set in `draw_top`
ROW = 50  # classes in a row of `draw_all`
MOST = {"predicates": 500, "objects": 500, "triplets": 100}  # classes in `draw_all`
COVERED = (50, 90)  # percent, marked in `draw_cumulative`
LONG_TAIL = 30  # the ratio of shares from which they are drawn on a logarithmic axis

_ABSENT: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 4}
_UNKNOWN: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4, "markerfacecolor": "none"}
_DOTS: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 6.5,
    "markeredgecolor": "white",
    "clip_on": False,
}


def draw_top(comparison: Comparison) -> Figure:
    """A panel for each data set with its most frequent classes, and their shares in the other data sets."""
    sets, colours = comparison.sets, dataset_colours(comparison.sets)
    columns = min(len(sets), 3)
    rows = math.ceil(len(sets) / columns)
    bars = min(TOP, max(map(len, comparison.columns.values())))
    figure = Figure(figsize=(1 + 5.5 * columns, 1 + (0.8 + 0.26 * bars) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, name in zip(panels, sets, strict=False):
        _draw_top_of(axes, comparison, name)
    for axes in panels[len(sets) :]:
        axes.set_axis_off()
    most = np.nan_to_num(100 * comparison.shares).max(initial=1)
    panels[0].set(xlim=(0, 1.2 * most), xticks=_ticks(most))
    if len(sets) > 1:
        handles: list[Artist] = [Patch(color=rgb(colours[name]), label=short(name)) for name in sets]
        handles.append(Line2D([], [], label="share in another set", color=rgb(GREY), **_DOTS))
        _add_legend(figure, handles)
    return figure


def _draw_top_of(axes: Axes, comparison: Comparison, name: str) -> None:
    """The panel of one set."""
    colours, x = dataset_colours(comparison.sets), comparison.counts[name]
    best = x[x > 0].sort_values(ascending=False, kind="stable").head(TOP)
    total = f"{int(x.sum()):,} {comparison.items} of {comparison.counted}"
    axes.set_title(f"{short(name)}: most frequent {comparison.classes}\n{total}")
    axes.set_xlabel(f"Share of {comparison.items} (%)")
    axes.tick_params(axis="x", labelbottom=True)
    percent = 100 * comparison.shares.where(comparison.counts.notna()).loc[best.index]
    draw_bars(axes, [short(one) for one in best.index], percent[name], [rgb(colours[name])])
    if best.empty:
        axes.text(0.5, 0.5, f"no {comparison.items}", transform=axes.transAxes, ha="center", color=rgb(GREY))
        return
    for other, colour in colours.items():
        if other != name:
            axes.plot(percent[other], range(len(best)), color=rgb(colour), **_DOTS)
    for position, number in enumerate(best):
        axes.text(
            1,
            position,
            f"{int(number):,}",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8.5,
            color=rgb(GREY),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )


def draw_bars(
    axes: Axes, labels: Sequence[str], widths: Iterable[float], colours: Sequence[Rgb], **style: Any
) -> None:
    """Labelled horizontal bars from top to bottom; ``style`` is that of the labels."""
    axes.barh(range(len(labels)), [*widths], height=0.72, color=colours)
    axes.set_yticks(range(len(labels)), labels, **style)
    axes.set_ylim(max(len(labels), 1) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def draw_all(comparison: Comparison) -> Figure:
    """All classes in all data sets side by side, in the order and the groups of the first one.

    Of triplets and of very many classes only the most frequent ones are shown; the title tells how many.
    """
    most_frequent = np.argsort(-np.nan_to_num(comparison.shares).max(axis=1), kind="stable")
    shown = np.sort(most_frequent[: MOST[comparison.what]])
    counts, percent = comparison.counts.iloc[shown], 100 * comparison.shares.iloc[shown]
    num_rows = max(math.ceil(len(shown) / ROW), 1)
    per_row = math.ceil(len(shown) / num_rows)
    longest = max((len(short(name)) for name in counts.index), default=0)
    size = max(2 + 0.25 * per_row, 7), 1.2 + (1.8 + 0.075 * longest) * num_rows  # inches
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(num_rows, 1, squeeze=False, sharey=True).ravel()
    _scale_shares(rows[0], percent.to_numpy())
    for number, axes in enumerate(rows):
        part = slice(number * per_row, (number + 1) * per_row)
        _draw_columns(axes, percent.iloc[part], counts.iloc[part].notna())
        axes.set_xlim(-0.6, max(per_row, 1) - 0.4)
        _mark_groups(axes, comparison, comparison.groups.codes[shown[part]], size[0] / (per_row + 3))
    write_label = rows[0].set_ylabel if num_rows == 1 else figure.supylabel
    write_label(f"Share of {comparison.items} (%)", fontsize=10)
    title = (
        f"{comparison.classes.capitalize()} by frequency in {short(comparison.sets[0])}; {comparison.counted}"
    )
    if len(shown) < len(comparison.counts):
        title += f"; the {len(shown)} most frequent of {len(comparison.counts):,}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    colours = dataset_colours(comparison.sets)
    handles: list[Artist] = [Patch(color=rgb(colour), label=short(name)) for name, colour in colours.items()]
    if (counts == 0).to_numpy().any():
        handles.append(Line2D([], [], label="never occurs", **_ABSENT, color=rgb(GREY)))
    if counts.isna().to_numpy().any():
        text = "not in this set" if comparison.what == "triplets" else "not in its vocabulary"
        handles.append(Line2D([], [], label=text, **_UNKNOWN, color=rgb(GREY)))
    _add_legend(figure, handles)
    return figure


def _scale_shares(axes: Axes, percent: np.ndarray) -> None:
    """Scale the axis of shares, which all rows have in common."""
    present = percent[percent > 0]
    if not len(present) or present.max() < LONG_TAIL * present.min():
        low, high = 0.0, 1.2 * present.max(initial=1)
        axes.set_yticks(_ticks(high / 1.2))
    else:
        low, high = present.min() / 2, 4 * present.max()
        axes.set_yscale("log")
        steps = (1.0,) if present.max() > 1000 * present.min() else (1.0, 3.0)  # of a decade
        ticks = [step * decade for decade in 10.0 ** np.arange(-9, 3) for step in steps]
        axes.set_yticks([tick for tick in ticks if low <= tick <= present.max()])
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(plain_number))


def _draw_columns(axes: Axes, percent: pd.DataFrame, known: pd.DataFrame) -> None:
    """The classes of one row: a bar per set, or a mark where there is none."""
    low, positions, width = axes.get_ylim()[0], np.arange(len(percent)), 0.8 / len(percent.columns)
    for number, (name, colour) in enumerate(dataset_colours(percent.columns.tolist()).items()):
        heights, in_vocabulary = percent[name].to_numpy(), known[name].to_numpy()
        middles = positions + (number + 0.5) * width - 0.4
        axes.bar(middles, np.maximum(heights - low, 0), width, bottom=low, color=rgb(colour))
        for mask, marker in ((in_vocabulary & ~(heights > 0), _ABSENT), (~in_vocabulary, _UNKNOWN)):
            where = {"transform": axes.get_xaxis_transform(), "color": rgb(colour)}
            axes.plot(middles[mask], np.full(mask.sum(), 0.04), **marker, **where)
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    axes.set_xticks(positions, [short(name) for name in percent.index], rotation=90, fontsize=8.5)


def _mark_groups(axes: Axes, comparison: Comparison, groups: np.ndarray, column: float) -> None:
    """Mark head, body and tail of the first data set; ``column`` is the width of a class in inches."""
    names = ["head", "body", "tail", f"not in {short(comparison.sets[0], 16)}"]
    high = axes.get_ylim()[1]
    for group in np.unique(groups):
        inside, name = np.flatnonzero(groups == group), names[group]
        start = inside[0] - 0.5
        if inside[0] > 0:
            axes.axvline(start, color=rgb(GREY), linewidth=0.8, linestyle=(0, (3, 3)))
        if len(inside) * column > 0.08 * len(name) or inside[-1] == len(groups) - 1:  # else no room
            axes.text(start + 0.15, high, name, va="top", fontsize=8.5, color=rgb(GREY), fontstyle="italic")


def draw_cumulative(comparison: Comparison) -> Figure:
    """Cumulative share of the k most frequent classes of every data set, over k."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for name, colour in dataset_colours(comparison.sets).items():
        _draw_curve(axes, name, comparison.columns[name].to_numpy(), rgb(colour))
    most = max(1, *map(len, comparison.columns.values()))
    ranks = np.arange(most + 1)
    if most > 1:
        label = f"{most:,} {comparison.classes} of equal shares"
        axes.plot(ranks, 100 * ranks / most, color=rgb(GREY), linewidth=1, linestyle=(0, (4, 3)), label=label)
    for percent in COVERED:
        axes.axhline(percent, color=rgb(GREY), linewidth=0.7, linestyle=(0, (1, 2)))
    if most > MOST["predicates"]:
        axes.set_xscale("log")
        axes.set_xlim(1, most)
        axes.xaxis.set_major_formatter(FuncFormatter(plain_number))
    else:
        axes.set_xlim(0, 1.02 * most)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set(
        xlabel=f"{comparison.classes.capitalize()} of the set, the most frequent first",
        ylabel=f"Cumulative share of {comparison.items} (%)",
        ylim=(0, 103),
        yticks=range(0, 101, 10),
        title=f"Coverage by the most frequent {comparison.classes}; {comparison.counted}",
    )
    axes.grid()
    corner = "upper left" if axes.get_xscale() == "log" else "lower right"  # where no curve is
    axes.legend(loc=corner, frameon=True, facecolor="white", edgecolor="white", framealpha=1)
    return figure


def _draw_curve(axes: Axes, name: str, x: np.ndarray, colour: Rgb) -> None:
    """The curve of one set, with points where it reaches the percentages of `COVERED`."""
    if not x.sum():
        axes.plot([], [], color=colour, label=f"{short(name)}: none")
        return
    needed = [classes_to_cover(x, percent) for percent in COVERED]
    reached = ", ".join(f"{percent} % in {k:,}" for k, percent in zip(needed, COVERED, strict=True))
    cumulative = 100 * np.concatenate(([0], np.cumsum(-np.sort(-x)))) / x.sum()
    axes.plot(cumulative, color=colour, linewidth=2, label=f"{short(name)}: {reached}")
    axes.plot(needed, cumulative[needed], color=colour, **_DOTS)


def _add_legend(figure: Figure, handles: list[Artist]) -> None:
    """Below the figure, in one row if there is room."""
    widths = [0.7 + 0.08 * len(str(handle.get_label())) for handle in handles]  # inches, about
    room = figure.get_figwidth()
    columns = len(handles) if sum(widths) < room else max(int(room / max(widths)), 1)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to the greatest share shown."""
    return [tick for tick in MaxNLocator(6).tick_values(0, most) if 0 <= tick <= most]
