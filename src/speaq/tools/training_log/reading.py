"""Reads the files of a training: log.txt, metrics.json, results.json, event files of TensorBoard."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from speaq.errors import SpeaqError
from speaq.files import parse_json, regular
from speaq.tools.training_log.history import Collector, Event, Name, TrainingHistory, in_order
from speaq.tools.training_log.log_txt import LogText
from speaq.tools.training_log.names import Metric, parse_name

LOG, METRICS, RESULTS, EVENTS = "log.txt", "metrics.json", "results.json", "events.out.tfevents."
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
        path: a log.txt (by any name), a metrics.json, or a folder that holds one of them or event files of
            TensorBoard; one of several event files stands for all in its folder.
        name: of the run; by default that of its folder.

    Raises:
        SpeaqError: there is no such file, it cannot be read, or it is not the log of a training.
    """
    path = Path(path)
    name = name or run_names([path])[0]
    if path.is_dir():
        found = [*path.glob(LOG), *path.glob(METRICS), *path.glob(f"{EVENTS}*")]
        if not found:
            raise SpeaqError(f"{path}: there is neither {LOG} nor {METRICS} in this folder; {_EXPECTED}")
        path = found[0]
    if not path.is_file():
        raise SpeaqError(f"{path}: no such file; {_EXPECTED}")
    in_run_folder = path.name in (LOG, METRICS)
    files = [path.with_name(LOG), path.with_name(METRICS)] if in_run_folder else [path]
    histories = [_read_file(file, name) for file in files if file.is_file()]
    history = histories[0] if len(histories) == 1 else _join(*histories)
    if not history.columns:
        raise SpeaqError(f"{path}: {_describe_content(path)}; {_EXPECTED}")
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
        is_file = not path.is_dir()
        of_file = [resolved.stem] if is_file and path.name not in (LOG, METRICS) else []
        parts.append([*(resolved.parent if is_file else resolved).parts, *of_file])
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])} {number}" for number, part in enumerate(parts, start=1)]


class MetricsJson:
    """Iterates over the events in the lines of a metrics.json of Detectron2 or of our training.

    ``damaged`` counts lines that were cut off or are no object with an iteration; ``weighted_terms`` is that
    of a `TrainingHistory`.
    """

    def __init__(self, lines: Iterable[str]):
        self.damaged = 0
        self.weighted_terms = False
        self._lines = lines

    def __iter__(self) -> Iterator[Event]:
        for line in filter(str.strip, self._lines):
            if (entry := _parse(line)) is None:
                self.damaged += 1
                # A resumed run continues on the same line. Objects are flat: the last one has no { inside.
                entry = _parse(line[line.rfind("{") :])
            if entry is not None:
                iteration = entry.pop("iteration")
                self.weighted_terms |= "rank_data_time" in entry  # only Detectron2 logs it
                if values := _values(entry):
                    yield iteration, values


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = parse_json(line)
    except ValueError:
        return None
    iteration = entry.get("iteration") if isinstance(entry, dict) else None
    return entry if type(iteration) is int and 0 <= iteration < 2**63 else None


def _values(entry: Mapping[str, Any]) -> dict[Name, float]:
    """The numbers of a line, metrics in 0..1."""
    values = {
        parse_name(name): math.nan if value is None else float(value)
        for name, value in entry.items()
        if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)
    }
    # Detectron2 writes AP in percent; we write it in 0..1 and always together with R@k.
    metrics = [name for name in values if isinstance(name, Metric)]
    ours = {metric.dataset for metric in metrics if metric.kind == "R"}
    for metric in metrics:
        if "@" not in metric.metric and metric.dataset not in ours:
            values[metric] /= 100
    return values


def _tensorboard_events(folder: Path) -> Iterator[Event]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    files = sorted(folder.glob(f"{EVENTS}*"))  # by time
    scalars = (
        (event.step, value.tag, make_ndarray(value.tensor).item())
        for event in chain.from_iterable(EventFileLoader(str(file)).Load() for file in files)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "scalars"
    )
    for iteration, values in groupby(scalars, key=lambda scalar: scalar[0]):
        yield iteration, _values({tag: value for _, tag, value in values})


def _read_file(path: Path, name: str) -> TrainingHistory:
    if path.name.startswith(EVENTS):
        history = Collector().history(name, _tensorboard_events(path.parent))
        history.weighted_terms = "rank_data_time" in history.columns
        return history
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            is_json = file.read(1000).lstrip()[:1] == "{"
            file.seek(0)
            reader = (MetricsJson if is_json else LogText)(file)
            history = Collector().history(name, reader)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror})") from error
    history.weighted_terms = reader.weighted_terms
    if damaged := reader.damaged:
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
    if evaluations := log.datasets():  # metrics.json does not name the data set if it is the only one
        _name_dataset(metrics, max(evaluations, key=lambda dataset: len(evaluations[dataset])))
    columns = dict(log.columns)
    for name, column in metrics.columns.items():
        both = pd.concat([columns[name], column]) if name in columns else column
        columns[name] = both[~both.index.duplicated(keep="last")].sort_index()
    return TrainingHistory(
        log.name,
        in_order(columns),
        np.union1d(log.lines, metrics.lines),
        resumed=log.resumed or metrics.resumed,
        notes=[*log.notes, *metrics.notes],
        weighted_terms=log.weighted_terms or metrics.weighted_terms,
    )


def _name_dataset(history: TrainingHistory, dataset: str) -> None:
    """Name the data set of metrics that do not tell theirs."""
    history.columns = {
        name if isinstance(name, str) or name.dataset else name._replace(dataset=dataset): column
        for name, column in history.columns.items()
    }


def _add_results(history: TrainingHistory, path: Path) -> None:
    """Take the recall of every predicate from results.json, if it belongs to an evaluation in the log."""
    try:
        content = parse_json(regular(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return  # results.json is optional
    if not isinstance(content, dict) or type(iteration := content.get("iteration")) is not int:
        return
    results = {dataset: value for dataset, value in content.items() if isinstance(value, dict)}
    if len(results) == 1 and list(history.datasets()) == [""]:
        _name_dataset(history, next(iter(results)))
    for dataset, evaluated in history.datasets().items():
        predicates = results.get(dataset, {}).get("predicates")
        if iteration in evaluated and isinstance(predicates, dict):
            _set_recalls(history, iteration, dataset, predicates)


def _set_recalls(
    history: TrainingHistory, iteration: int, dataset: str, predicates: dict[str, dict[str, Any]]
) -> None:
    k = max((int(key[2:]) for entry in predicates.values() for key in entry if key[:2] == "R@"), default=0)
    if not k:
        return
    for name in history.metrics:  # recalls in the log have fewer digits, and are 0 of absent predicates
        if name.dataset == dataset and name.predicate is not None:
            column = history.columns[name].drop(iteration, errors="ignore")
            history.columns[name] = column
            if column.empty:
                del history.columns[name]
    recalls = {name: entry.get(f"R@{k}") for name, entry in predicates.items()}
    for predicate, recall in recalls.items():
        name = Metric(dataset, f"recall@{k}", predicate)
        new = pd.Series({iteration: math.nan if recall is None else float(recall)})
        history.columns[name] = pd.concat([history.series(name), new]).sort_index()
    history.columns = in_order(history.columns)
    images = {name: entry["images"] for name, entry in predicates.items() if "images" in entry}
    history.predicate_images[dataset, iteration] = images
