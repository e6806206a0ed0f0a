"""The figure with the recall of every predicate."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from speaq.tools.training_log.curves import BLUE, DARK, LIGHT, MIDDLE, run_colour, run_marker
from speaq.tools.training_log.history import TrainingHistory, split_metric
from speaq.tools.training_log.panel_figure import new_figure, short_number
from speaq.visualize.charts import short

_MAX_EVALUATIONS = 30  # in the heat map; of more, some are left out evenly


def draw_predicate_recalls(histories: Sequence[TrainingHistory]) -> Figure | None:
    """The last recall of every predicate, best first, and for a single run its course as a heat map.

    Of several data sets, the one with most evaluations is shown, without predicates that are known to be
    absent from its images. None where no log has recalls by predicate.
    """
    dataset = _most_evaluated(histories)
    recalls = [
        pd.DataFrame.from_dict(history.predicate_recalls(dataset), orient="index", dtype=np.float64)
        for history in histories
    ]
    if all(table.empty for table in recalls):
        return None
    empty = pd.Series(dtype=np.float64)
    last = pd.DataFrame([empty if table.empty else table.iloc[-1] for table in recalls])
    order = (-last.max().fillna(-1)).argsort(kind="stable")
    last = last.iloc[:, order]
    shown = last.dropna(axis=1, how="all")
    names = list(shown.columns)

    over_time = len(histories) == 1 and len(recalls[0]) > 1
    k = max(split_metric(m.metric)[1] for h in histories for m in h.metrics() if m.predicate is not None)
    title = f"Recall R@{k} of every predicate{f' on {short(dataset)}' if dataset else ''} (%)"
    size = (13 if over_time else 9.5, max(0.21 * len(names) + 1.5, 4))
    figure = new_figure(size, title, histories, with_legend=len(histories) > 1)
    panels = np.atleast_1d(figure.subplots(1, 2 if over_time else 1, sharey=True))
    if over_time:
        _draw_heat_map(panels[0], recalls[0][names])
    _draw_last(panels[-1], shown.to_numpy())
    at = sorted({table.index[-1] for table in recalls if not table.empty})
    when = " and ".join(f"{iteration:,}" for iteration in at) if len(at) < 3 else "the end"
    panels[-1].set_title(f"last evaluation, iteration {when}")
    images = histories[0].predicate_images.get((dataset, at[-1]), {}) if len(histories) == 1 else {}
    labels = [f"{short(name)} ({images[name]:,})" if name in images else short(name) for name in names]
    panels[0].set_yticks(range(len(names)), labels)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    notes = ["in brackets: images that have the predicate"] if images else []
    if absent := last.shape[1] - len(names):
        notes.append(f"{absent} of {last.shape[1]} predicates are absent from these images")
    figure.supxlabel("   |   ".join(notes), fontsize=9, color=MIDDLE)
    return figure


def _most_evaluated(histories: Sequence[TrainingHistory]) -> str:
    counts: Counter[str] = Counter()
    for history in histories:
        counts.update({dataset: len(history.predicate_recalls(dataset)) for dataset in history.datasets()})
    return counts.most_common(1)[0][0] if counts else ""


def _draw_heat_map(axes: Axes, recalls: pd.DataFrame) -> None:
    chosen = np.unique(np.linspace(0, len(recalls) - 1, _MAX_EVALUATIONS).round().astype(int))
    recalls = recalls.iloc[chosen]
    axes.set_title("over time")
    axes.set_facecolor(LIGHT)  # visible where a recall is missing
    table = 100 * recalls.to_numpy().T
    image = axes.imshow(table, aspect="auto", cmap="cividis", vmin=0, interpolation="nearest")
    ticks = np.unique(np.linspace(0, len(recalls) - 1, 6).round().astype(int))
    axes.set_xticks(ticks, [short_number(iteration) for iteration in recalls.index[ticks]])
    bar = axes.figure.colorbar(image, ax=axes, location="bottom", shrink=0.6, pad=0.02)
    bar.outline.set_visible(False)  # type: ignore[operator]


def _draw_last(axes: Axes, recalls: np.ndarray) -> None:
    """Bars with one run, points with several: recalls (runs, predicates) in 0..1."""
    recalls = 100 * recalls
    places = np.arange(recalls.shape[1])
    axes.grid(True, axis="x")
    if len(recalls) == 1:
        bars = axes.barh(places, recalls[0], height=0.7, color=BLUE)
        axes.bar_label(bars, fmt="%.1f", padding=4, fontsize=8.5, color=DARK)
    else:
        # Every predicate has a recall in some run.
        axes.hlines(
            places, np.nanmin(recalls, axis=0), np.nanmax(recalls, axis=0), color=MIDDLE, linewidth=0.8
        )
        for run, row in enumerate(recalls):
            axes.plot(row, places, run_marker(run), color=run_colour(run), markersize=6)
    axes.set_xlim(left=0)
    axes.margins(x=0.12)
