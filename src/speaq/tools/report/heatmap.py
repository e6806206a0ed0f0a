"""Tables of shares as colour.

N: rows, M: columns.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
from rich.cells import cell_len, set_cell_size

from speaq.tools.report.markup import element, svg, tip

_LETTER = 6.2  # width of a letter of the labels in pixels
_LONGEST = 24  # letters of a label
_LEGEND = (0.01, 0.1, 0.25, 0.5, 1.0)


def heatmap(
    shares: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    tips: Sequence[Sequence[str]],
    titles: tuple[str, str],
    label: str,
    right: np.ndarray | None = None,
    kinds: tuple[str, str] = ("share", ""),
) -> Element:
    """A grid of cells, the larger the share the stronger the colour; a cell says its numbers under the mouse.

    Args:
        shares: (N, M) in 0..1; what is 0 stays empty.
        rows: N names.
        columns: M names.
        tips: N by M texts.
        titles: of the rows and of the columns.
        label: what there is to see, for those who do not.
        right: (N, M) bool, cells in the colour for what is as it should be; the others have that for errors.
        kinds: what to call the two in the legend.
    """
    cell = float(np.clip(820 // max(len(columns), 1), 15, 30))
    corner = f"{titles[0]} \N{DOWNWARDS ARROW} \N{NO-BREAK SPACE} {titles[1]} \N{RIGHTWARDS ARROW}"
    left = max(_length(name) for name in (*rows, corner)) * _LETTER + 14
    longest = max((_length(name) for name in columns), default=0) * _LETTER
    top = 0.87 * longest + 16
    width, height = cell * len(columns), cell * len(rows)
    names = [
        _label(name, left - 8, top + (i + 0.5) * cell, class_="row", text_anchor="end", dy="0.35em")
        for i, name in enumerate(rows)
    ]
    for j, name in enumerate(columns):
        x, y = left + (j + 0.65) * cell, top - 6
        names.append(_label(name, x, y, class_="column", transform=f"rotate(-60 {x:.1f} {y:.1f})"))
    cells = [
        tip(
            element(
                "rect",
                x=left + j * cell + 0.5,
                y=top + i * cell + 0.5,
                width=cell - 1,
                height=cell - 1,
                class_="right" if right is None or right[i, j] else "wrong",
                fill_opacity=round(_strength(shares[i, j]), 2),
            ),
            tips[i][j],
        )
        for i, j in np.argwhere(shares > 0).tolist()
    ]
    drawing = svg(
        left + width + longest / 2 + 8,
        top + height + 8,
        element("text", corner, x=left - 8, y=top - 9, class_="axis", text_anchor="end"),
        element("rect", x=left, y=top, width=width, height=height, class_="plate"),
        element("g", cells, class_="cells"),
        element("rect", x=left, y=top, width=width, height=cell, class_="cross across"),
        element("rect", x=left, y=top, width=cell, height=height, class_="cross down"),
        names,
        label=label,
    )
    return element("div", drawing, _legend(kinds if right is not None else kinds[:1]), class_="heatmap")


def _legend(kinds: Sequence[str]) -> Element:
    """What the colours mean."""
    parts = []
    for kind, class_ in zip(kinds, ("right", "wrong"), strict=False):
        parts.append(element("span", kind, class_="kind"))
        for share in _LEGEND:
            swatch = element("i", class_=class_, style=f"opacity:{_strength(share):.2f}")
            parts.append(element("span", swatch, f"{share:.0%}"))
    return element("p", parts, class_="legend")


def _strength(share: float) -> float:
    """Opacity: the root makes small shares visible."""
    return 0.06 + 0.94 * float(share) ** 0.5


def _length(name: str) -> int:
    return min(cell_len(name), _LONGEST)


def _label(name: str, x: float, y: float, **attributes: object) -> Element:
    short = name if cell_len(name) <= _LONGEST else set_cell_size(name, _LONGEST - 1) + "…"
    return tip(element("text", short, x=x, y=y, **attributes), name)
