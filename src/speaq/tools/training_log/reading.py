"""From the files of a run to its history: log.txt, the metrics.json and the results.json beside it."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.tools.training_log.classic import read_classic
from speaq.tools.training_log.history import Evaluation, TrainingHistory
from speaq.tools.training_log.json_lines import read_metrics

LOG, METRICS, RESULTS = "log.txt", "metrics.json", "results.json"
_EXPECTED = (
    "expected the log.txt of a training, with lines such as 'eta: 0:00:41  iter: 19  total_loss: 278.9 ...', "
    'or its metrics.json, with lines such as {"iteration": 19, "total_loss": 278.9}'
)


def read_histories(paths: Sequence[str | Path]) -> list[TrainingHistory]:
    """The histories of several runs, under names that tell them apart.

    Raises:
        SpeaqError: see :func:`read_history`.
    """
    files = list(dict.fromkeys(Path(path) for path in paths))
    return [read_history(path, name) for path, name in zip(files, run_names(files), strict=True)]


def read_history(path: str | Path, name: str | None = None) -> TrainingHistory:
    """The history of a run.

    The metrics.json beside a log.txt has more digits and more figures and goes first; the log.txt adds the
    recalls by predicate and what metrics.json lacks; results.json tells absent predicates from missed ones.

    Args:
        path: a log.txt, whatever its name, a metrics.json, or a folder that holds one of them.
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
    own = _read_file(path, name or run_names([path])[0])
    if path.name not in (LOG, METRICS):
        if not own:
            raise SpeaqError(f"{path}: {_whats_there(path)}; {_EXPECTED}")
        return own
    other_path = path.with_name(METRICS if path.name == LOG else LOG)
    other = _read_file(other_path, own.name) if other_path.is_file() else None
    if not own and not other:
        raise SpeaqError(f"{path}: {_whats_there(path)}; {_EXPECTED}")
    if other is not None:
        own = _join(own, other) if path.name == LOG else _join(other, own)
    _add_results(own, path.with_name(RESULTS))
    return own


def run_names(paths: Sequence[Path]) -> list[str]:
    """The names of the runs' folders, with as many parents as it takes to tell them apart.

    A file that has its own name, such as first.log, gives the name itself.
    """
    parts = []
    for path in paths:
        whole = path.resolve()
        if path.is_dir() or path.name not in (LOG, METRICS):
            parts.append([*whole.parent.parts, whole.name if path.is_dir() else whole.stem])
        else:
            parts.append(list(whole.parent.parts))
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{'/'.join(part[-1:])} {number}" for number, part in enumerate(parts, start=1)]


def _read_file(path: Path, name: str) -> TrainingHistory:
    history = TrainingHistory(name)
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            is_json = _first_character(path) == "{"
            damaged = (read_metrics if is_json else read_classic)(file, history)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror})") from error
    if damaged:
        history.notes.append(f"{path.name}: {damaged} cut or damaged {'line' if damaged == 1 else 'lines'}")
    return history


def _first_character(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.read(1000).lstrip()[:1]


def _whats_there(path: Path) -> str:
    with path.open(encoding="utf-8", errors="backslashreplace") as file:
        lines = [line.strip() for line in file.read(10_000).splitlines() if line.strip()]
    if not lines:
        return "this file is empty"
    start = lines[0][:80].encode("unicode_escape").decode()
    return f"there is no line of a training in this file, which begins with {start!r}"


def _join(log: TrainingHistory, metrics: TrainingHistory) -> TrainingHistory:
    """One history of two: metrics.json wins."""
    joined = TrainingHistory(log.name)
    joined.resumed = log.resumed or metrics.resumed
    joined.notes = [*log.notes, *metrics.notes]
    joined.weighted_terms = log.weighted_terms or metrics.weighted_terms
    main = _main_dataset(log)
    named = {dataset or main: evaluations for dataset, evaluations in metrics.evaluations.items()}
    points = {iteration for evaluations in named.values() for iteration in evaluations}
    points |= {iteration for evaluations in log.evaluations.values() for iteration in evaluations}
    for iteration in sorted({*log.scalars, *metrics.scalars, *points}):
        scalars = log.scalars.get(iteration, {}) | metrics.scalars.get(iteration, {})
        joined.add_scalars(iteration, scalars)
        for source in (log.evaluations, named):
            for dataset, evaluations in source.items():
                if iteration in evaluations:
                    _merge(joined.evaluation(iteration, dataset), evaluations[iteration])
    return joined


def _merge(into: Evaluation, other: Evaluation) -> None:
    into.figures |= other.figures
    if other.predicates:
        into.predicates, into.depth, into.images = other.predicates, other.depth, other.images


def _main_dataset(history: TrainingHistory) -> str:
    """That of most evaluations: metrics.json does not name a data set where there is one alone."""
    counts = Counter({dataset: len(points) for dataset, points in history.evaluations.items()})
    return counts.most_common(1)[0][0] if counts else ""


def _add_results(history: TrainingHistory, path: Path) -> None:
    """Take the recalls by predicate of the last evaluation from results.json, if that is what it holds."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # the log has everything that is needed
    if not isinstance(content, dict) or type(content.get("iteration")) is not int:
        return
    datasets = {name: value for name, value in content.items() if isinstance(value, dict)}
    if len(datasets) == 1 and list(history.evaluations) == [""]:
        history.evaluations = {next(iter(datasets)): history.evaluations[""]}
    for dataset, results in datasets.items():
        evaluation = history.evaluations.get(dataset, {}).get(content["iteration"])
        if evaluation is not None and isinstance(results.get("predicates"), dict):
            _add_predicates(evaluation, results["predicates"])


def _add_predicates(evaluation: Evaluation, predicates: dict[str, Any]) -> None:
    depths = {int(key[2:]) for entry in predicates.values() for key in entry if key.startswith("R@")}
    if not depths:
        return
    depth = max(depths)
    recalls = {name: entry.get(f"R@{depth}") for name, entry in predicates.items()}
    evaluation.depth = depth
    evaluation.predicates = {name: math.nan if value is None else value for name, value in recalls.items()}
    evaluation.images = {name: entry["images"] for name, entry in predicates.items() if "images" in entry}
