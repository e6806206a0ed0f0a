"""Summary of a comparison: as a chart, and as tables for a terminal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from speaq.evaluation.results import numeric
from speaq.graph.colours import FAINT, GREY, INK, WHITE, mixed, text_colour
from speaq.tools.distribution.charts import draw_bars
from speaq.tools.distribution.comparison import Comparison
from speaq.visualize.charts import dataset_colours, rgb, short
from speaq.visualize.text import clean, wrapped

DIFFERENT = 8  # classes on either side in the panel of differences
_TINTS = {"head": 1.0, "body": 0.6, "tail": 0.3, "none": 0.0}  # share of a set's colour, the rest white


def summary_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Rows of the table of statistics: (name, [text for each data set])."""
    columns = [_summary_of(comparison, name) for name in comparison.sets]
    return [(label, [column[label] for column in columns]) for label in columns[0]]


def _summary_of(comparison: Comparison, name: str) -> dict[str, str]:
    statistics = comparison.statistics(name)
    classes, items = comparison.classes, comparison.items
    numbers = {
        "Images": (",d", statistics["images"]),
        items.capitalize(): (",d", statistics["total"]),
        f"{items.capitalize()} per image": (".2f", statistics["total"] / statistics["images"]),
        f"Possible {classes}": (",d", statistics["classes"]),
        f"{classes.capitalize()} that occur": (",d", statistics["occurring"]),
        "Coverage (%)": (".3g", 100 * statistics["coverage"]),
        "Entropy (bits)": (".2f", statistics["entropy_bits"]),
        "Effective number (2^entropy)": (",.1f", statistics["effective_classes"]),
        "Gini coefficient": (".3f", statistics["gini"]),
        "Most / least frequent": (",.0f", statistics["imbalance"]),
        f"{classes.capitalize()} for 50 / 90 %": (
            ",d",
            *(statistics["classes_for_percent"][percent] for percent in (50, 90)),
        ),
        "Head / body / tail (%)": (".1f", *(100 * share for share in statistics["group_shares"].values())),
    }
    return {label: _numbers(*values, form=form) for label, (form, *values) in numbers.items()}


def divergence_rows(comparison: Comparison) -> list[list[str]]:
    """Rows of the table of divergences: the headings, and a row for every pair of data sets."""
    headings = ["Between", "Jensen-Shannon (bits)", "Total variation", "Only in one (%)"]
    return [headings] + [
        [
            " / ".join(short(name, 20) for name in divergence["sets"]),
            _numbers(divergence["jensen_shannon_bits"], form=".3f"),
            _numbers(divergence["total_variation"], form=".3f"),
            _numbers(*(100 * share for share in divergence["only_in"].values()), form=".2f"),
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


def _title(comparison: Comparison) -> str:
    return f"{comparison.classes.capitalize()}: {comparison.items} of {comparison.counted}"


def _listed(names: Sequence[str], most: int) -> str:
    listed = ", ".join(short(name) for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most:,} more"


def _numbers(*values: float, form: str) -> str:
    return " / ".join("n/a" if np.isnan(value) else format(value, form) for value in values)


def summary_tables(comparison: Comparison) -> RenderableType:
    """The summary for a rich console."""
    names = numeric(Text(clean(name)) for name in comparison.sets)
    statistics = Table("", *names, title=_title(comparison), title_justify="left")
    for label, values in summary_rows(comparison):
        statistics.add_row(label, *values)
    parts: list[RenderableType] = [statistics]
    if len(comparison.sets) > 1:
        headings, *rows = divergence_rows(comparison)
        between = Table(headings[0], *numeric(headings[1:]))
        for row in rows:
            between.add_row(*map(Text, row))
        parts.append(between)
    for _, words, names in missing_rows(comparison):
        parts.append(Text(f"{words.capitalize()}: {_listed(names, 20)}"))
    return Group(*parts)


def draw_summary(comparison: Comparison) -> Figure:
    """Statistics, shares of head, body and tail, largest differences, and missing classes."""
    others = comparison.sets[1:]
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
    axes.set_title(_title(comparison))
    colours = dataset_colours(comparison.sets)
    ends = np.linspace(0.4, 1, len(colours) + 1)[1:].tolist()
    rows = [(1.0, [label, *texts], [0, *ends]) for label, texts in summary_rows(comparison)]
    if len(colours) > 1:
        between = divergence_rows(comparison)
        rows += [(1.0 if i else 1.6, row, [0, 0.57, 0.8, 1]) for i, row in enumerate(between)]
    step = 1 / (len(rows) + 1.6)
    y = 1 - step / 2
    for end, (name, colour) in zip(ends, colours.items(), strict=True):
        shade = rgb(mixed(colour, INK, 0.75))
        axes.text(end, y, short(name, 12), color=shade, ha="right", va="center", fontweight="bold")
    for steps, texts, places in rows:
        y -= steps * step
        axes.axhline(y + step / 2, color=rgb(FAINT), linewidth=1)
        for column, (text, place) in enumerate(zip(texts, places, strict=True)):
            axes.text(place, y, text, ha="right" if column else "left", va="center", fontsize=9.5)


def _draw_groups(axes: Axes, comparison: Comparison) -> None:
    """Shares of head, body and tail: a bar for every data set, also in the groups of the first."""
    colours = dataset_colours(comparison.sets)
    first = short(comparison.sets[0], 20)
    by_first = comparison.shares_by_first
    bars = [
        (short(name, 20), colour, comparison.statistics(name)["group_shares"])
        for name, colour in colours.items()
    ]
    bars += [
        (f"{short(name, 20)}\n(groups of {first})", colours[name], by_first[name].to_dict())
        for name in comparison.sets[1:]
    ]
    for y, (_, colour, group_shares) in enumerate(bars):
        left = 0.0
        for group, share in group_shares.items():
            width = 100 * share
            if not width > 0:  # NaN if no class occurs
                continue
            fill = mixed(colour, WHITE, _TINTS[group])
            edge = rgb(colour) if group == "none" else "white"
            axes.barh(y, width, left=left, height=0.6, color=rgb(fill), edgecolor=edge, linewidth=1)
            if width >= 6:
                style = {"ha": "center", "va": "center", "fontsize": 9, "color": rgb(text_colour(fill))}
                axes.text(left + width / 2, y, f"{width:.1f}", **style)
            left += width
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars])
    axes.set(xlim=(0, 100), ylim=(len(bars) - 0.4, -0.6), xlabel=f"Share of {comparison.items} (%)")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    sizes = " / ".join(f"{size:,}" for size in comparison.group_sizes.values())
    axes.set_title(f"Head / body / tail: {sizes} {comparison.classes} of {first}")
    handles = [
        Patch(color=rgb(mixed(GREY, WHITE, _TINTS[group])), label=group) for group in comparison.group_sizes
    ]
    if by_first.loc["none"].to_numpy().any():
        handles.append(Patch(facecolor="white", edgecolor=rgb(GREY), label=f"not in {first}"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(handles))


def _draw_differences(axes: Axes, comparison: Comparison, other: str) -> None:
    """The classes whose shares differ most between the first data set and another one."""
    first, colours = comparison.sets[0], dataset_colours(comparison.sets)
    gain = 100 * (comparison.shares[other] - comparison.shares[first])
    gain = gain.fillna(0).sort_values(ascending=False, kind="stable")
    gain = pd.concat((gain[:DIFFERENT], gain[DIFFERENT:][-DIFFERENT:]))
    gain = gain[gain != 0]
    axes.set_title(f"Largest differences in share:\n{short(other, 20)} minus {short(first, 20)}")
    if gain.empty:
        axes.text(0, 0.97, "none", transform=axes.transAxes, va="top", color=rgb(GREY))
        axes.set_axis_off()
        return
    axes.set_xlabel("Percentage points")
    fills = [rgb(colours[other if points > 0 else first]) for points in gain]
    draw_bars(axes, [short(name, 28) for name in gain.index], gain, fills, fontsize=9)
    axes.axvline(0, color=rgb(GREY), linewidth=0.8)


def _draw_missing(axes: Axes, comparison: Comparison) -> None:
    """Missing classes as text."""
    axes.set_axis_off()
    rows = missing_rows(comparison)
    axes.set_title(f"{comparison.classes.capitalize()} that a set lacks" + ("" if rows else ": none"))
    colours = dataset_colours(comparison.sets)
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
