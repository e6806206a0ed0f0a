"""Reads the files of a training: log.txt, and the metrics.json and results.json beside it."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.files import parse_json, regular
from speaq.tools.training_log.history import Metric, TrainingHistory, parse_metric
from speaq.tools.training_log.log_txt import read_log
from speaq.tools.training_log.metrics_json import read_metrics

LOG, METRICS, RESULTS = "log.txt", "metrics.json", "results.json"
_EXPECTED = (
    "expected the log.txt of a training, with lines such as 'eta: 0:00:41  iter: 19  total_loss: 278.9 ...', "
    'or its metrics.json, with lines such as {"iteration": 19, "total_loss": 278.9}'
)


def read_histories(paths: Sequence[str | Path]) -> list[TrainingHistory]:
    """The histories of several runs, with names that are unique.

    Raises:
        SpeaqError: see :func:`read_history`.
    """
    files = list(dict.fromkeys(Path(path) for path in paths))
    return [read_history(path, name) for path, name in zip(files, run_names(files), strict=True)]


def read_history(path: str | Path, name: str | None = None) -> TrainingHistory:
    """The history of one run.

    The metrics.json beside a log.txt has more digits and more values, and takes precedence. The log.txt adds
    the recall of every predicate and what metrics.json lacks; results.json tells which predicates are absent
    from the data.

    Args:
        path: a log.txt (by any name), a metrics.json, or a folder that holds one of them.
        name: of the run; by default that of its folder.

    Raises:
        SpeaqError: there is no such file, it cannot be read, or it is not the log of a training.
    """
    path = Path(path)
    if path.is_dir():
        found = [path / file for file in (LOG, METRICS) if (path / file).is_file()]
        if not found:
            raise SpeaqError(f"{path}: there is neither {LOG} nor {METRICS} in this folder; {_EXPECTED}")
        path = found[0]
    if not path.is_file():
        raise SpeaqError(f"{path}: no such file; {_EXPECTED}")
    name = name or run_names([path])[0]
    in_run_folder = path.name in (LOG, METRICS)
    files = [path.with_name(LOG), path.with_name(METRICS)] if in_run_folder else [path]
    histories = [_read_file(file, name) for file in files if file.is_file()]
    if not any(history.rows for history in histories):
        raise SpeaqError(f"{path}: {_describe_content(path)}; {_EXPECTED}")
    history = histories[0] if len(histories) == 1 else _join(*histories)
    if in_run_folder:
        _add_results(history, path.with_name(RESULTS))
    return history


def run_names(paths: Sequence[Path]) -> list[str]:
    """Unique names of runs: their folders, with as many parents as needed.

    A file with another name than log.txt or metrics.json, such as first.log, gives its own name.
    """
    parts = []
    for path in paths:
        resolved = path.resolve()
        if path.is_dir() or path.name not in (LOG, METRICS):
            parts.append([*resolved.parent.parts, resolved.name if path.is_dir() else resolved.stem])
        else:
            parts.append(list(resolved.parent.parts))
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])} {number}" for number, part in enumerate(parts, start=1)]


def _read_file(path: Path, name: str) -> TrainingHistory:
    history = TrainingHistory(name)
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            is_json = file.read(1000).lstrip()[:1] == "{"
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            damaged = (read_metrics if is_json else read_log)(file, history)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror})") from error
    if damaged:
        history.notes.append(f"{path.name}: {damaged} cut or damaged {'line' if damaged == 1 else 'lines'}")
    return history


def _describe_content(path: Path) -> str:
    with path.open(encoding="utf-8", errors="backslashreplace") as file:
        lines = [line.strip() for line in file.read(10_000).splitlines() if line.strip()]
    if not lines:
        return "this file is empty"
    start = lines[0][:80].encode("unicode_escape").decode()
    return f"there is no line of a training in this file, which begins with {start!r}"


def _join(log: TrainingHistory, metrics: TrainingHistory) -> TrainingHistory:
    """One history of both files of a run; where both have a value, that of metrics.json is kept."""
    joined = TrainingHistory(log.name)
    joined.resumed = log.resumed or metrics.resumed
    joined.notes = [*log.notes, *metrics.notes]
    joined.weighted_terms = log.weighted_terms or metrics.weighted_terms
    evaluations = Counter(dataset for row in log.rows.values() for dataset in _datasets_of(row))
    if evaluations:  # metrics.json does not name the data set if it is the only one
        _name_dataset(metrics, evaluations.most_common(1)[0][0])
    for iteration in sorted({*log.rows, *metrics.rows}):
        joined.add(iteration, log.rows.get(iteration, {}) | metrics.rows.get(iteration, {}))
    return joined


def _datasets_of(row: dict[str, float]) -> list[str]:
    metrics = map(parse_metric, row)
    return list(dict.fromkeys(metric.dataset for metric in metrics if metric is not None))


def _name_dataset(history: TrainingHistory, dataset: str) -> None:
    """Name the data set of metrics that do not tell theirs."""

    def renamed(column: str) -> str:
        metric = parse_metric(column)
        return column if metric is None or metric.dataset else metric._replace(dataset=dataset).column

    history.rows = {i: {renamed(name): v for name, v in row.items()} for i, row in history.rows.items()}


def _add_results(history: TrainingHistory, path: Path) -> None:
    """Take the recall of every predicate from results.json, if it belongs to an evaluation in the log."""
    try:
        content = parse_json(regular(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return  # results.json is optional
    if not isinstance(content, dict) or type(content.get("iteration")) is not int:
        return
    iteration = content["iteration"]
    datasets = {name: value for name, value in content.items() if isinstance(value, dict)}
    if len(datasets) == 1 and history.datasets() == [""]:
        _name_dataset(history, next(iter(datasets)))
    for dataset, results in datasets.items():
        is_evaluated = dataset in _datasets_of(history.rows.get(iteration, {}))
        if is_evaluated and isinstance(results.get("predicates"), dict):
            _add_predicates(history, iteration, dataset, results["predicates"])


def _add_predicates(
    history: TrainingHistory, iteration: int, dataset: str, predicates: dict[str, dict[str, Any]]
) -> None:
    ks = {int(key[2:]) for entry in predicates.values() for key in entry if key.startswith("R@")}
    if not ks:
        return
    row, k = history.rows[iteration], max(ks)
    for column in list(row):  # of the log: with fewer digits, and absent predicates have a recall of 0
        metric = parse_metric(column)
        if metric is not None and metric.dataset == dataset and metric.predicate is not None:
            del row[column]
    for name, entry in predicates.items():
        value = entry.get(f"R@{k}")
        row[Metric(dataset, f"recall@{k}", name).column] = math.nan if value is None else value
    images = {name: entry["images"] for name, entry in predicates.items() if "images" in entry}
    history.predicate_images[dataset, iteration] = images
