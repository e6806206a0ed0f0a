"""Summary of trainings, as tables for a terminal."""

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pandas as pd
from rich.table import Table

from speaq.tools.training_log.history import (
    BOX_METRICS,
    RECALL_KINDS,
    TrainingHistory,
    metric_names,
    parse_metric,
    split_metric,
)
from speaq.tools.training_log.loss_terms import ENTITY_TERMS, RELATION_TERMS
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
        "last iteration": [f"{h.last_iteration:,}" if h.last_iteration >= 0 else "" for h in histories],
        "lines in the log": [f"{_num_scalar_rows(history):,}" for history in histories],
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
    table = Table(title="Training", title_justify="left")
    table.add_column("")
    for history in histories:
        table.add_column(history.name, justify="right", overflow="fold")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def metrics_tables(histories: Sequence[TrainingHistory]) -> list[Table]:
    """Best and last value of every kind of recall and of AP, in percent; a table for each data set.

    Of many runs, only the best values of the main metrics are listed, in a row for each run.
    """
    tables = []
    for dataset in dict.fromkeys(name for history in histories for name in history.datasets()):
        evaluated = [history for history in histories if dataset in history.datasets()]
        where = f" on {dataset}" if dataset else ""
        names = metric_names(evaluated, dataset)
        if 2 * len(evaluated) > _MAX_COLUMNS:
            best = {name: [_best_value(h, dataset, name) for h in evaluated] for name in _main_metrics(names)}
            tables.append(_table_by_run(f"Best evaluations{where} (%)", evaluated, best))
            continue
        table = Table(title=f"Evaluations{where} (%)", title_justify="left")
        table.add_column("", no_wrap=True)
        for history in evaluated:
            of_run = f"{history.name}\n" if len(histories) > 1 else ""
            table.add_column(f"{of_run}best (iteration)", justify="right", overflow="fold")
            table.add_column(f"{of_run}last (iteration)", justify="right", overflow="fold")
        for name in names:
            if split_metric(name)[0] in (*RECALL_KINDS, *BOX_METRICS[:3]):
                cells = [cell for history in evaluated for cell in _best_and_last(history, dataset, name)]
                table.add_row(name, *cells)
        tables.append(table)
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


def _table_by_run(title: str, histories: Sequence[TrainingHistory], columns: dict[str, list[str]]) -> Table:
    """A table with a row for each run."""
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(wrapped(name, 9), justify="right", no_wrap=True)  # leaves room for names of runs
    for history, *cells in zip(histories, *columns.values(), strict=True):
        table.add_row(history.name, *cells)
    return table


def _main_metrics(names: Sequence[str]) -> list[str]:
    """R, mR, zR and F at the greatest k, and AP50, of those that exist."""
    deepest = {split_metric(name)[0]: name for name in names}  # k ascends
    return [deepest[kind] for kind in ("R", "mR", "zR", "F", "AP50") if kind in deepest]


def _best_value(history: TrainingHistory, dataset: str, metric: str) -> str:
    percent = 100 * history.evaluations(dataset, metric)
    return "-" if percent.empty else f"{percent.max():.2f}"


def _best_and_last(history: TrainingHistory, dataset: str, metric: str) -> tuple[str, str]:
    percent = 100 * history.evaluations(dataset, metric)
    if percent.empty:
        return "-", "-"
    best, last = (f"{percent.iloc[i]:.2f} ({percent.index[i]:,})" for i in (percent.to_numpy().argmax(), -1))
    return best, last


def _added_to_total(history: TrainingHistory) -> float:
    """The median of what total_loss has beyond its weighted terms; 0 where that is under a tenth of them."""
    if not history.weighted_terms:
        return 0.0
    rows = pd.DataFrame(list(history.rows.values()))
    if "total_loss" not in rows:
        return 0.0
    terms = rows.filter(regex="^loss_").sum(axis=1)
    extra = rows["total_loss"] - terms
    usable = np.isfinite(extra) & (terms > 0)
    extra, terms = extra[usable].median(), terms[usable].median()
    return float(extra) if extra > 0.1 * terms else 0.0


def _num_scalar_rows(history: TrainingHistory) -> int:
    return sum(any(parse_metric(name) is None for name in row) for row in history.rows.values())


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
