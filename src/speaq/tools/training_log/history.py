"""What a training logged, as columns by iteration, and how events of a log are collected into them."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from speaq.tools.training_log.names import Metric, parse_term

MAX_LINES = 50_000
"""Of longer logs, at most this number of evenly spaced lines is kept, with the extremes between them."""
_BLOCK = 1024  # kept lines: the span in which the extremes of every scalar are kept too

Name = str | Metric
Event = tuple[int, dict[Name, float]]
"""Iteration and values. Without values: a process starts to train at that iteration."""


@dataclass
class TrainingHistory:
    """The values of one training.

    Attributes:
        name: of the run, for legends.
        columns: scalars by name and metrics, these in 0..1: the values indexed by iteration, ascending. A
            missing iteration was not logged; NaN and infinity were logged as such.
        lines: iterations of all lines with scalars (N,), also of those that are not kept.
        predicate_images: by data set and iteration, the images that have each predicate, where known.
        resumed: (first replaced iteration, last iteration before) for every time the log goes back.
        notes: problems found in the files, and what is not kept.
        weighted_terms: whether loss terms were logged times their weights, as the published training script
            does, or unweighted.
    """

    name: str
    columns: dict[Name, pd.Series] = field(default_factory=dict)
    lines: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    predicate_images: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    resumed: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    weighted_terms: bool = False

    def table(self, *names: Name) -> pd.DataFrame:
        """Values side by side: one column per name, the iterations that have them all."""
        if names and all(name in self.columns for name in names):
            return pd.concat({str(name): self.columns[name] for name in names}, axis=1, join="inner")
        return pd.DataFrame(columns=[*map(str, names)], index=pd.RangeIndex(0), dtype=np.float64)

    def series(self, *names: Name) -> pd.Series:
        """One value, or the sum of several, indexed by iteration."""
        return self.table(*names).sum(axis=1, skipna=False)

    @property
    def scalars(self) -> list[str]:
        """The names that are no evaluation metrics."""
        return [name for name in self.columns if isinstance(name, str)]

    @property
    def metrics(self) -> list[Metric]:
        """The evaluation metrics."""
        return [name for name in self.columns if isinstance(name, Metric)]

    def datasets(self) -> dict[str, set[int]]:
        """The data sets that were evaluated on, and at which iterations."""
        found: dict[str, set[int]] = {}
        for metric in self.metrics:
            found.setdefault(metric.dataset, set()).update(self.columns[metric].index)
        return found

    def predicate_recalls(self, dataset: str) -> pd.DataFrame:
        """The recall of every predicate by iteration, NaN for those that are not in the data."""
        names = [m for m in self.metrics if m.dataset == dataset and m.predicate is not None]
        if not names:
            return pd.DataFrame()
        return pd.concat({m.predicate: self.columns[m] for m in names}, axis=1).sort_index()

    def sources(self) -> list[str]:
        """The sources of training data whose losses or images were logged, "real" first."""
        terms = [parse_term(name) for name in self.scalars]
        found = [term.source for term in terms if term is not None and term.source is not None]
        found += [name.removeprefix("samples_") for name in self.scalars if name.startswith("samples_")]
        return sorted(dict.fromkeys(found), key=lambda source: source != "real")

    def seconds(self) -> float:
        """Approximate time in training steps: logged seconds per step times steps, evaluations excluded."""
        times = self.series("time")
        if times.empty:
            return float("nan")
        steps = times.index.to_series().diff()
        steps.iloc[0] = np.fmin(steps.median(), times.index[0] + 1)
        return float((times * steps).sum())


def metrics_on(histories: Iterable[TrainingHistory], dataset: str) -> list[Metric]:
    """The metrics of the whole data set in any run: recalls by k, those of boxes, then others."""
    metrics = {metric for history in histories for metric in history.metrics if metric.dataset == dataset}
    return sorted((metric for metric in metrics if metric.predicate is None), key=lambda metric: metric.order)


def in_order(columns: dict[Name, pd.Series]) -> dict[Name, pd.Series]:
    """The columns by their first iteration."""
    return dict(sorted(columns.items(), key=lambda column: column[1].index[0]))


class Collector:
    """Collects the events of a log.

    Where the log goes back to an earlier iteration, because the training was resumed from a checkpoint or
    restarted in the same folder, the values from there on are replaced. Of logs with more than MAX_LINES,
    all evaluations, the last line, and the minimum, maximum and first value that is not finite of every
    scalar in about every fiftieth of the run are kept, and every 2nd, 4th, ... of the other lines.
    """

    def __init__(self):
        self._lines = array("q")
        self._resumed: list[tuple[int, int]] = []
        self._points: dict[Name, tuple[array[int], array[float]]] = {}  # iterations and values
        self._last = -1
        self._started_at: int | None = None

    def history(self, name: str, events: Iterable[Event]) -> TrainingHistory:
        """The history of a run."""
        for iteration, values in events:
            self._add(iteration, values)
        stride = self._thin()
        lines = np.array(self._lines, np.int64)
        history = TrainingHistory(name, in_order(self._columns()), lines, resumed=self._resumed)
        if stride > 1:
            history.notes.append(
                f"of {len(lines):,} lines, one in {stride} is shown, besides the highest and lowest values"
            )
        return history

    def _add(self, iteration: int, values: dict[Name, float]) -> None:
        if not values:
            self._started_at = iteration  # what follows is replaced once the process logs something
            return
        if iteration < self._last:
            self._go_back(iteration if self._started_at is None else min(iteration, self._started_at))
        if iteration != self._last:
            self._started_at = None
        self._last = iteration
        for name, value in values.items():
            if name not in self._points:
                self._points[name] = array("q"), array("d")
            iterations, numbers = self._points[name]
            if iterations and iterations[-1] == iteration:
                numbers[-1] = value
            else:
                iterations.append(iteration)
                numbers.append(value)
        if iteration not in self._lines[-1:] and any(isinstance(name, str) for name in values):
            self._lines.append(iteration)
            if len(self._lines) % MAX_LINES == 0:
                self._thin()

    def _go_back(self, first: int) -> None:
        self._resumed = [resumed for resumed in self._resumed if resumed[0] < first]
        self._resumed.append((first, self._last))
        for iterations, *numbers in ((self._lines,), *self._points.values()):
            kept = bisect_left(iterations, first)
            for values in (iterations, *numbers):
                del values[kept:]
        self._points = {name: points for name, points in self._points.items() if points[0]}

    def _columns(self) -> dict[Name, pd.Series]:
        return {
            name: pd.Series(np.array(numbers), pd.Index(np.array(iterations, np.int64), name="iteration"))
            for name, (iterations, numbers) in self._points.items()
        }

    def _thin(self) -> int:
        lines, stride = np.array(self._lines, np.int64), 1
        while len(lines) > stride * MAX_LINES:
            stride *= 2
        if stride == 1:
            return stride
        scalars = {name: column for name, column in self._columns().items() if isinstance(name, str)}
        kept = [lines[::stride], lines[-1:]]
        for column in scalars.values():
            block = np.searchsorted(lines, column.index) // (stride * _BLOCK)
            finite = np.isfinite(column)
            values = column[finite].groupby(block[finite])
            others = column[~finite].groupby(block[~finite])
            kept += [column.index[[0, -1]], values.idxmin(), values.idxmax(), others.head(1).index]
        iterations = np.unique(np.concatenate(kept))
        for name, column in scalars.items():
            column = column[column.index.isin(iterations)]
            index, numbers = column.index.to_numpy(), column.to_numpy()
            self._points[name] = array("q", index.tobytes()), array("d", numbers.tobytes())
        return stride
