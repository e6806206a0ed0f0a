"""Summary of a comparison: as a chart, and as tables for a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from speaq.graph.colours import FAINT, GREY, INK, WHITE, Colour, mixed, text_colour
from speaq.tools.distribution.comparison import Comparison, Statistics, shares
from speaq.visualize.charts import dataset_colours, rgb, short
from speaq.visualize.text import clean, wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType

DIFFERENT = 8  # classes on either side in the panel of differences
_TINTS = {"head": 1.0, "body": 0.6, "tail": 0.3}  # share of a set's colour, the rest white


def summary_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Rows of the table of statistics: (name, [text for each data set])."""
    statistics = list(comparison.statistics().values())
    classes, items = comparison.classes, comparison.items

    def percents(values: Sequence[float]) -> str:
        return " / ".join(_number(100 * value, ".1f") for value in values)

    def covering(one: Statistics) -> str:
        return " / ".join(f"{one.classes_for_percent[percent]:,}" for percent in (50, 90))

    texts = {
        "Images": lambda one: f"{one.images:,}",
        items.capitalize(): lambda one: f"{one.total:,}",
        f"{items.capitalize()} per image": lambda one: _number(one.total / one.images, ".2f"),
        f"Possible {classes}": lambda one: f"{one.classes:,}",
        f"{classes.capitalize()} that occur": lambda one: f"{one.occurring:,}",
        "Coverage (%)": lambda one: _number(100 * one.coverage, ".3g"),
        "Entropy (bits)": lambda one: _number(one.entropy_bits, ".2f"),
        "Effective number (2^entropy)": lambda one: _number(one.effective_classes, ",.1f"),
        "Gini coefficient": lambda one: _number(one.gini, ".3f"),
        "Most / least frequent": lambda one: _number(one.imbalance, ",.0f"),
        f"{classes.capitalize()} for 50 / 90 %": covering,
        "Head / body / tail (%)": lambda one: percents(list(one.group_shares.values())),
    }
    return [(name, [text(one) for one in statistics]) for name, text in texts.items()]


def divergence_rows(comparison: Comparison) -> list[list[str]]:
    """Rows of the table of divergences: the headings, and a row for every pair of data sets."""
    headings = ["Between", "Jensen-Shannon (bits)", "Total variation", "Only in one (%)"]
    return [headings] + [
        [
            " / ".join(short(name, 20) for name in divergence.sets),
            _number(divergence.jensen_shannon_bits, ".3f"),
            _number(divergence.total_variation, ".3f"),
            " / ".join(_number(100 * share, ".2f") for share in divergence.only_in.values()),
        ]
        for divergence in comparison.divergences()
    ]


def missing_rows(comparison: Comparison) -> list[tuple[str, str, list[str]]]:
    """Missing classes, where there are any: (data set, description, class names)."""
    unknown = "not in" if comparison.what == "triplets" else "not in the vocabulary of"
    return [
        (name, f"{words} {short(name, 20)} ({len(names):,})", names)
        for name in comparison.sets
        for words, names in zip((unknown, "never occur in"), comparison.missing(name), strict=True)
        if names
    ]


def summary_tables(comparison: Comparison) -> "RenderableType":
    """The summary for a rich console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title = f"{comparison.classes.capitalize()}: {comparison.items} of {comparison.counted}"
    statistics = Table("", title=title, title_justify="left")
    for name in comparison.sets:
        statistics.add_column(Text(clean(name)), justify="right")
    for what, values in summary_rows(comparison):
        statistics.add_row(what, *values)
    parts: list[RenderableType] = [statistics]
    if len(comparison.sets) > 1:
        headings, *rows = divergence_rows(comparison)
        between = Table(headings[0])
        for heading in headings[1:]:
            between.add_column(heading, justify="right")
        for row in rows:
            between.add_row(*map(Text, row))
        parts.append(between)
    for _, words, names in missing_rows(comparison):
        parts.append(Text(f"{words.capitalize()}: {_listed(names, 20)}"))
    return Group(*parts)


def draw_summary(comparison: Comparison) -> Figure:
    """Statistics, shares of head, body and tail, largest differences, and missing classes."""
    others = list(comparison.sets)[1:]
    num_rows = len(summary_rows(comparison)) + len(comparison.divergences())
    lower = 4.4 if others else 0.6 + 0.8 * len(missing_rows(comparison))
    heights = max(0.5 + 0.3 * num_rows, 1.5 + 0.55 * (1 + 2 * len(others))), lower  # inches
    figure = Figure(figsize=(13 + 3 * max(len(others) - 1, 0), sum(heights)), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=False).ravel()
    table, groups = top.subplots(1, 2)
    _draw_table(table, comparison)
    _draw_groups(groups, comparison)
    *differences, missing = bottom.subplots(1, len(others) + 1, squeeze=False).ravel()
    for axes, other in zip(differences, others, strict=True):
        _draw_differences(axes, comparison, other)
    _draw_missing(missing, comparison)
    return figure


def _draw_table(axes: Axes, comparison: Comparison) -> None:
    """The rows of `summary_rows` and `divergence_rows`."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title(f"{comparison.classes.capitalize()}: {comparison.items} of {comparison.counted}")
    colours = dataset_colours(list(comparison.sets))
    rows = summary_rows(comparison)
    between = divergence_rows(comparison) if len(comparison.sets) > 1 else []
    step = 1 / (len(rows) + len(between) + 1.6)
    ends = np.linspace(0.4, 1, len(colours) + 1)[1:].tolist()
    y = 1 - step / 2
    for end, (name, colour) in zip(ends, colours.items(), strict=True):
        shade = rgb(mixed(colour, INK, 0.75))
        axes.text(end, y, short(name, 12), color=shade, ha="right", va="center", fontweight="bold")
    for what, texts in rows:
        y -= step
        _draw_row(axes, y, step, [what, *texts], [0, *ends])
    y -= 0.6 * step
    for row in between:
        y -= step
        _draw_row(axes, y, step, row, [0, 0.57, 0.8, 1])


def _draw_row(axes: Axes, y: float, height: float, texts: Sequence[str], ends: Sequence[float]) -> None:
    """A table row with a rule above it: the first text begins, the others end at ``ends``."""
    axes.axhline(y + height / 2, color=rgb(FAINT), linewidth=1)
    for column, (text, end) in enumerate(zip(texts, ends, strict=True)):
        axes.text(end, y, text, ha="right" if column else "left", va="center", fontsize=9.5)


def _draw_groups(axes: Axes, comparison: Comparison) -> None:
    """Shares of head, body and tail: a bar for every data set, also in the groups of the first."""
    sets, colours = list(comparison.sets), dataset_colours(list(comparison.sets))
    bars = [
        (short(name, 20), colours[name], one.group_shares) for name, one in comparison.statistics().items()
    ]
    by_first = comparison.shares_by_first()
    for row, name in enumerate(sets[1:], 1):
        words = f"{short(name, 20)}\n(groups of {short(sets[0], 20)})"
        bars.append((words, colours[name], {group: values[row] for group, values in by_first.items()}))
    for y, (_, colour, group_shares) in enumerate(bars):
        _draw_stack(axes, y, colour, group_shares)
    axes.set_yticks(range(len(bars)), [words for words, _, _ in bars])
    axes.set(xlim=(0, 100), ylim=(len(bars) - 0.4, -0.6), xlabel=f"Share of {comparison.items} (%)")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    sizes = " / ".join(f"{size:,}" for size in comparison.group_sizes.values())
    axes.set_title(f"Head / body / tail: {sizes} {comparison.classes} of {short(sets[0], 20)}")
    handles = [Patch(color=rgb(mixed(GREY, WHITE, tint)), label=group) for group, tint in _TINTS.items()]
    if by_first["none"].any():
        handles.append(Patch(facecolor="white", edgecolor=rgb(GREY), label=f"not in {short(sets[0], 20)}"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(handles))


def _draw_stack(axes: Axes, y: float, colour: Colour, group_shares: dict[str, float]) -> None:
    """One stacked bar; shares are written in it where they fit."""
    left = 0.0
    for group, share in group_shares.items():
        width = 100 * share
        if not width > 0:  # NaN if no class occurs
            continue
        fill = mixed(colour, WHITE, _TINTS.get(group, 0.0))
        edge = rgb(colour) if group == "none" else "white"
        axes.barh(y, width, left=left, height=0.6, color=rgb(fill), edgecolor=edge, linewidth=1)
        if width >= 6:
            ink = rgb(text_colour(fill))
            axes.text(left + width / 2, y, f"{width:.1f}", ha="center", va="center", color=ink, fontsize=9)
        left += width


def _draw_differences(axes: Axes, comparison: Comparison, other: str) -> None:
    """The classes whose shares differ most between the first data set and another one."""
    first, colours = next(iter(comparison.sets)), dataset_colours(list(comparison.sets))
    x, y = comparison.counts[0], comparison.counts[list(comparison.sets).index(other)]
    gain = 100 * (shares(y) - shares(x))
    order = np.argsort(-np.nan_to_num(gain), kind="stable")
    chosen = np.concatenate((order[:DIFFERENT], order[DIFFERENT:][-DIFFERENT:]))
    chosen = chosen[np.abs(np.nan_to_num(gain[chosen])) > 0]
    axes.set_title(f"Largest differences in share:\n{short(other, 20)} minus {short(first, 20)}")
    if not len(chosen):
        axes.text(0, 0.97, "none", transform=axes.transAxes, va="top", color=rgb(GREY))
        axes.set_axis_off()
        return
    axes.set_xlabel("Percentage points")
    fills = [rgb(colours[other if gain[k] > 0 else first]) for k in chosen]
    axes.barh(range(len(chosen)), gain[chosen], height=0.72, color=fills)
    axes.set_yticks(range(len(chosen)), [short(comparison.names[k], 28) for k in chosen], fontsize=9)
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.axvline(0, color=rgb(GREY), linewidth=0.8)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_missing(axes: Axes, comparison: Comparison) -> None:
    """Missing classes as text."""
    axes.set_axis_off()
    rows = missing_rows(comparison)
    axes.set_title(f"{comparison.classes.capitalize()} that a set lacks" + ("" if rows else ": none"))
    colours = dataset_colours(list(comparison.sets))
    below = 4  # points under the title
    for name, words, names in rows:
        text = wrapped(_listed(names, 40), 88, lines=3)
        heading = {"color": rgb(mixed(colours[name], INK, 0.75)), "fontweight": "bold"}
        for line, style in ((words, heading), (text, {})):
            axes.annotate(
                line,
                (0, 1),
                xycoords="axes fraction",
                xytext=(0, -below),
                textcoords="offset points",
                va="top",
                fontsize=9.5,
                linespacing=1.4,
                **style,
            )
            below += 18 + 15 * line.count("\n")
        below += 6


def _listed(names: Sequence[str], most: int) -> str:
    listed = ", ".join(short(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most:,} more"


def _number(value: float, form: str) -> str:
    return "n/a" if np.isnan(value) else format(value, form)
