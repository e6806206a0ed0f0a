"""Small charts: how images fare, how often queries speak, how many queries answer for a relation.

I: images, P: predicate queries, L: decoder layers, S: logged steps.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
from matplotlib.ticker import MaxNLocator

from speaq.tools.report.contents import AssignmentHistory
from speaq.tools.report.markup import element, svg, tip

_LEFT, _TOP, _BOTTOM, _RIGHT = 52, 14, 42, 28
_STEPS = [1, 2, 5, 10]


class _Frame:
    """Axes: from data to pixels, with lines and numbers.

    Args:
        size: width and height of the area for data in pixels.
        x: ends of the horizontal axis.
        top: end of the vertical axis, which begins at 0.
    """

    def __init__(self, size: tuple[float, float], x: tuple[float, float], top: float) -> None:
        self.width, self.height = size
        self.begin, self.end = x
        self.top = top or 1.0

    def x(self, value: float) -> float:
        """Pixels from the left."""
        return _LEFT + (value - self.begin) / ((self.end - self.begin) or 1) * self.width

    def y(self, value: float) -> float:
        """Pixels from above."""
        return _TOP + (1 - value / self.top) * self.height

    def drawing(
        self,
        shapes: Sequence[Element],
        *,
        ticks: Sequence[tuple[float, str]],
        titles: tuple[str, str],
        label: str,
    ) -> Element:
        """The shapes on lines and numbers; ``ticks`` are those of the horizontal axis."""
        floor, middle = _TOP + self.height, _TOP + self.height / 2
        back = []
        for value in MaxNLocator(4, steps=_STEPS, integer=self.top >= 4).tick_values(0, self.top):
            if 0 <= value <= self.top:
                y = self.y(value)
                back.append(element("line", x1=_LEFT, x2=_LEFT + self.width, y1=y, y2=y, class_="rule"))
                text = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
                back.append(element("text", text, x=_LEFT - 8, y=y, dy="0.35em", text_anchor="end"))
        for value, text in ticks:
            back.append(element("text", text, x=self.x(value), y=floor + 17, text_anchor="middle"))
        axis = {"class_": "axis", "text_anchor": "middle"}
        back.append(element("text", titles[0], x=_LEFT + self.width / 2, y=floor + 36, **axis))
        turned = f"rotate(-90 12 {middle:.1f})"
        back.append(element("text", titles[1], x=12, y=middle, transform=turned, **axis))
        return svg(_LEFT + self.width + _RIGHT, floor + _BOTTOM, back, shapes, label=label)


def recall_histogram(recalls: np.ndarray, k: int) -> Element:
    """How many images have which recall.

    Args:
        recalls: (I,), NaN for images without relations.
        k: the depth.
    """
    known = recalls[~np.isnan(recalls)]
    # Exactly 0 and exactly 1 are columns of their own: they are frequent, and mean something.
    inner = np.histogram(known[(known > 0) & (known < 1)], bins=np.linspace(0, 1, 11))[0]
    counts = [int((known == 0).sum()), *inner.tolist(), int((known == 1).sum())]
    names = ["0 %", *(f"{10 * i} to {10 * i + 10} %" for i in range(10)), "100 %"]
    frame = _Frame((480, 170), (0, 12), max(counts))
    bars = [
        tip(
            element(
                "rect",
                x=frame.x(i) + 3,
                width=frame.width / 12 - 6,
                y=frame.y(count),
                height=frame.y(0) - frame.y(count),
                class_="fill",
                rx=2,
            ),
            f"recall {name}: {count:,} images",
        )
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    ticks = [(0.5, "0"), *((i + 1.0, f"{10 * i}") for i in range(2, 10, 2)), (11.5, "100 %")]
    label = f"Images by recall at {k}: {counts[0]:,} have 0, {counts[-1]:,} have 100 %, of {len(known):,}"
    return frame.drawing(bars, ticks=ticks, titles=(f"recall of the image at {k}", "images"), label=label)


def query_bars(uses: np.ndarray, group_of_query: Sequence[int], k: int) -> Element:
    """How often each query's relation is among the first k, in mean per image.

    Args:
        uses: (P,) relations per image.
        group_of_query: P groups; empty where queries are not grouped.
        k: the depth.
    """
    groups = np.asarray(group_of_query if len(group_of_query) == len(uses) else np.zeros(len(uses), np.int64))
    step = max(800 / max(len(uses), 1), 1.0)
    frame = _Frame((step * len(uses), 150), (0, len(uses)), float(uses.max(initial=0)))
    shapes = []
    for group in np.unique(groups).tolist():
        members = np.flatnonzero(groups == group)
        bars = "".join(
            f"M{frame.x(i):.1f} {frame.y(0):.1f}V{frame.y(uses[i]):.1f}h{0.8 * step:.2f}V{frame.y(0):.1f}z"
            for i in members.tolist()
            if uses[i] > 0
        )
        path = element("path", d=bars or "M0 0", class_=f"g{group % 6}")
        shapes.append(tip(path, f"group {group + 1}: queries {members[0]} to {members[-1]}"))
    ticks = [
        (float(i), f"{i:g}")
        for i in MaxNLocator(6, steps=_STEPS, integer=True).tick_values(0, len(uses))
        if i <= len(uses)
    ]
    label = f"Relations per image among the first {k}, for each of {len(uses)} predicate queries"
    return frame.drawing(shapes, ticks=ticks, titles=("predicate query", "relations per image"), label=label)


def copies_lines(history: AssignmentHistory) -> Element:
    """Mean number of queries per relation over training, a line per decoder layer."""
    steps = np.asarray(history.iterations, np.float64)
    frame = _Frame((480, 170), (steps.min(), steps.max()), float(np.nanmax(history.copies)) * 1.05)
    shapes = []
    for layer, values in enumerate(np.asarray(history.copies, np.float64)):
        points = zip(steps.tolist(), values.tolist(), strict=True)
        line = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points if y == y)
        shapes.append(
            tip(element("polyline", points=line, class_=f"line g{layer % 6}"), f"layer {layer + 1}")
        )
    ticks = [
        (x, f"{x:,.0f}")
        for x in MaxNLocator(5, steps=_STEPS).tick_values(frame.begin, frame.end)
        if frame.begin <= x <= frame.end
    ]
    label = "Mean number of queries per relation over training, by decoder layer"
    return frame.drawing(shapes, ticks=ticks, titles=("iteration", "queries per relation"), label=label)
