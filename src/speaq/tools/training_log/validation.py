"""The picture of the evaluations: recalls and AP over time."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from speaq.tools.training_log.history import (
    BOX_FIGURES,
    SCENE_GRAPH_FIGURES,
    TrainingHistory,
    figure_names,
    split_figure,
)
from speaq.tools.training_log.page import Page
from speaq.tools.training_log.panels import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Curve,
    Panel,
    depth_shades,
)

Histories = Sequence[TrainingHistory]

_TITLES = {
    "R": "recall R@K",
    "mR": "mean recall mR@K",
    "zR": "zero-shot recall zR@K",
    "ng-R": "ng-R@K (no graph constraint)",
    "ng-mR": "ng-mR@K (no graph constraint)",
    "ng-zR": "ng-zR@K (no graph constraint)",
    "F": "F@K (harmonic mean of R and mR)",
}
_BOX_COLOURS = dict(zip(BOX_FIGURES, (BLUE, ORANGE, GREEN, SKY, PURPLE, VERMILLION), strict=True))
_GROUP_COLOURS = {"mR-head": BLUE, "mR-body": ORANGE, "mR-tail": GREEN}


def evaluated_datasets(histories: Histories) -> dict[str, str]:
    """The data sets that any run was evaluated on, and what their panels are headed with.

    That is nothing where there is one data set alone.
    """
    names = dict.fromkeys(name for history in histories for name in history.evaluations)
    return {name: name if len(names) > 1 else "" for name in names}


def recall_panel(histories: Histories, dataset: str, kind: str, about: str = "") -> Panel:
    """A kind of recall on a data set at all depths.

    Args:
        histories: the runs.
        dataset: which.
        kind: one of SCENE_GRAPH_FIGURES.
        about: what the panel is headed with.
    """
    figures = [name for name in figure_names(histories, dataset) if split_figure(name)[0] == kind]
    shades = depth_shades(len(figures))
    named = {f"@{split_figure(name)[1]}": name for name in figures}
    return _panel(histories, dataset, about, _TITLES[kind], dict(zip(named.items(), shades, strict=True)))


def draw_metrics(histories: Histories) -> Figure | None:
    """All kinds of recall, the long tail, and box AP, for one data set after the other."""
    panels = []
    for dataset, about in evaluated_datasets(histories).items():
        panels += [recall_panel(histories, dataset, kind, about) for kind in SCENE_GRAPH_FIGURES]
        figures = figure_names(histories, dataset)
        depth = max((split_figure(name)[1] for name in figures), default=0)
        groups = {(kind[3:], f"{kind}@{depth}"): colour for kind, colour in _GROUP_COLOURS.items()}
        panels.append(_panel(histories, dataset, about, f"mR@{depth} of head, body and tail", groups))
        boxes = {(name, name): _BOX_COLOURS[name] for name in ("AP", "AP50", "AP75") if name in figures}
        panels.append(_panel(histories, dataset, about, "entity boxes", boxes))
        sizes = {(name, name): _BOX_COLOURS[name] for name in BOX_FIGURES[3:] if name in figures}
        panels.append(_panel(histories, dataset, about, "small, medium, large boxes", sizes))
    return Page("Evaluations", histories).draw(panels, columns=3)


def _panel(
    histories: Histories, dataset: str, about: str, title: str, named: dict[tuple[str, str], Any]
) -> Panel:
    curves = [
        Curve.of(label, colour, histories, lambda history, name=name: history.figure_series(dataset, name))
        for (label, name), colour in named.items()
    ]
    return Panel(title, curves, about=about, evaluated=True, percent=True, from_zero=True)
