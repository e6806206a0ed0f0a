"""All numbers of a training's log in one table, to be plotted with other tools."""

import csv
from collections.abc import Sequence
from pathlib import Path

from speaq.files import replacing
from speaq.tools.training_log.history import TrainingHistory


def write_table(histories: Sequence[TrainingHistory], path: Path) -> None:
    """Write a CSV file: a row for every run and iteration, a column for every quantity.

    Columns are named as in metrics.json, with the data set in front of evaluations where it is known:
    ``VG_val/SG/R@20``, ``VG_val/bbox/AP50`` (both in 0..1), ``VG_val/recall@100/on`` for a predicate. What
    was not logged is empty; what was logged and is not finite reads nan or inf.

    Raises:
        SpeaqError: the file cannot be written.
    """
    rows = [(history, iteration, row) for history in histories for iteration, row in _rows(history).items()]
    columns = list(dict.fromkeys(name for _, _, row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", "iteration", *columns])
        for history, iteration, row in rows:
            writer.writerow([history.name, iteration, *(row.get(name, "") for name in columns)])


def _rows(history: TrainingHistory) -> dict[int, dict[str, float]]:
    rows = {iteration: dict(values) for iteration, values in history.scalars.items()}
    for dataset, evaluations in history.evaluations.items():
        before = f"{dataset}/" if dataset else ""
        for iteration, evaluation in evaluations.items():
            row = rows.setdefault(iteration, {})
            for name, value in evaluation.figures.items():
                row[f"{before}{'SG' if '@' in name else 'bbox'}/{name}"] = value
            for name, value in evaluation.predicates.items():
                row[f"{before}recall@{evaluation.depth}/{name}"] = value
    return dict(sorted(rows.items()))
