"""What a training logged, by iteration, with the names of metrics.json.

A row holds scalars ("total_loss", "lr") and evaluation metrics in 0..1: "VG_val/SG/R@20", "VG_val/bbox/AP50"
and "VG_val/recall@100/on" (recall of one predicate), without "VG_val/" where the data set is not known.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from speaq.tools.training_log.loss_terms import parse_term

if TYPE_CHECKING:
    import pandas as pd  # imported when a table is asked for: it takes half a second

RECALL_KINDS = ("R", "mR", "zR", "ng-R", "ng-mR", "ng-zR", "F")
"""In the order of tables and figures; mR-head and other kinds come after them."""
BOX_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")

_METRIC = re.compile(r"(?:(?P<dataset>.*)/)?(?:SG|bbox)/(?P<metric>[^/]+)", re.DOTALL)
_PREDICATE = re.compile(r"(?:(?P<dataset>.*?)/)?(?P<metric>recall@\d+)/(?P<predicate>.*)", re.DOTALL)


class Metric(NamedTuple):
    """An evaluation metric: "R@20", "AP50", or "recall@100" of a single predicate.

    ``dataset`` is empty where it is not known; ``predicate`` is None for metrics of the whole data set.
    """

    dataset: str
    metric: str
    predicate: str | None = None

    @property
    def column(self) -> str:
        """Its name in a row."""
        folder = f"{self.dataset}/" if self.dataset else ""
        if self.predicate is not None:
            return f"{folder}{self.metric}/{self.predicate}"
        return f"{folder}{'SG' if '@' in self.metric else 'bbox'}/{self.metric}"


@cache
def parse_metric(column: str) -> Metric | None:
    """The metric that a name in a row stands for, None for a scalar of the training.

    >>> parse_metric("VG_val/SG/R@20")
    Metric(dataset='VG_val', metric='R@20', predicate=None)
    """
    if found := _METRIC.fullmatch(column):
        return Metric(found["dataset"] or "", found["metric"])
    if found := _PREDICATE.fullmatch(column):
        return Metric(found["dataset"] or "", found["metric"], found["predicate"])
    return None


class TrainingHistory:
    """The rows of one training.

    Where a log goes back to an earlier iteration, because the training was resumed from a checkpoint or
    restarted in the same folder, the rows from there on are replaced.

    Args:
        name: of the run, for legends.

    Attributes:
        rows: values by iteration, ascending, then by name.
        predicate_images: by data set and iteration, the images that have each predicate, where known.
        resumed: (first replaced iteration, last iteration before) for every time the log goes back.
        notes: problems found in the files.
        weighted_terms: whether loss terms were logged times their weights, as the published training script
            does, or unweighted.
        last_iteration: the last one with a row, -1 without any.
    """

    def __init__(self, name: str):
        self.name = name
        self.rows: dict[int, dict[str, float]] = {}
        self.predicate_images: dict[tuple[str, int], dict[str, int]] = {}
        self.resumed: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.weighted_terms = False
        self.last_iteration = -1
        self._started_at: int | None = None

    def start(self, iteration: int) -> None:
        """A process starts to train at ``iteration``; later rows are replaced once it logs something."""
        self._started_at = iteration

    def add(self, iteration: int, values: dict[str, float]) -> None:
        """Add values to the row of an iteration."""
        if not values:
            return
        if iteration < self.last_iteration:
            first = iteration if self._started_at is None else min(iteration, self._started_at)
            self.rows = {earlier: row for earlier, row in self.rows.items() if earlier < first}
            self.resumed = [resumed for resumed in self.resumed if resumed[0] < first]
            self.resumed.append((first, self.last_iteration))
        if iteration != self.last_iteration:
            self._started_at = None
        self.last_iteration = iteration
        self.rows.setdefault(iteration, {}).update(values)

    def table(self, *names: str) -> "pd.DataFrame":
        """Values side by side, indexed by iteration: one column per name, the iterations that have them all.

        NaN and infinity are values that were logged as such.
        """
        import pandas as pd

        rows = {i: row for i, row in self.rows.items() if names and all(name in row for name in names)}
        values = np.array([[row[name] for name in names] for row in rows.values()], dtype=np.float64)
        index = pd.Index(list(rows), dtype=np.int64, name="iteration")
        return pd.DataFrame(values.reshape(len(rows), len(names)), index=index, columns=list(names))

    def series(self, *names: str) -> "pd.Series":
        """One value, or the sum of several, indexed by iteration."""
        return self.table(*names).sum(axis=1, skipna=False)

    def evaluations(self, dataset: str, metric: str) -> "pd.Series":
        """A metric on a data set where it is a number, indexed by iteration."""
        series = self.series(Metric(dataset, metric).column)
        return series[np.isfinite(series)]

    def columns(self) -> list[str]:
        """The names in all rows, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows.values() for name in row))

    def scalars(self) -> list[str]:
        """The names that are no evaluation metrics."""
        return [name for name in self.columns() if parse_metric(name) is None]

    def metrics(self) -> list[Metric]:
        """The evaluation metrics."""
        return [metric for name in self.columns() if (metric := parse_metric(name)) is not None]

    def datasets(self) -> list[str]:
        """The data sets that were evaluated on."""
        return list(dict.fromkeys(metric.dataset for metric in self.metrics()))

    def predicate_recalls(self, dataset: str) -> dict[int, dict[str, float]]:
        """By iteration, the recall of every predicate, NaN for those that are not in the data."""
        columns = {
            m.column: m.predicate for m in self.metrics() if m.dataset == dataset and m.predicate is not None
        }
        recalls = {
            i: {columns[name]: v for name, v in row.items() if name in columns}
            for i, row in self.rows.items()
        }
        return {iteration: found for iteration, found in recalls.items() if found}

    def sources(self) -> list[str]:
        """The sources of training data whose losses or images were logged, "real" first."""
        terms = [parse_term(name) for name in self.scalars()]
        found = [term.source for term in terms if term is not None and term.source is not None]
        found += [name.removeprefix("samples_") for name in self.scalars() if name.startswith("samples_")]
        return sorted(dict.fromkeys(found), key=lambda source: source != "real")

    def seconds(self) -> float:
        """Approximate time in training steps: logged seconds per step times steps, evaluations excluded."""
        times = self.series("time")
        if times.empty:
            return float("nan")
        iterations = times.index.to_series()
        steps = iterations.diff()
        steps.iloc[0] = np.fmin(steps.median(), iterations.iloc[0] + 1)
        return float((times * steps).sum())


def metric_names(histories: Iterable[TrainingHistory], dataset: str) -> list[str]:
    """Metrics of the whole data set in any run: kinds of recall by k, then those of boxes, then others."""
    found = {m.metric for h in histories for m in h.metrics() if m.dataset == dataset and m.predicate is None}
    return sorted(found, key=_metric_order)


def split_metric(metric: str) -> tuple[str, int]:
    """Kind and k: ("mR", 100) for "mR@100"; k is 0 for a metric without one."""
    kind, _, k = metric.partition("@")
    return kind, int(k) if k.isdecimal() else 0


def _metric_order(metric: str) -> tuple[int, int, str, int]:
    kind, k = split_metric(metric)
    if kind in BOX_METRICS:
        return 2, BOX_METRICS.index(kind), "", 0
    main = kind in RECALL_KINDS
    return (0, RECALL_KINDS.index(kind), "", k) if main else (1 if k else 3, 0, kind, k)
