"""Charts of the distributions of predicates, object classes and triplets in data sets.

A data set has the same colour in every chart.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from speaq.files import replacing
from speaq.graph.colours import GREY, Colour
from speaq.tools.distribution.comparison import Comparison, Distribution, classes_to_cover, shares
from speaq.tools.distribution.summary import draw_summary
from speaq.visualize.charts import Rgb, chart_style, dataset_colours, plain_number, rgb, short

TOP = 20  # classes of a set in `draw_top`
ROW = 50  # classes in a row of `draw_all`
MOST = {"predicates": 500, "objects": 500, "triplets": 100}  # classes in `draw_all`
COVERED = (50, 90)  # percent, marked in `draw_cumulative`
LONG_TAIL = 30  # the ratio of shares from which they are drawn on a logarithmic axis

_ABSENT: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 4}
_UNKNOWN: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4, "markerfacecolor": "none"}


def save_pictures(comparison: Comparison, folder: Path, *, ending: str = "png") -> None:
    """Write the four charts of a comparison.

    Args:
        comparison: what to draw.
        folder: where they are written; created if missing.
        ending: file type: png, pdf or svg.

    Raises:
        SpeaqError: they cannot be written.
    """
    pictures = {
        f"top_{comparison.what}_comparison": draw_top,
        f"{comparison.stem}_distribution_comparison": draw_all,
        f"cumulative_{comparison.stem}_distribution": draw_cumulative,
        f"{comparison.stem}_statistics_summary": draw_summary,
    }
    with chart_style([*comparison.sets, *comparison.names]):
        for name, draw in pictures.items():
            with replacing(folder / f"{name}.{ending}") as temporary:
                draw(comparison).savefig(temporary)


def draw_top(comparison: Comparison) -> Figure:
    """A panel for each data set with its most frequent classes, and their shares in the other data sets."""
    colours = dataset_colours(list(comparison.sets))
    columns = min(len(comparison.sets), 3)
    rows = -(-len(comparison.sets) // columns)
    percent = {name: 100 * shares(x) for name, x in zip(comparison.sets, comparison.counts, strict=True)}
    bars = max(min(TOP, len(distribution.names)) for distribution in comparison.sets.values())
    figure = Figure(figsize=(1 + 5.5 * columns, 1 + (0.8 + 0.26 * bars) * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, name in zip(panels, comparison.sets, strict=False):
        _draw_top_of(axes, comparison, name, percent, colours)
    for axes in panels[len(comparison.sets) :]:
        axes.set_axis_off()
    most = max(float(np.nan_to_num(p).max(initial=1)) for p in percent.values())
    panels[0].set_xlim(0, 1.2 * most)
    panels[0].set_xticks(_ticks(most))
    if len(comparison.sets) > 1:
        handles: list[Artist] = [
            Patch(color=rgb(colours[name]), label=short(name)) for name in comparison.sets
        ]
        handles.append(Line2D([], [], label="share in another set", **_dots(rgb(GREY))))
        _add_legend(figure, handles)
    return figure


def _draw_top_of(
    axes: Axes, comparison: Comparison, name: str, percent: dict[str, np.ndarray], colours: dict[str, Colour]
) -> None:
    """The panel of one set."""
    x = comparison.counts[list(comparison.sets).index(name)]
    best = np.argsort(-x, kind="stable")[:TOP]
    best = best[x[best] > 0]
    axes.set_title(
        f"{short(name)}: most frequent {comparison.classes}\n"
        f"{x.sum():,} {comparison.items} of {comparison.counted}"
    )
    axes.set_xlabel(f"Share of {comparison.items} (%)")
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelbottom=True)
    axes.spines["left"].set_visible(False)
    axes.set_yticks(range(len(best)), [short(comparison.names[k]) for k in best])
    axes.set_ylim(max(len(best), 1) - 0.4, -0.6)
    if not len(best):
        axes.text(0.5, 0.5, f"no {comparison.items}", transform=axes.transAxes, ha="center", color=rgb(GREY))
        return
    axes.barh(range(len(best)), percent[name][best], height=0.72, color=rgb(colours[name]))
    for other, known in zip(comparison.sets, comparison.known, strict=True):
        if other != name:
            values = np.where(known, percent[other], np.nan)[best]
            axes.plot(values, range(len(best)), **_dots(rgb(colours[other])))
    for position, number in enumerate(x[best]):
        axes.text(
            1,
            position,
            f"{number:,}",
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8.5,
            color=rgb(GREY),
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )


def draw_all(comparison: Comparison) -> Figure:
    """All classes in all data sets side by side, in the order and the groups of the first one.

    Of triplets and of very many classes only the most frequent ones are shown; the title tells how many.
    """
    colours = dataset_colours(list(comparison.sets))
    percent = 100 * np.array([shares(x) for x in comparison.counts])
    most_frequent = np.argsort(-np.nan_to_num(percent).max(axis=0), kind="stable")
    shown = np.sort(most_frequent[: MOST[comparison.what]])
    num_rows = max(-(-len(shown) // ROW), 1)
    per_row = -(-len(shown) // num_rows)
    longest = max((len(short(comparison.names[k])) for k in shown), default=0)
    size = max(2 + 0.25 * per_row, 7), 1.2 + (1.8 + 0.075 * longest) * num_rows  # inches
    figure = Figure(figsize=size, layout="constrained")
    rows = figure.subplots(num_rows, 1, squeeze=False, sharey=True).ravel()
    low, high = _share_axis(rows[0], percent[:, shown])
    for number, axes in enumerate(rows):
        classes = shown[number * per_row : (number + 1) * per_row]
        _draw_bars(axes, comparison, classes, percent[:, classes], low)
        axes.set_xlim(-0.6, max(per_row, 1) - 0.4)
        _mark_groups(axes, comparison, classes, high, size[0] / (per_row + 3))
    write_label = rows[0].set_ylabel if num_rows == 1 else figure.supylabel
    write_label(f"Share of {comparison.items} (%)", fontsize=10)
    first = short(next(iter(comparison.sets)))
    title = f"{comparison.classes.capitalize()} by frequency in {first}; {comparison.counted}"
    if len(shown) < len(comparison.names):
        title += f"; the {len(shown)} most frequent of {len(comparison.names):,}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    known, x = comparison.known[:, shown], comparison.counts[:, shown]
    handles: list[Artist] = [Patch(color=rgb(colour), label=short(name)) for name, colour in colours.items()]
    if (known & (x == 0)).any():
        handles.append(Line2D([], [], label="never occurs", **_ABSENT, color=rgb(GREY)))
    if not known.all():
        text = "not in this set" if comparison.what == "triplets" else "not in its vocabulary"
        handles.append(Line2D([], [], label=text, **_UNKNOWN, color=rgb(GREY)))
    _add_legend(figure, handles)
    return figure


def _share_axis(axes: Axes, percent: np.ndarray) -> tuple[float, float]:
    """Scale the axis of shares, which all rows have in common; returns its limits."""
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
    return low, high


def _draw_bars(
    axes: Axes, comparison: Comparison, classes: np.ndarray, percent: np.ndarray, low: float
) -> None:
    """Bars of the classes in one row, a bar per set."""
    positions, width = np.arange(len(classes)), 0.8 / len(percent)
    colours = dataset_colours(list(comparison.sets)).values()
    for number, (heights, known, colour) in enumerate(
        zip(percent, comparison.known[:, classes], colours, strict=True)
    ):
        middles = positions + (number + 0.5) * width - 0.4
        axes.bar(middles, np.maximum(heights - low, 0), width, bottom=low, color=rgb(colour))
        for mask, marker in ((known & ~(heights > 0), _ABSENT), (~known, _UNKNOWN)):
            where = {"transform": axes.get_xaxis_transform(), "color": rgb(colour)}
            axes.plot(middles[mask], np.full(mask.sum(), 0.04), **marker, **where)
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    axes.set_xticks(positions, [short(comparison.names[k]) for k in classes], rotation=90, fontsize=8.5)


def _mark_groups(axes: Axes, comparison: Comparison, classes: np.ndarray, high: float, column: float) -> None:
    """Mark head, body and tail of the first data set; ``column`` is the width of a class in inches."""
    names = [*comparison.group_sizes, f"not in {short(next(iter(comparison.sets)), 16)}"]
    groups = np.searchsorted(np.cumsum(list(comparison.group_sizes.values())), classes, side="right")
    for group in np.unique(groups):
        inside, name = np.flatnonzero(groups == group), names[group]
        start = inside[0] - 0.5
        if inside[0] > 0:
            axes.axvline(start, color=rgb(GREY), linewidth=0.8, linestyle=(0, (3, 3)))
        if len(inside) * column > 0.08 * len(name) or inside[-1] == len(classes) - 1:  # else no room
            axes.text(start + 0.15, high, name, va="top", fontsize=8.5, color=rgb(GREY), fontstyle="italic")


def draw_cumulative(comparison: Comparison) -> Figure:
    """Cumulative share of the k most frequent classes of every data set, over k."""
    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    colours = dataset_colours(list(comparison.sets))
    for name, distribution in comparison.sets.items():
        _draw_curve(axes, name, distribution, rgb(colours[name]))
    most = max(1, *(len(distribution.names) for distribution in comparison.sets.values()))
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
    axes.set_ylim(0, 103)
    axes.set_yticks(range(0, 101, 10))
    axes.grid()
    axes.set_xlabel(f"{comparison.classes.capitalize()} of the set, the most frequent first")
    axes.set_ylabel(f"Cumulative share of {comparison.items} (%)")
    axes.set_title(f"Coverage by the most frequent {comparison.classes}; {comparison.counted}")
    corner = "upper left" if axes.get_xscale() == "log" else "lower right"  # where no curve is
    axes.legend(loc=corner, frameon=True, facecolor="white", edgecolor="white", framealpha=1)
    return figure


def _draw_curve(axes: Axes, name: str, distribution: Distribution, colour: Rgb) -> None:
    """The curve of one set, with points where it reaches the percentages of `COVERED`."""
    x = distribution.counts
    if not x.sum():
        axes.plot([], [], color=colour, label=f"{short(name)}: none")
        return
    needed = [classes_to_cover(x, percent) for percent in COVERED]
    reached = ", ".join(f"{percent} % in {k:,}" for k, percent in zip(needed, COVERED, strict=True))
    cumulative = 100 * np.concatenate(([0], np.cumsum(-np.sort(-x)))) / x.sum()
    axes.plot(cumulative, color=colour, linewidth=2, label=f"{short(name)}: {reached}")
    axes.plot(needed, cumulative[needed], **_dots(colour))


def _add_legend(figure: Figure, handles: list[Artist]) -> None:
    """Below the figure, in one row if there is room."""
    widths = [0.7 + 0.08 * len(str(handle.get_label())) for handle in handles]  # inches, about
    room = figure.get_figwidth()
    columns = len(handles) if sum(widths) < room else max(int(room / max(widths)), 1)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 to the greatest share shown."""
    return [tick for tick in MaxNLocator(6).tick_values(0, most) if 0 <= tick <= most]


def _dots(colour: Rgb) -> dict[str, Any]:
    style: dict[str, Any] = {
        "linestyle": "none",
        "marker": "o",
        "markersize": 6.5,
        "markeredgecolor": "white",
    }
    return {**style, "color": colour, "clip_on": False}
