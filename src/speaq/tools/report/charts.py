"""Geometry of the charts of the report; the templates turn it into SVG.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from rich.cells import cell_len, set_cell_size

from speaq.tools.report.contents import AssignmentHistory

_LEFT, _TOP, _BOTTOM, _RIGHT = 52, 14, 42, 28  # margins around the data, in pixels
_STEPS = [1, 2, 5, 10]
_LETTER_WIDTH, _MAX_LETTERS = 6.2, 24  # of a label of the heat map: pixels, letters


@dataclass(frozen=True, slots=True)
class Shape:
    """A path or polyline in pixels, its CSS class and its tooltip."""

    points: str
    class_: str
    tip: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Shapes on axes.

    Attributes:
        width: width of the area for data, in pixels.
        height: height of the area for data, in pixels.
        x_range: ends of the horizontal axis.
        y_max: end of the vertical axis, which starts at 0.
        x_ticks: positions and texts.
        titles: titles of the horizontal and of the vertical axis.
        label: description of the chart for screen readers.
        shapes: drawn as filled paths, or as lines where their class says so.
    """

    width: float
    height: float
    x_range: tuple[float, float]
    y_max: float
    x_ticks: Sequence[tuple[float, str]]
    titles: tuple[str, str]
    label: str
    shapes: Sequence[Shape]
    left: int = _LEFT
    top: int = _TOP

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole drawing in pixels."""
        return _LEFT + self.width + _RIGHT, _TOP + self.height + _BOTTOM

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Pixels from the left and texts of the horizontal axis."""
        begin, end = self.x_range
        return [(_LEFT + (x - begin) / ((end - begin) or 1) * self.width, text) for x, text in self.x_ticks]

    @property
    def rules(self) -> list[tuple[float, str]]:
        """Pixels from the top and texts of the horizontal lines."""
        locator = MaxNLocator(4, steps=_STEPS, integer=self.y_max >= 4)
        values = [value for value in locator.tick_values(0, self.y_max) if 0 <= value <= self.y_max]
        texts = [f"{value:,.0f}" if value >= 1000 else f"{value:.4g}" for value in values]
        return [(_y(value, self.y_max, self.height), text) for value, text in zip(values, texts, strict=True)]


def recall_histogram(recalls: np.ndarray, k: int) -> Chart:
    """Number of images by recall.

    Args:
        recalls: (B,), NaN for images without relations.
        k: the depth.
    """
    known = recalls[~np.isnan(recalls)]
    # Exactly 0 and exactly 1 get columns of their own, since they are frequent.
    inner = np.histogram(known[(known > 0) & (known < 1)], bins=np.linspace(0, 1, 11))[0]
    counts = [int((known == 0).sum()), *inner.tolist(), int((known == 1).sum())]
    names = ["0 %", *(f"{10 * i} to {10 * i + 10} %" for i in range(10)), "100 %"]
    width, height, top = 480, 170, float(max(counts) or 1)
    step = width / len(counts)
    bars = [
        Shape(
            _bar(_LEFT + i * step + 3, step - 6, count, top, height),
            "fill",
            f"recall {name}: {count:,} images",
        )
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    return Chart(
        width,
        height,
        x_range=(0, len(counts)),
        y_max=top,
        x_ticks=[(0.5, "0"), *((i + 1.0, f"{10 * i}") for i in range(2, 10, 2)), (11.5, "100 %")],
        titles=(f"recall of the image at {k}", "images"),
        label=f"Images by recall at {k}: {counts[0]:,} with 0, {counts[-1]:,} with 100 %, of {len(known):,}",
        shapes=bars,
    )


def query_bars(uses: np.ndarray, group_of_query: Sequence[int], k: int) -> Chart:
    """Mean number of relations per image that each query yields among the top k.

    Args:
        uses: (P,) relations per image.
        group_of_query: P groups; empty if queries are not grouped.
        k: the depth.
    """
    groups = np.asarray(group_of_query if len(group_of_query) == len(uses) else np.zeros(len(uses), np.int64))
    step, height, top = max(800 / max(len(uses), 1), 1.0), 150, float(uses.max(initial=0)) or 1.0
    shapes = []
    for group in np.unique(groups).tolist():
        members = np.flatnonzero(groups == group)
        bars = [_bar(_LEFT + i * step, 0.8 * step, uses[i], top, height) for i in members if uses[i] > 0]
        tip = f"group {group + 1}: queries {members[0]} to {members[-1]}"
        shapes.append(Shape("".join(bars) or "M0 0", f"g{group % 6}", tip))
    values = MaxNLocator(6, steps=_STEPS, integer=True).tick_values(0, len(uses))
    return Chart(
        step * len(uses),
        height,
        x_range=(0, len(uses)),
        y_max=top,
        x_ticks=[(float(i), f"{i:g}") for i in values if i <= len(uses)],
        titles=("predicate query", "relations per image"),
        label=f"Relations per image among the top {k}, for each of {len(uses)} predicate queries",
        shapes=shapes,
    )


def assignment_lines(history: AssignmentHistory) -> Chart:
    """Mean number of queries assigned to a relation during training, a line per decoder layer."""
    steps = np.asarray(history.iterations, np.float64)
    begin, end = float(steps.min()), float(steps.max())
    width, height, top = 480, 170, (float(np.nanmax(history.queries_per_relation)) or 1.0) * 1.05
    shapes = []
    for layer, values in enumerate(np.asarray(history.queries_per_relation, np.float64)):
        known = ~np.isnan(values)
        x = _LEFT + (steps[known] - begin) / ((end - begin) or 1) * width
        y = [_y(value, top, height) for value in values[known]]
        line = (
            "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) if known.any() else "M0 0"
        )
        shapes.append(Shape(line, f"line g{layer % 6}", f"layer {layer + 1}"))
    ticks = MaxNLocator(5, steps=_STEPS).tick_values(begin, end)
    return Chart(
        width,
        height,
        x_range=(begin, end),
        y_max=top,
        x_ticks=[(x, f"{x:,.0f}") for x in ticks if begin <= x <= end],
        titles=("iteration", "queries per relation"),
        label="Mean number of queries per relation during training, by decoder layer",
        shapes=shapes,
    )


def _y(value: float, y_max: float, height: float) -> float:
    """Pixels from the top."""
    return _TOP + (1 - value / y_max) * height


def _bar(x: float, width: float, value: float, y_max: float, height: float) -> str:
    """The path of a bar from 0 to the value."""
    floor = _TOP + height
    return f"M{x:.1f} {floor:.1f}V{_y(value, y_max, height):.1f}h{width:.2f}V{floor:.1f}z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """A grid of cells whose colour gets stronger with the share.

    Attributes:
        shares: (rows, columns) in 0..1; cells with 0 are not drawn.
        rows: names.
        columns: names.
        tips: tooltip of each cell.
        titles: titles of the rows and of the columns.
        label: description for screen readers.
        correct: (rows, columns) bool, cells in the colour for correct ones; the others have that for errors.
        kinds: what the legend calls these two colours.
    """

    shares: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    tips: Sequence[Sequence[str]]
    titles: tuple[str, str]
    label: str
    correct: np.ndarray | None = None
    kinds: tuple[str, str] = ("share", "")

    @property
    def cell(self) -> float:
        """Side of a cell in pixels."""
        return float(np.clip(820 // max(len(self.columns), 1), 15, 30))

    @property
    def corner(self) -> str:
        """The titles, above the row names."""
        return (
            f"{self.titles[0]} \N{DOWNWARDS ARROW} \N{NO-BREAK SPACE} {self.titles[1]} \N{RIGHTWARDS ARROW}"
        )

    @property
    def left(self) -> float:
        """Width of the row names in pixels."""
        return max(_length(name) for name in (*self.rows, self.corner)) * _LETTER_WIDTH + 14

    @property
    def column_length(self) -> float:
        """Length of the longest column name in pixels."""
        return max((_length(name) for name in self.columns), default=0) * _LETTER_WIDTH

    @property
    def cells(self) -> list[tuple[int, int, str, float]]:
        """Row, column, CSS class and opacity of each cell that is drawn."""
        return [
            (
                i,
                j,
                "right" if self.correct is None or self.correct[i, j] else "wrong",
                opacity(self.shares[i, j]),
            )
            for i, j in np.argwhere(self.shares > 0).tolist()
        ]


def opacity(share: float) -> float:
    """Opacity of a cell; the square root makes small shares visible."""
    return round(0.06 + 0.94 * float(share) ** 0.5, 2)


def shorten(name: str) -> str:
    """A name cut to the maximum length of a label."""
    return name if cell_len(name) <= _MAX_LETTERS else set_cell_size(name, _MAX_LETTERS - 1) + "…"


def _length(name: str) -> int:
    return min(cell_len(name), _MAX_LETTERS)
