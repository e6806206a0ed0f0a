"""What a training came to, as tables for a terminal."""

import math
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from rich.table import Table

from speaq.tools.training_log.history import (
    BOX_FIGURES,
    SCENE_GRAPH_FIGURES,
    TrainingHistory,
    figure_names,
    split_figure,
)
from speaq.tools.training_log.terms import ENTITY_TERMS, RELATION_TERMS
from speaq.visualize.text import wrapped

_MOST_COLUMNS = 6  # beside the names of figures; with more, runs are below each other with fewer figures
_BRIEF = (
    "last iteration",
    "time in steps, about",
    "last total loss",
    "last entity loss",
    "last relation loss",
)


def training_table(histories: Sequence[TrainingHistory]) -> Table:
    """Iterations, time, speed, last losses and skipped steps; a column for each run, or a row of many."""
    rows = {
        "last iteration": [_count(history.last_iteration) for history in histories],
        "lines in the log": [_count(len(history.scalars)) for history in histories],
        "time in steps, about": [_duration(history.seconds) for history in histories],
        "seconds per iteration, median": [_median(history, "time") for history in histories],
        "of it waiting for data": [_median(history, "data_time") for history in histories],
        "last learning rate": [_last(history, "lr") for history in histories],
        "last total loss": [_last(history, "total_loss") for history in histories],
        "last entity loss": [_last(history, *ENTITY_TERMS) for history in histories],
        "last relation loss": [_last(history, *RELATION_TERMS) for history in histories],
    }
    for source in dict.fromkeys(source for history in histories for source in history.sources()):
        rows[f"last total loss, {source}"] = [_last(h, f"total_loss_{source}") for h in histories]
        rows[f"images seen, {source}"] = [_last(h, f"samples_{source}") for h in histories]
    rows["skipped steps"] = [_last(history, "skipped_steps") for history in histories]
    rows = {name: [cell or "-" for cell in cells] for name, cells in rows.items() if any(cells)}
    if len(histories) > _MOST_COLUMNS:
        return _by_run("Training", histories, {name: rows[name] for name in _BRIEF if name in rows})
    table = Table(title="Training", title_justify="left")
    table.add_column("")
    for history in histories:
        table.add_column(history.name, justify="right", overflow="fold")
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def metrics_tables(histories: Sequence[TrainingHistory]) -> list[Table]:
    """Best and last figure of every kind of recall and of AP, in percent; a table for each data set.

    Of many runs it is the best of a few figures, in a row for each run.
    """
    tables = []
    for dataset in dict.fromkeys(name for history in histories for name in history.evaluations):
        evaluated = [history for history in histories if dataset in history.evaluations]
        where = f" on {dataset}" if dataset else ""
        if 2 * len(evaluated) > _MOST_COLUMNS:
            columns = {
                figure: [
                    _best_and_last(history, dataset, figure)[0].partition(" ")[0] for history in evaluated
                ]
                for figure in _main_figures(evaluated, dataset)
            }
            tables.append(_by_run(f"Best evaluations{where} (%)", evaluated, columns))
            continue
        table = Table(title=f"Evaluations{where} (%)", title_justify="left")
        table.add_column("", no_wrap=True)
        for history in evaluated:
            of_run = f"{history.name}\n" if len(histories) > 1 else ""
            table.add_column(f"{of_run}best (iteration)", justify="right", overflow="fold")
            table.add_column(f"{of_run}last (iteration)", justify="right", overflow="fold")
        for figure in figure_names(evaluated, dataset):
            if split_figure(figure)[0] in (*SCENE_GRAPH_FIGURES, *BOX_FIGURES[:3]):
                cells = [cell for history in evaluated for cell in _best_and_last(history, dataset, figure)]
                table.add_row(figure, *cells)
        tables.append(table)
    return tables


def remarks(histories: Sequence[TrainingHistory]) -> list[str]:
    """What one should know when one looks at the pictures."""
    found = []
    for history in histories:
        found += [f"{history.name}: {note}" for note in history.notes]
        for first, reached in history.resumed:
            found.append(
                f"{history.name}: the log goes back to iteration {first:,} after {reached:,}; what it had "
                "said of the iterations from there on is not shown"
            )
        if added := _added_to_total(history):
            found.append(
                f"{history.name}: total_loss is {added:.4g} more than its terms come to, as other figures, "
                "such as class errors and mean k, were added into it"
            )
    if len({history.weighted_terms for history in histories}) > 1:
        weighted = ", ".join(history.name for history in histories if history.weighted_terms)
        found.append(
            f"{weighted}: loss terms were logged times their weights (box L1 times 5, GIoU times 2 by "
            "default), in the other runs without them; do not compare these"
        )
    return found


def _by_run(title: str, histories: Sequence[TrainingHistory], columns: dict[str, list[str]]) -> Table:
    """A table with a row for each run."""
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(wrapped(name, 9), justify="right", no_wrap=True)  # leaves room for names of runs
    for history, *cells in zip(histories, *columns.values(), strict=True):
        table.add_row(history.name, *cells)
    return table


def _main_figures(histories: Sequence[TrainingHistory], dataset: str) -> list[str]:
    """R, mR, zR and F at the greatest depth, and AP50, as far as there are any."""
    names = figure_names(histories, dataset)
    deepest = {split_figure(name)[0]: name for name in names}  # depths ascend
    return [deepest[kind] for kind in ("R", "mR", "zR", "F", "AP50") if kind in deepest]


def _added_to_total(history: TrainingHistory) -> float:
    """The median of what total_loss holds beyond its weighted terms, where that is worth a word."""
    if not history.weighted_terms:
        return 0.0
    extras = []
    for row in history.scalars.values():
        terms = sum(value for name, value in row.items() if name.startswith("loss_"))
        if "total_loss" in row and math.isfinite(row["total_loss"] - terms) and terms > 0:
            extras.append((row["total_loss"] - terms, terms))
    if not extras:
        return 0.0
    extra, terms = np.median(extras, axis=0)
    return float(extra) if extra > 0.1 * terms else 0.0


def _best_and_last(history: TrainingHistory, dataset: str, figure: str) -> tuple[str, str]:
    iterations, values = history.figure_series(dataset, figure)
    if not len(values):
        return "-", "-"
    best = int(values.argmax())
    return tuple(f"{100 * values[i]:.2f} ({iterations[i]:,})" for i in (best, -1))  # type: ignore[return-value]


def _last(history: TrainingHistory, *names: str) -> str:
    _, values = history.series(*names)
    if not len(values):
        return ""
    is_count = names[0].startswith(("samples_", "skipped_"))
    return f"{values[-1]:,.0f}" if is_count else f"{values[-1]:.4g}"


def _median(history: TrainingHistory, name: str) -> str:
    _, values = history.series(name)
    finite = values[np.isfinite(values)]
    return f"{np.median(finite):.4f}" if len(finite) else ""


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if math.isfinite(seconds) else ""


def _count(number: int) -> str:
    return f"{number:,}" if number >= 0 else ""
