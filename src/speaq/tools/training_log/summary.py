"""Summary of trainings, as tables for a terminal."""

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
from rich.table import Column, Table

from speaq.evaluation.results import numeric
from speaq.tools.training_log.history import TrainingHistory, metrics_on
from speaq.tools.training_log.names import BOX_METRICS, ENTITY_TERMS, RECALL_KINDS, RELATION_TERMS, Metric
from speaq.visualize.text import wrapped

_MAX_COLUMNS = 6  # besides the names of rows; more runs are listed below each other, with fewer values
_LOSSES = {
    "last total loss": ("total_loss",),
    "last entity loss": ENTITY_TERMS,
    "last relation loss": RELATION_TERMS,
}
_BRIEF = ("last iteration", "time in steps, about", *_LOSSES)


def training_table(histories: Sequence[TrainingHistory]) -> Table:
    """Iterations, time, speed, last losses and skipped steps; a column for each run, or a row for many."""
    rows = {
        "last iteration": [f"{max(c.index[-1] for c in h.columns.values()):,}" for h in histories],
        "lines in the log": [f"{len(history.lines):,}" for history in histories],
        "time in steps, about": [_duration(history.seconds()) for history in histories],
        "seconds per iteration, median": [_median(history, "time") for history in histories],
        "of it waiting for data": [_median(history, "data_time") for history in histories],
        "last learning rate": [_last(history, "lr") for history in histories],
    }
    for name, terms in _LOSSES.items():
        rows[name] = [_last(history, *terms) for history in histories]
    for source in dict.fromkeys(source for history in histories for source in history.sources()):
        rows[f"last total loss, {source}"] = [_last(h, f"total_loss_{source}") for h in histories]
        rows[f"images seen, {source}"] = [_last(h, f"samples_{source}") for h in histories]
    rows["skipped steps"] = [_last(history, "skipped_steps") for history in histories]
    rows = {name: [cell or "-" for cell in cells] for name, cells in rows.items() if any(cells)}
    if len(histories) > _MAX_COLUMNS:
        return _table_by_run("Training", histories, {name: rows[name] for name in _BRIEF if name in rows})
    names = [history.name for history in histories]
    return _table("Training", names, [(name, *cells) for name, cells in rows.items()])


def metrics_tables(histories: Sequence[TrainingHistory]) -> list[Table]:
    """Best and last value of every kind of recall and of AP, in percent; a table for each data set.

    Of many runs, only the best values of the main metrics are listed, in a row for each run.
    """
    tables = []
    for dataset in dict.fromkeys(name for history in histories for name in history.datasets()):
        evaluated = [history for history in histories if dataset in history.datasets()]
        where = f" on {dataset}" if dataset else ""
        metrics = metrics_on(evaluated, dataset)
        if 2 * len(evaluated) > _MAX_COLUMNS:
            deepest = {metric.kind: metric for metric in metrics}  # k ascends
            main = [deepest[kind] for kind in ("R", "mR", "zR", "F", "AP50") if kind in deepest]
            best = {
                metric.metric: [_best_and_last(run, metric)[0].partition(" ")[0] for run in evaluated]
                for metric in main
            }
            tables.append(_table_by_run(f"Best evaluations{where} (%)", evaluated, best))
            continue
        runs = [f"{history.name}\n" if len(histories) > 1 else "" for history in evaluated]
        columns = [f"{run}{which} (iteration)" for run in runs for which in ("best", "last")]
        rows = [
            (metric.metric, *(cell for run in evaluated for cell in _best_and_last(run, metric)))
            for metric in metrics
            if metric.kind in (*RECALL_KINDS, *BOX_METRICS[:3])
        ]
        tables.append(_table(f"Evaluations{where} (%)", columns, rows, fixed_names=True))
    return tables


def remarks(histories: Sequence[TrainingHistory]) -> list[str]:
    """What a reader of the figures should know about the logs."""
    found = []
    for history in histories:
        found += [f"{history.name}: {note}" for note in history.notes]
        for first, reached in history.resumed:
            found.append(
                f"{history.name}: the log goes back to iteration {first:,} after {reached:,}; what it had "
                "logged for the iterations from there on is not shown"
            )
        if added := _added_to_total(history):
            found.append(
                f"{history.name}: total_loss is {added:.4g} more than the sum of its terms, as other values, "
                "such as class errors and mean k, were added to it"
            )
    if len({history.weighted_terms for history in histories}) > 1:
        weighted = ", ".join(history.name for history in histories if history.weighted_terms)
        found.append(
            f"{weighted}: loss terms were logged times their weights (box L1 times 5, GIoU times 2 by "
            "default), in the other runs without them; do not compare these"
        )
    return found


def _table(
    title: str, columns: Iterable[str], rows: Iterable[Sequence[str]], *, fixed_names: bool = False
) -> Table:
    """A table whose first column has the names of rows, which are not broken with ``fixed_names``."""
    headings = Column(no_wrap=fixed_names), *numeric(columns, overflow="fold")
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table


def _table_by_run(title: str, histories: Sequence[TrainingHistory], columns: dict[str, list[str]]) -> Table:
    """A table with a row for each run."""
    rows = zip((history.name for history in histories), *columns.values(), strict=True)
    table = _table(title, (wrapped(name, 9) for name in columns), rows)
    table.columns[0].overflow = "fold"
    for column in table.columns[1:]:
        column.no_wrap, column.overflow = True, "ellipsis"  # leaves room for names of runs
    return table


def _best_and_last(history: TrainingHistory, metric: Metric) -> tuple[str, str]:
    """In percent, with the iteration."""
    percent = 100 * history.series(metric)
    percent = percent[np.isfinite(percent)]
    if percent.empty:
        return "-", "-"
    best, last = (f"{percent[i]:.2f} ({i:,})" for i in (percent.idxmax(), percent.index[-1]))
    return best, last


def _added_to_total(history: TrainingHistory) -> float:
    """The median of what total_loss has beyond its weighted terms; 0 where that is under a tenth of them."""
    if not history.weighted_terms or "total_loss" not in history.columns:
        return 0.0
    names = [name for name in history.scalars if name == "total_loss" or name.startswith("loss_")]
    rows = pd.concat({name: history.columns[name] for name in names}, axis=1)
    terms = rows.drop(columns="total_loss").sum(axis=1)
    extra = rows["total_loss"] - terms
    usable = np.isfinite(extra) & (terms > 0)
    extra, terms = extra[usable].median(), terms[usable].median()
    return float(extra) if extra > 0.1 * terms else 0.0


def _last(history: TrainingHistory, *names: str) -> str:
    series = history.series(*names)
    if series.empty:
        return ""
    is_count = names[0].startswith(("samples_", "skipped_"))
    return f"{series.iloc[-1]:,.0f}" if is_count else f"{series.iloc[-1]:.4g}"


def _median(history: TrainingHistory, name: str) -> str:
    series = history.series(name)
    median = series[np.isfinite(series)].median()
    return "" if math.isnan(median) else f"{median:.4f}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if math.isfinite(seconds) else ""
