"""``metrics.json``: a JSON object per line, of Detectron2 and of our trainings."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from speaq.tools.training_log.history import TrainingHistory

_TASKS = ("SG", "bbox")
_DETECTRON2_FIGURES = {"SGRecall": "R", "SGMeanRecall": "mR", "SGZeroShotRecall": "zR"}


def read_metrics(lines: Iterable[str], history: TrainingHistory) -> int:
    """Add the lines of a metrics.json to ``history``.

    Args:
        lines: of the file.
        history: what is taken in.

    Returns:
        How many lines were damaged, as a run leaves them that was killed while it wrote.
    """
    damaged = 0
    for line in lines:
        if not line.strip():
            continue
        entry = _parse(line)
        if entry is None:
            damaged += 1
            # A resumed run writes on right behind a cut line. Objects are flat: the last one has no { inside.
            entry = _parse(line[line.rfind("{") :])
        if entry is not None:
            _add(entry, history)
    return damaged


def canonical_figure(name: str) -> str:
    """Our name of a figure: ``SGMeanRecall@20`` is ``mR@20``."""
    kind, at, depth = name.partition("@")
    return _DETECTRON2_FIGURES.get(kind, kind) + at + depth


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    iteration = entry.get("iteration") if isinstance(entry, dict) else None
    return entry if type(iteration) is int and iteration >= 0 else None


def _add(entry: dict[str, Any], history: TrainingHistory) -> None:
    iteration = entry.pop("iteration")
    scalars: dict[str, float] = {}
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, value in entry.items():
        if value is not None and not isinstance(value, int | float):
            continue
        number = math.nan if value is None else float(value)
        dataset, task, figure = _split(name)
        if task:
            figures.setdefault(dataset, {}).setdefault(task, {})[figure] = number
        else:
            scalars[name] = number
    history.add_scalars(iteration, scalars)
    if "rank_data_time" in scalars:
        history.weighted_terms = True
    for dataset, tasks in figures.items():
        found = history.evaluation(iteration, dataset).figures
        recalls = tasks.get("SG", {})
        found |= {canonical_figure(name): value for name, value in recalls.items()}
        # Detectron2 writes AP in percent, we write it in 0..1 and always along with R@k.
        ours = any(re.match(r"R@\d", name) for name in recalls)
        found |= {name: value if ours else value / 100 for name, value in tasks.get("bbox", {}).items()}


def _split(name: str) -> tuple[str, str, str]:
    """Data set, task and figure of ``VG_val/SG/R@20``; no task where it is a scalar of the training."""
    *dataset, task, figure = ["", *name.split("/")]
    if task not in _TASKS:
        return "", "", name
    return "/".join(dataset).removeprefix("/"), task, figure
