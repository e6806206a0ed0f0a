"""The picture of the recall of every predicate.

P: predicates, E: evaluations.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speaq.tools.training_log.history import Evaluation, TrainingHistory
from speaq.tools.training_log.page import new_figure
from speaq.tools.training_log.panels import (
    BLUE,
    DARK,
    LIGHT,
    MIDDLE,
    run_colour,
    run_marker,
    short_number,
)
from speaq.visualize.charts import short

_MAX_COLUMNS = 30  # of the map over time; with more evaluations some are left out evenly


def draw_predicates(histories: Sequence[TrainingHistory]) -> Figure | None:
    """The last recall of every predicate, best first, and with a single run how it came to be.

    Where there are several data sets it is the one with most evaluations. Predicates that are known to be
    absent from its images are left out.

    Returns:
        None where no log has recalls by predicate.
    """
    dataset = _dataset(histories)
    series = [_evaluations(history, dataset) for history in histories]
    if not any(series):
        return None
    lasts = [next(reversed(found.values())) if found else Evaluation() for found in series]
    every = dict.fromkeys(name for last in lasts for name in last.predicates)
    recalls = _table(lasts, list(every))
    best = np.where(np.isnan(recalls), -1.0, recalls).max(axis=0)
    names = [list(every)[index] for index in np.argsort(-best, kind="stable") if best[index] >= 0]

    over_time = len(histories) == 1 and len(series[0]) > 1
    depth = max(last.depth for last in lasts)
    title = f"Recall R@{depth} of every predicate{f' on {short(dataset)}' if dataset else ''} (%)"
    size = (13 if over_time else 9.5, max(0.21 * len(names) + 1.5, 4))
    figure = new_figure(size, title, histories, with_legend=len(histories) > 1)
    panels = np.atleast_1d(figure.subplots(1, 2 if over_time else 1, sharey=True))
    if over_time:
        _draw_map(panels[0], names, series[0])
    _draw_last(panels[-1], names, lasts)
    at = sorted({next(reversed(found)) for found in series if found})
    when = " and ".join(f"{iteration:,}" for iteration in at) if len(at) < 3 else "the end"
    panels[-1].set_title(f"last evaluation, iteration {when}")
    images = lasts[0].images if len(lasts) == 1 else {}
    panels[0].set_yticks(range(len(names)), [_tick(name, images) for name in names])
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    notes = ["in brackets: images that have the predicate"] if images else []
    if absent := len(every) - len(names):
        notes.append(f"{absent} of {len(every)} predicates are absent from these images")
    figure.supxlabel("   |   ".join(notes), fontsize=9, color=MIDDLE)
    return figure


def _dataset(histories: Sequence[TrainingHistory]) -> str:
    counts: dict[str, int] = {}
    for history in histories:
        for dataset in history.evaluations:
            counts[dataset] = counts.get(dataset, 0) + len(_evaluations(history, dataset))
    return max(counts, key=lambda dataset: counts[dataset], default="")


def _evaluations(history: TrainingHistory, dataset: str) -> dict[int, Evaluation]:
    found = history.evaluations.get(dataset, {})
    return {iteration: evaluation for iteration, evaluation in found.items() if evaluation.predicates}


def _table(evaluations: Sequence[Evaluation], names: Sequence[str]) -> np.ndarray:
    """(E, P) recalls, NaN where there is none."""
    rows = [[evaluation.predicates.get(name, np.nan) for name in names] for evaluation in evaluations]
    return np.array(rows, dtype=np.float64).reshape(len(evaluations), len(names))


def _tick(name: str, images: dict[str, int]) -> str:
    return f"{short(name)} ({images[name]:,})" if name in images else short(name)


def _draw_map(axes: Axes, names: Sequence[str], evaluations: dict[int, Evaluation]) -> None:
    chosen = np.unique(np.linspace(0, len(evaluations) - 1, _MAX_COLUMNS).round().astype(int))
    iterations = [list(evaluations)[index] for index in chosen]
    table = 100 * _table([evaluations[iteration] for iteration in iterations], names).T
    axes.set_title("over time")
    axes.set_facecolor(LIGHT)  # shows where a recall is missing
    image = axes.imshow(table, aspect="auto", cmap="cividis", vmin=0, interpolation="nearest")
    ticks = np.unique(np.linspace(0, len(iterations) - 1, 6).round().astype(int))
    axes.set_xticks(ticks, [short_number(iterations[tick]) for tick in ticks])
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _draw_last(axes: Axes, names: Sequence[str], lasts: Sequence[Evaluation]) -> None:
    recalls = 100 * _table(lasts, names)
    places = np.arange(len(names))
    axes.grid(True, axis="x")
    if len(lasts) == 1:
        axes.barh(places, recalls[0], height=0.7, color=BLUE)
        for place, value in zip(places, recalls[0], strict=True):
            axes.annotate(
                f"{value:.1f}",
                (value, place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=DARK,
            )
    else:
        low, high = np.nanmin(recalls, axis=0), np.nanmax(recalls, axis=0)  # each has one in some run
        axes.hlines(places, low, high, color=MIDDLE, linewidth=0.8)
        for run, row in enumerate(recalls):
            axes.plot(row, places, run_marker(run), color=run_colour(run), markersize=6)
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
