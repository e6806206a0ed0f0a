"""Charts of the report: SVG that follows the style sheet, with tooltips, and shares for heat maps.

Shape letters: see `speaq.structures`; G query groups.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from speaq.evaluation.adjustment import Curve

_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
_GRID = "#dfe3e7"
_CSS_VARIABLES = {color: f"var(--g{i})" for i, color in enumerate(_COLORS)} | {_GRID: "var(--line)"}
_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "speaq", "font.size": 11}
_TIP = "tip:"  # begins the id of a shape whose tooltip follows


@dataclass(frozen=True, slots=True)
class Chart:
    """An SVG element, a description for screen readers, and the names of its colours, if several."""

    svg: str
    label: str
    legend: Sequence[str] = ()


def recall_histogram(recalls: np.ndarray, k: int) -> Chart:
    """Number of images by recall at k (B,), which is NaN for images without relations."""
    known = recalls[~np.isnan(recalls)]
    # Exactly 0 and exactly 1 get columns of their own, since they are frequent.
    inner = np.histogram(known[(known > 0) & (known < 1)], bins=np.linspace(0, 1, 11))[0]
    counts = [int((known == 0).sum()), *inner.tolist(), int((known == 1).sum())]
    names = ["0 %", *(f"{10 * i} to {10 * i + 10} %" for i in range(10)), "100 %"]
    axes = _axes(560, 226, f"recall of the image at {k}", "images", y_max=max(counts))
    for bar, name, count in zip(axes.bar(range(12), counts, color=_COLORS[0]), names, counts, strict=True):
        bar.set_gid(f"{_TIP}recall {name}: {count:,} images")
    axes.set_xticks([0, *(i + 0.5 for i in range(2, 10, 2)), 11], ["0", "20", "40", "60", "80", "100 %"])
    label = f"Images by recall at {k}: {counts[0]:,} with 0, {counts[-1]:,} with 100 %, of {len(known):,}"
    return Chart(_svg(axes), label)


def query_bars(uses: np.ndarray, group_of_query: Sequence[int], k: int) -> Chart:
    """Mean number of relations per image (P,) that each query yields among the top k.

    ``group_of_query`` has the groups of the P queries; it is empty if queries are not grouped.
    """
    groups = np.asarray(group_of_query if len(group_of_query) == len(uses) else np.zeros(len(uses), np.int64))
    axes = _axes(
        max(880, len(uses) + 80), 206, "predicate query", "relations per image", y_max=uses.max(initial=0)
    )
    names = []
    for group in np.unique(groups).tolist():
        members = np.flatnonzero(groups == group)
        first, last = members[0], members[-1]
        values = np.where(groups == group, uses, 0)[first : last + 1]
        bars = axes.stairs(values, np.arange(first, last + 2), fill=True, color=_color(group))
        bars.set_gid(f"{_TIP}group {group + 1}: queries {first} to {last}")
        names.append(f"group {group + 1}")
    axes.set_xlim(0, max(len(uses), 1))
    label = f"Relations per image among the top {k}, for each of {len(uses)} predicate queries"
    return Chart(_svg(axes), label, names if len(group_of_query) else ())


def curve_lines(curve: Curve, k: int) -> Chart:
    """Mean recall against recall at k, in percent, by the strength of a change."""
    name = curve.parameter
    recalls = [100 * found[f"R@{k}"] for found in curve.recalls.values()]
    means = [100 * found[f"mR@{k}"] for found in curve.recalls.values()]
    axes = _axes(560, 226, f"R@{k}, %", f"mR@{k}, %", y_max=1.15 * float(np.nan_to_num(max(means))))
    axes.plot(recalls, means, color=_COLORS[0], linewidth=2)
    for value, x, y in zip(curve.recalls, recalls, means, strict=True):
        tip = f"{_TIP}{name} {value:g}: R@{k} {x:.2f}, mR@{k} {y:.2f}"
        axes.plot([x], [y], "o", color=_COLORS[0], gid=tip)
        axes.annotate(f"{value:g}", (x, y), xytext=(4, 5), textcoords="offset points", fontsize=9)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    axes.autoscale(axis="y")  # the points are close together, so neither axis starts at 0
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.08, y=0.15)
    label = f"Mean recall at {k} against recall at {k}, by {name}: " + "; ".join(
        f"{name} {value:g}: {x:.2f} and {y:.2f}"
        for value, x, y in zip(curve.recalls, recalls, means, strict=True)
    )
    return Chart(_svg(axes), label)


def assignment_lines(queries_per_relation: pd.DataFrame) -> Chart:
    """Queries assigned to a relation during training, by iteration (rows) and decoder layer (columns)."""
    top = 1.05 * np.nanmax(queries_per_relation)
    axes = _axes(560, 226, "iteration", "queries per relation", y_max=top)
    names = [f"layer {layer + 1}" for layer in range(queries_per_relation.shape[1])]
    for layer, name in enumerate(names):
        line = queries_per_relation.iloc[:, layer].dropna()
        axes.plot(line.index, line, color=_color(layer), linewidth=2, gid=f"{_TIP}{name}")
    label = "Mean number of queries per relation during training, by decoder layer"
    return Chart(_svg(axes), label, names)


def _color(index: int) -> str:
    return _COLORS[index % len(_COLORS)]


def _axes(width: int, height: int, x_title: str, y_title: str, *, y_max: float) -> Axes:
    """Axes in a figure of this size in pixels, with a vertical axis from 0."""
    with rc_context(_SETTINGS):
        axes = Figure(figsize=(width / 72, height / 72), layout="constrained").subplots()
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.set_ylim(0, y_max or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=y_max >= 4))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=_GRID)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.margins(x=0)
    return axes


def _svg(axes: Axes) -> str:
    """The SVG element of a figure, in colours of the style sheet, with shapes' ids turned into tooltips."""
    file, figure = StringIO(), axes.get_figure(root=True)
    assert figure is not None
    with rc_context(_SETTINGS):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace('pt"', 'px"', 2)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would hold for the whole page
    text = re.sub(rf'<g id="{_TIP}([^"]*)">', r"<g><title>\1</title>", text)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # the ids of several figures are the same
    for color, variable in _CSS_VARIABLES.items():
        text = text.replace(color, variable)
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A table of counts whose cells have stronger colours for larger shares.

    Attributes:
        counts: (rows, columns); cells with 0 are empty.
        axis: shares add up to 1 along this axis.
        rows: names.
        columns: names.
        titles: titles of the rows and of the columns.
        tip: beginning of a cell's tooltip, a format with ``row`` and ``column``.
        label: description for screen readers.
        correct: (rows, columns) bool, cells in the colour for correct ones; the others have that for errors.
        kinds: names of these two colours in the legend.
    """

    counts: np.ndarray
    axis: int
    rows: Sequence[str]
    columns: Sequence[str]
    titles: tuple[str, str]
    tip: str
    label: str
    correct: np.ndarray
    kinds: Sequence[str]

    @property
    def cells(self) -> list[list[tuple[str, float, str] | None]]:
        """CSS class, opacity and tooltip of each cell by row; None for an empty one."""
        totals = np.broadcast_to(self.counts.sum(axis=self.axis, keepdims=True), self.counts.shape)
        shares = self.counts / np.maximum(totals, 1)
        cells: list[list[tuple[str, float, str] | None]] = [[None] * len(self.columns) for _ in self.rows]
        for i, j in np.argwhere(self.counts).tolist():
            names = self.tip.format(row=self.rows[i], column=self.columns[j])
            tip = f"{names}: {self.counts[i, j]:,} of {totals[i, j]:,} ({shares[i, j]:.1%})"
            cells[i][j] = ("right" if self.correct[i, j] else "wrong", opacity(shares[i, j]), tip)
        return cells


def opacity(share: float) -> float:
    """Opacity of a cell; the square root makes small shares visible."""
    return round(0.06 + 0.94 * float(share) ** 0.5, 2)
