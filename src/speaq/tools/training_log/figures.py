"""The figures: overview, loss terms, layers, sources of data, evaluations, predicates, dynamics."""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speaq.tools.training_log import names
from speaq.tools.training_log import panel_figure as charts
from speaq.tools.training_log.history import TrainingHistory, metrics_on
from speaq.tools.training_log.names import Metric
from speaq.tools.training_log.panel_figure import Curve, Histories, Panel
from speaq.visualize.charts import Rgb, dataset_colours, rgb, short

_PART_COLOURS = {"subject": charts.BLUE, "object": charts.ORANGE, "relation": charts.GREEN}
_RECALL_TITLES = {
    "R": "recall R@K",
    "mR": "mean recall mR@K",
    "zR": "zero-shot recall zR@K",
    "ng-R": "ng-R@K (no graph constraint)",
    "ng-mR": "ng-mR@K (no graph constraint)",
    "ng-zR": "ng-zR@K (no graph constraint)",
    "F": "F@K (harmonic mean of R and mR)",
}
_BOX_COLOURS = dict(
    zip(
        names.BOX_METRICS,
        (charts.BLUE, charts.ORANGE, charts.GREEN, charts.SKY, charts.PURPLE, charts.VERMILLION),
        strict=True,
    )
)
_GROUP_COLOURS = {"head": charts.BLUE, "body": charts.ORANGE, "tail": charts.GREEN}
_MAX_EVALUATIONS = 30  # in the heat map; of more, some are left out evenly


def draw_overview(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Total, entity and relation loss, learning rate, and recalls on the first data set."""
    panels = [
        _panel("total loss", charts.DARK, "total_loss"),
        _panel("entity loss (final layer)", charts.BLUE, *names.ENTITY_TERMS),
        _panel("relation loss (final layer)", charts.GREEN, *names.RELATION_TERMS),
        _panel("learning rate", charts.PURPLE, "lr", smoothed=False),
    ]
    for dataset in _datasets(histories)[:1]:
        panels += _recall_panels(histories, dataset)[:2]
    return charts.draw_panels("Training overview", histories, panels, smooth=smooth, has_loss_terms=True)


def draw_loss_terms(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Every term of the final layer, a row for subjects, objects and relations each; then all other terms."""
    parts = {**names.TERMS, "dense": names.DENSE_TERMS}
    panels = [
        _panel(f"{part}: {title}", _PART_COLOURS.get(part, charts.PURPLE), name)
        for part, terms in parts.items()
        for title, name in terms.items()
    ]
    others = [name for name in _scalars(histories) if "loss" in name and names.parse_term(name) is None]
    panels += [_panel(name, charts.VERMILLION, name) for name in others]
    return charts.draw_panels(
        "Loss terms (final layer)", histories, panels, smooth=smooth, has_loss_terms=True
    )


def draw_layers(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """The relation terms in every decoder layer, a row for each run."""
    panels = []
    for run in histories:
        terms = map(names.parse_term, run.scalars)
        layers = sorted({term.layer for term in terms if term is not None and term.layer is not None})
        colours = charts.shades("viridis", 0.85, 0.05, len(layers) + 1)  # the final layer is the darkest
        for title, final in names.TERMS["relation"].items():
            labels = {f"layer {layer + 1}": f"{final}_{layer}" for layer in layers} | {"final layer": final}
            curves = [
                (label, colour, [name]) for (label, name), colour in zip(labels.items(), colours, strict=True)
            ]
            about = run.name if len(histories) > 1 else ""
            panels.append(Panel(f"relation, {title}", curves, about=about, run=run))
    title = "Relation loss by decoder layer"
    return charts.draw_panels(title, histories, panels, smooth=smooth, has_loss_terms=True)


def draw_sources(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Unweighted losses of each source of data and the images seen; None if no run logged sources."""
    sources = sorted(dict.fromkeys(s for run in histories for s in run.sources()), key=lambda s: s != "real")
    colours = {source: rgb(colour) for source, colour in dataset_colours(sources).items()}

    def curves(*bases: str) -> list[Curve]:
        return [(source, c, [f"{name}_{source}" for name in bases]) for source, c in colours.items()]

    totals = {
        "subject": Panel("total loss", curves("total_loss")),
        "object": Panel("entity loss (final layer)", curves(*names.ENTITY_TERMS)),
        "relation": Panel("relation loss (final layer)", curves(*names.RELATION_TERMS)),
    }
    panels = []
    for part, total in totals.items():
        terms = [Panel(f"{part}: {title}", curves(name)) for title, name in names.TERMS[part].items()]
        panels += [total, *terms]
    shares = [(source, colour, partial(_image_share, source=source)) for source, colour in colours.items()]
    panels += [
        Panel("images seen", curves("samples"), smoothed=False, from_zero=True),
        Panel("share of images", shares, percent=True, smoothed=False, from_zero=True),
    ]
    title = "Losses by source of data, unweighted"
    return charts.draw_panels(title, histories, panels, columns=4, smooth=smooth)


def draw_metrics(histories: Histories) -> Figure | None:
    """All kinds of recall, mR of head, body and tail, and box AP, one data set after the other."""
    panels = []
    for dataset in _datasets(histories):
        panels += _recall_panels(histories, dataset)
        metrics = metrics_on(histories, dataset)
        k = max((metric.k for metric in metrics), default=0)
        any_size, by_size = (
            [
                (name, _BOX_COLOURS[name], [metric])
                for name in kinds
                if (metric := Metric(dataset, name)) in metrics
            ]
            for kinds in (names.BOX_METRICS[:3], names.BOX_METRICS[3:])
        )
        groups = [(name, c, [Metric(dataset, f"mR-{name}@{k}")]) for name, c in _GROUP_COLOURS.items()]
        panels += [
            _metric_panel(histories, dataset, f"mR@{k} of head, body and tail", groups),
            _metric_panel(histories, dataset, "entity boxes", any_size),
            _metric_panel(histories, dataset, "small, medium, large boxes", by_size),
        ]
    return charts.draw_panels("Evaluations", histories, panels)


def draw_dynamics(histories: Histories, *, smooth: int | None = None) -> Figure | None:
    """Learning rate, seconds per step, images per second, mean k, class errors, skipped steps, memory."""
    found = (re.fullmatch(r"k_log_layer(\d+)", name) for name in _scalars(histories))
    layers = sorted({int(match[1]) for match in found if match})
    mean_k = [
        (f"layer {layer}", colour, [f"k_log_layer{layer}"])
        for layer, colour in zip(layers, charts.shades("viridis", 0.85, 0.05, len(layers)), strict=True)
    ]
    times = [("whole step", charts.DARK, ["time"]), ("waiting for data", charts.ORANGE, ["data_time"])]
    errors = [(part, _PART_COLOURS[part], [f"class_error_{part}"]) for part in ("subject", "object")]
    panels = [
        _panel("learning rate", charts.PURPLE, "lr", smoothed=False),
        Panel("seconds per iteration", times, from_zero=True),
        Panel("images per second", [("images", charts.BLUE, _images_per_second)], from_zero=True),
        Panel("mean k (queries per relation)", mean_k),
        Panel("class error of matched queries (%)", errors),
        _panel("steps skipped so far", charts.VERMILLION, "skipped_steps", smoothed=False, from_zero=True),
        _panel("GPU memory, MiB", charts.GREEN, "max_mem", smoothed=False),
    ]
    return charts.draw_panels("Training dynamics", histories, panels, smooth=smooth)


def _panel(title: str, colour: Rgb, *of: str, smoothed: bool = True, from_zero: bool = False) -> Panel:
    """A panel with one curve: a scalar, or the sum of several."""
    return Panel(title, [(title, colour, of)], smoothed=smoothed, from_zero=from_zero)


def _scalars(histories: Histories) -> list[str]:
    return list(dict.fromkeys(name for run in histories for name in run.scalars))


def _datasets(histories: Histories) -> list[str]:
    return list(dict.fromkeys(name for run in histories for name in run.datasets()))


def _recall_panels(histories: Histories, dataset: str) -> list[Panel]:
    """A panel for every kind of recall on a data set, with a curve for every k."""
    panels = []
    for kind, title in _RECALL_TITLES.items():
        metrics = [metric for metric in metrics_on(histories, dataset) if metric.kind == kind]
        colours = charts.shades("Blues", 0.45, 0.95, len(metrics))
        curves = [(f"@{m.k}", colour, [m]) for m, colour in zip(metrics, colours, strict=True)]
        panels.append(_metric_panel(histories, dataset, title, curves))
    return panels


def _metric_panel(histories: Histories, dataset: str, title: str, curves: Sequence[Curve]) -> Panel:
    about = dataset if len(_datasets(histories)) > 1 else ""
    return Panel(title, curves, about=about, evaluated=True, percent=True, from_zero=True)


def _image_share(run: TrainingHistory, source: str) -> pd.Series:
    """Share of a source in the images between two logged lines, 0..1."""
    if source not in run.sources():
        return run.series()
    seen = run.table(*(f"samples_{name}" for name in run.sources()))
    new = seen.diff().fillna(seen.iloc[:1])
    return new[f"samples_{source}"] / new.sum(axis=1)


def _images_per_second(run: TrainingHistory) -> pd.Series:
    """From the images seen between two logged lines."""
    counts = [name for name in run.scalars if name.startswith("samples_")]
    table = run.table("time", *counts)
    if not counts or len(table) < 2:
        return run.series()
    seen, iterations = table[counts].sum(axis=1), table.index.to_series()
    return (seen.diff() / iterations.diff() / table["time"]).iloc[1:]


def draw_predicate_recalls(histories: Histories) -> Figure | None:
    """The last recall of every predicate, best first, and for a single run its course as a heat map.

    Of several data sets, the one with most evaluations is shown, without predicates that are known to be
    absent from its images. None where no log has recalls by predicate.
    """
    tables = {name: [run.predicate_recalls(name) for run in histories] for name in _datasets(histories)}
    dataset = max(tables, key=lambda name: sum(map(len, tables[name])), default="")
    recalls = tables.get(dataset, [])
    if all(table.empty for table in recalls):
        return None
    empty = pd.Series(dtype=np.float64)
    last = pd.DataFrame([empty if table.empty else table.iloc[-1] for table in recalls])
    last = last.iloc[:, (-last.max().fillna(-1)).argsort(kind="stable")]
    shown = last.dropna(axis=1, how="all")
    predicates = list(shown.columns)

    over_time = len(histories) == 1 and len(recalls[0]) > 1
    k = max(metric.k for run in histories for metric in run.metrics if metric.predicate is not None)
    title = f"Recall R@{k} of every predicate{f' on {short(dataset)}' if dataset else ''} (%)"
    size = (13 if over_time else 9.5, max(0.21 * len(predicates) + 1.5, 4))
    figure = charts.new_figure(size, title, histories, with_legend=len(histories) > 1)
    panels = np.atleast_1d(figure.subplots(1, 2 if over_time else 1, sharey=True))
    if over_time:
        _draw_heat_map(panels[0], 100 * recalls[0][predicates])
    _draw_last(panels[-1], 100 * shown.to_numpy())
    at = sorted({table.index[-1] for table in recalls if not table.empty})
    when = " and ".join(f"{iteration:,}" for iteration in at) if len(at) < 3 else "the end"
    panels[-1].set_title(f"last evaluation, iteration {when}")
    images = histories[0].predicate_images.get((dataset, at[-1]), {}) if len(histories) == 1 else {}
    counts = [f" ({images[name]:,})" if name in images else "" for name in predicates]
    labels = [short(name) + count for name, count in zip(predicates, counts, strict=True)]
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    notes = ["in brackets: images that have the predicate"] if images else []
    if absent := last.shape[1] - len(predicates):
        notes.append(f"{absent} of {last.shape[1]} predicates are absent from these images")
    figure.supxlabel("   |   ".join(notes), fontsize=9, color=charts.MIDDLE)
    return figure


def _draw_heat_map(axes: Axes, recalls: pd.DataFrame) -> None:
    recalls = recalls.iloc[_evenly(len(recalls), _MAX_EVALUATIONS)]
    axes.set_title("over time")
    axes.set_facecolor(charts.LIGHT)  # visible where a recall is missing
    image = axes.imshow(recalls.T, aspect="auto", cmap="cividis", vmin=0, interpolation="nearest")
    ticks = _evenly(len(recalls), 6)
    axes.set_xticks(ticks, [charts.short_number(iteration) for iteration in recalls.index[ticks]])
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _evenly(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, most).round().astype(int))


def _draw_last(axes: Axes, recalls: np.ndarray) -> None:
    """Bars with one run, points with several: recalls (runs, predicates) in percent."""
    places = np.arange(recalls.shape[1])
    axes.grid(True, axis="x")
    if len(recalls) == 1:
        bars = axes.barh(places, recalls[0], height=0.7, color=charts.BLUE)
        axes.bar_label(bars, fmt="%.1f", padding=4, fontsize=8.5, color=charts.DARK)
    else:  # every predicate has a recall in some run
        span = np.nanmin(recalls, axis=0), np.nanmax(recalls, axis=0)
        axes.hlines(places, *span, color=charts.MIDDLE, linewidth=0.8)
        for run, row in enumerate(recalls):
            axes.plot(row, places, linestyle="", markersize=6, **charts.run_style(run))
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
