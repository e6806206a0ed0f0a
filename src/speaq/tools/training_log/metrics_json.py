"""Reads ``metrics.json``: one JSON object per line, as Detectron2 and our training write it."""

import math
import re
from collections.abc import Iterable
from typing import Any

from speaq.files import parse_json
from speaq.tools.training_log.history import TrainingHistory, parse_metric

_DETECTRON2_KINDS = {"SGRecall": "R", "SGMeanRecall": "mR", "SGZeroShotRecall": "zR"}


def read_metrics(lines: Iterable[str], history: TrainingHistory) -> int:
    """Add the lines of a metrics.json to ``history``; returns how many were damaged by killed runs."""
    damaged = 0
    for line in lines:
        if not line.strip():
            continue
        entry = _parse(line)
        if entry is None:
            damaged += 1
            # A resumed run continues on the same line. Objects are flat: the last one has no { inside.
            entry = _parse(line[line.rfind("{") :])
        if entry is not None:
            _add(entry, history)
    return damaged


def canonical_metric(name: str) -> str:
    """Our name of a metric: ``mR@20`` for ``SGMeanRecall@20``."""
    kind, at, k = name.partition("@")
    return _DETECTRON2_KINDS.get(kind, kind) + at + k


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = parse_json(line)
    except ValueError:
        return None
    iteration = entry.get("iteration") if isinstance(entry, dict) else None
    return entry if type(iteration) is int and 0 <= iteration < 2**63 else None


def _add(entry: dict[str, Any], history: TrainingHistory) -> None:
    iteration = entry.pop("iteration")
    if "rank_data_time" in entry:  # only Detectron2 logs it
        history.weighted_terms = True
    numbers = {
        name: value
        for name, value in entry.items()
        if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    }
    metrics = {name: metric for name in numbers if (metric := parse_metric(name)) is not None}
    # Detectron2 writes AP in percent; we write it in 0..1 and always together with R@k.
    ours = {metric.dataset for metric in metrics.values() if re.match(r"R@\d", metric.metric)}
    values = {}
    for name, value in numbers.items():
        number = math.nan if value is None else float(value)
        if (metric := metrics.get(name)) is not None:
            if "@" not in metric.metric and metric.dataset not in ours:
                number /= 100
            name = metric._replace(metric=canonical_metric(metric.metric)).column
        values[name] = number
    history.add(iteration, values)
