"""The figures of curves: overview, loss terms, decoder layers, sources of data, evaluations, dynamics."""

import re
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from speaq.tools.training_log.curves import (
    BLUE,
    DARK,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Curve,
    Panel,
    curve,
    shades,
)
from speaq.tools.training_log.history import (
    BOX_METRICS,
    RECALL_KINDS,
    TrainingHistory,
    metric_names,
    split_metric,
)
from speaq.tools.training_log.loss_terms import (
    DENSE_TERMS,
    ENTITY_TERMS,
    LOSSES,
    PARTS,
    RELATION_TERMS,
    parse_term,
    term_name,
)
from speaq.tools.training_log.panel_figure import PanelFigure
from speaq.visualize.charts import Rgb, dataset_colours, rgb

Histories = Sequence[TrainingHistory]

_PART_COLOURS = {"subject": BLUE, "object": ORANGE, "relation": GREEN}
_RECALL_TITLES = {
    "R": "recall R@K",
    "mR": "mean recall mR@K",
    "zR": "zero-shot recall zR@K",
    "ng-R": "ng-R@K (no graph constraint)",
    "ng-mR": "ng-mR@K (no graph constraint)",
    "ng-zR": "ng-zR@K (no graph constraint)",
    "F": "F@K (harmonic mean of R and mR)",
}
_BOX_COLOURS = dict(zip(BOX_METRICS, (BLUE, ORANGE, GREEN, SKY, PURPLE, VERMILLION), strict=True))
_GROUP_COLOURS = {"head": BLUE, "body": ORANGE, "tail": GREEN}


def draw_overview(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Total, entity and relation loss, learning rate, and recalls on the first data set."""
    panels = [
        _panel("total loss", histories, DARK, "total_loss"),
        _panel("entity loss (final layer)", histories, BLUE, *ENTITY_TERMS),
        _panel("relation loss (final layer)", histories, GREEN, *RELATION_TERMS),
        _panel("learning rate", histories, PURPLE, "lr", smoothed=False),
    ]
    for dataset in _datasets(histories)[:1]:
        panels += [_recall_panel(histories, dataset, kind) for kind in ("R", "mR")]
    figure = PanelFigure("Training overview", histories, smooth=smooth, has_loss_terms=True)
    return figure.draw(panels, columns=3)


def draw_loss_terms(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Every term of the final layer, a row for subjects, objects and relations each; then all other terms."""
    panels = [
        _panel(f"{part}: {title}", histories, _PART_COLOURS[part], term_name(part, loss))
        for part in PARTS
        for loss, title in LOSSES.items()
    ]
    for title, name in zip(LOSSES.values(), DENSE_TERMS, strict=True):
        panels.append(_panel(f"dense: {title}", histories, PURPLE, name))
    names = dict.fromkeys(name for history in histories for name in history.scalars())
    others = (name for name in names if "loss" in name and parse_term(name) is None)
    panels += [_panel(name, histories, VERMILLION, name) for name in others]
    figure = PanelFigure("Loss terms (final layer)", histories, smooth=smooth, has_loss_terms=True)
    return figure.draw(panels, columns=3)


def draw_layers(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """The relation terms in every decoder layer, a row for each run."""
    panels = []
    for history in histories:
        terms = [parse_term(name) for name in history.scalars()]
        layers = sorted({term.layer for term in terms if term is not None and term.layer is not None})
        colours = shades("viridis", 0.85, 0.05, len(layers) + 1)  # the final layer is the darkest
        run = history.name if len(histories) > 1 else ""
        for loss, title in LOSSES.items():
            final = term_name("relation", loss)
            names = {f"layer {layer + 1}": f"{final}_{layer}" for layer in layers} | {"final layer": final}
            curves = [
                curve(label, colour, [history], name)
                for (label, name), colour in zip(names.items(), colours, strict=True)
            ]
            panels.append(Panel(f"relation, {title}", curves, about=run, single=True))
    figure = PanelFigure("Relation loss by decoder layer", histories, smooth=smooth, has_loss_terms=True)
    return figure.draw(panels, columns=3)


def draw_sources(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Unweighted losses of each source of data and the images seen; None if no run logged sources."""
    sources = dict.fromkeys(source for history in histories for source in history.sources())
    ordered = sorted(sources, key=lambda source: source != "real")
    colours = {source: rgb(colour) for source, colour in dataset_colours(ordered).items()}

    def terms(title: str, *names: str) -> Panel:
        curves = [
            curve(source, colour, histories, *(f"{name}_{source}" for name in names))
            for source, colour in colours.items()
        ]
        return Panel(title, curves)

    sums = {
        "subject": terms("total loss", "total_loss"),
        "object": terms("entity loss (final layer)", *ENTITY_TERMS),
        "relation": terms("relation loss (final layer)", *RELATION_TERMS),
    }
    panels = []
    for part, total in sums.items():
        panels += [
            total,
            *(terms(f"{part}: {title}", term_name(part, loss)) for loss, title in LOSSES.items()),
        ]
    seen = terms("images seen", "samples").curves
    panels.append(Panel("images seen", seen, smoothed=False, from_zero=True))
    shares = [
        Curve(source, [_image_share(history, source) for history in histories], colour)
        for source, colour in colours.items()
    ]
    panels.append(Panel("share of images", shares, percent=True, smoothed=False, from_zero=True))
    figure = PanelFigure("Losses by source of data, unweighted", histories, smooth=smooth)
    return figure.draw(panels, columns=4)


def draw_metrics(histories: Histories) -> Figure | None:
    """All kinds of recall, mR of head, body and tail, and box AP, one data set after the other."""
    panels = []
    for dataset in _datasets(histories):
        panels += [_recall_panel(histories, dataset, kind) for kind in RECALL_KINDS]
        names = metric_names(histories, dataset)
        k = max((split_metric(name)[1] for name in names), default=0)
        groups = [(group, f"mR-{group}@{k}", colour) for group, colour in _GROUP_COLOURS.items()]
        panels.append(_metric_panel(histories, dataset, f"mR@{k} of head, body and tail", groups))
        boxes = [(name, name, colour) for name, colour in _BOX_COLOURS.items() if name in names]
        any_size = [box for box in boxes if box[0] in BOX_METRICS[:3]]
        panels.append(_metric_panel(histories, dataset, "entity boxes", any_size))
        by_size = [box for box in boxes if box[0] in BOX_METRICS[3:]]
        panels.append(_metric_panel(histories, dataset, "small, medium, large boxes", by_size))
    return PanelFigure("Evaluations", histories).draw(panels, columns=3)


def draw_dynamics(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Learning rate, seconds per step, images per second, mean k, class errors, skipped steps, memory."""
    names = (name for history in histories for name in history.scalars())
    found = (re.fullmatch(r"k_log_layer(\d+)", name) for name in names)
    layers = sorted({int(match[1]) for match in found if match})
    times = [
        curve("whole step", DARK, histories, "time"),
        curve("waiting for data", ORANGE, histories, "data_time"),
    ]
    speed = Curve("images", [_images_per_second(history) for history in histories], BLUE)
    mean_k = [
        curve(f"layer {layer}", colour, histories, f"k_log_layer{layer}")
        for layer, colour in zip(layers, shades("viridis", 0.85, 0.05, len(layers)), strict=True)
    ]
    errors = [
        curve(part, _PART_COLOURS[part], histories, f"class_error_{part}") for part in ("subject", "object")
    ]
    skipped = [curve("skipped", VERMILLION, histories, "skipped_steps")]
    panels = [
        _panel("learning rate", histories, PURPLE, "lr", smoothed=False),
        Panel("seconds per iteration", times, from_zero=True),
        Panel("images per second", [speed], from_zero=True),
        Panel("mean k (queries per relation)", mean_k),
        Panel("class error of matched queries (%)", errors),
        Panel("steps skipped so far", skipped, smoothed=False, from_zero=True),
        _panel("GPU memory, MiB", histories, GREEN, "max_mem", smoothed=False),
    ]
    return PanelFigure("Training dynamics", histories, smooth=smooth).draw(panels, columns=3)


def _panel(title: str, histories: Histories, colour: Rgb, *names: str, smoothed: bool = True) -> Panel:
    """A panel with one curve: a scalar, or the sum of several."""
    return Panel(title, [curve(title, colour, histories, *names)], smoothed=smoothed)


def _datasets(histories: Histories) -> list[str]:
    return list(dict.fromkeys(name for history in histories for name in history.datasets()))


def _recall_panel(histories: Histories, dataset: str, kind: str) -> Panel:
    """A kind of recall on a data set for every k."""
    names = [name for name in metric_names(histories, dataset) if split_metric(name)[0] == kind]
    colours = shades("Blues", 0.45, 0.95, len(names))
    curves = [
        (f"@{split_metric(name)[1]}", name, colour) for name, colour in zip(names, colours, strict=True)
    ]
    return _metric_panel(histories, dataset, _RECALL_TITLES[kind], curves)


def _metric_panel(
    histories: Histories, dataset: str, title: str, metrics: Sequence[tuple[str, str, Rgb]]
) -> Panel:
    """A panel of metrics on a data set: (label, metric, colour) of each."""
    curves = [
        Curve(label, [history.evaluations(dataset, name) for history in histories], colour)
        for label, name, colour in metrics
    ]
    about = dataset if len(_datasets(histories)) > 1 else ""
    return Panel(title, curves, about=about, evaluated=True, percent=True, from_zero=True)


def _image_share(history: TrainingHistory, source: str) -> pd.Series:
    """Share of a source in the images between two logged lines, 0..1."""
    if source not in history.sources():
        return history.series()
    seen = history.table(*(f"samples_{name}" for name in history.sources()))
    new = seen.diff().fillna(seen.iloc[:1])
    return new[f"samples_{source}"] / new.sum(axis=1)


def _images_per_second(history: TrainingHistory) -> pd.Series:
    """From the images seen between two logged lines."""
    counts = [name for name in history.scalars() if name.startswith("samples_")]
    table = history.table("time", *counts)
    if not counts or len(table) < 2:
        return history.series()
    seen, iterations = table[counts].sum(axis=1), table.index.to_series()
    return (seen.diff() / iterations.diff() / table["time"]).iloc[1:]
