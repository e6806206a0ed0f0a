"""What the log of a training says, in whatever form it was written.

N: logged points.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from speaq.tools.training_log.terms import parse_term

SCENE_GRAPH_FIGURES = ("R", "mR", "zR", "ng-R", "ng-mR", "ng-zR", "F")
"""Kinds of recall, in the order of tables and pictures; mR-head and the like come after them."""
BOX_FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")

Series = tuple[np.ndarray, np.ndarray]
"""(N,) iterations, ascending, and (N,) values; a value that was logged but is not finite stays as it is."""


@dataclass(slots=True)
class Evaluation:
    """One evaluation on one data set.

    Attributes:
        figures: ``R@20``, ``mR@100``, ``AP50``, ... in 0..1.
        predicates: recall of every predicate in 0..1, NaN where it is known to be absent from the data.
        depth: the k of these recalls, 0 where there are none.
        images: images that have the predicate, where known.
    """

    figures: dict[str, float] = field(default_factory=dict)
    predicates: dict[str, float] = field(default_factory=dict)
    depth: int = 0
    images: dict[str, int] = field(default_factory=dict)


class TrainingHistory:
    """Scalars by iteration, and evaluations by data set and iteration.

    Where a log goes back, because a training was resumed from a checkpoint or started anew in the same
    folder, what was logged from there on is superseded and forgotten.

    Args:
        name: of the run, for legends.

    Attributes:
        scalars: by iteration, ascending, then by name.
        evaluations: by data set (empty where the log does not name it), then by iteration, ascending.
        resumed: where the log goes back: to which iteration, and how far it had come before.
        notes: what was wrong with the files.
        weighted_terms: whether the loss terms were logged times their weights, as the published training
            script does, and not bare.
    """

    def __init__(self, name: str):
        self.name = name
        self.scalars: dict[int, dict[str, float]] = {}
        self.evaluations: dict[str, dict[int, Evaluation]] = {}
        self.resumed: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self.weighted_terms = False
        self._latest = -1
        self._starts_at: int | None = None

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.scalars or self.evaluations)

    def start(self, iteration: int) -> None:
        """A process begins to train at ``iteration``; what it supersedes goes when it logs something."""
        self._starts_at = iteration

    def add_scalars(self, iteration: int, values: dict[str, float]) -> None:
        """Take in a logged line."""
        self._reach(iteration)
        if values:
            self.scalars.setdefault(iteration, {}).update(values)

    def evaluation(self, iteration: int, dataset: str = "") -> Evaluation:
        """The evaluation on ``dataset`` at ``iteration``, new where there was none."""
        self._reach(iteration)
        return self.evaluations.setdefault(dataset, {}).setdefault(iteration, Evaluation())

    def _reach(self, iteration: int) -> None:
        if iteration < self._latest:
            first = iteration if self._starts_at is None else min(iteration, self._starts_at)
            self._forget(first)
            self.resumed = [resumed for resumed in self.resumed if resumed[0] < first]
            self.resumed.append((first, self._latest))
        if iteration != self._latest:
            self._starts_at = None
        self._latest = iteration

    def _forget(self, first: int) -> None:
        for iteration in [iteration for iteration in self.scalars if iteration >= first]:
            del self.scalars[iteration]
        for dataset, evaluations in list(self.evaluations.items()):
            kept = {iteration: value for iteration, value in evaluations.items() if iteration < first}
            if kept:
                self.evaluations[dataset] = kept
            else:
                del self.evaluations[dataset]

    @property
    def iterations(self) -> np.ndarray:
        """(N,) those that have scalars."""
        return np.fromiter(self.scalars, dtype=np.int64, count=len(self.scalars))

    @property
    def last_iteration(self) -> int:
        """The last one that anything was logged for, -1 where nothing was."""
        return self._latest

    def names(self) -> list[str]:
        """Of all scalars, in the order of their first appearance."""
        return list(dict.fromkeys(name for values in self.scalars.values() for name in values))

    def table(self, *names: str) -> Series:
        """Scalars side by side: (N,) iterations that have them all, and (N, number of names) values."""
        rows = {i: row for i, row in self.scalars.items() if names and all(name in row for name in names)}
        values = np.array([[row[name] for name in names] for row in rows.values()], dtype=np.float64)
        return np.array(list(rows), dtype=np.int64), values.reshape(len(rows), len(names))

    def series(self, *names: str) -> Series:
        """A scalar, or the sum of several."""
        iterations, values = self.table(*names)
        return iterations, values.sum(axis=1)

    def figure_series(self, dataset: str, figure: str) -> Series:
        """A figure of the evaluations on ``dataset``, where it is a number."""
        points = [
            (iteration, evaluation.figures[figure])
            for iteration, evaluation in self.evaluations.get(dataset, {}).items()
            if np.isfinite(evaluation.figures.get(figure, np.nan))
        ]
        return np.array([i for i, _ in points], dtype=np.int64), np.array([value for _, value in points])

    def sources(self) -> list[str]:
        """Sources of data whose losses or images were logged, "real" first."""
        found: dict[str, None] = {}
        for name in self.names():
            term = parse_term(name)
            if term is not None and term.source is not None:
                found[term.source] = None
            elif name.startswith("samples_"):
                found[name.removeprefix("samples_")] = None
        return sorted(found, key=lambda source: source != "real")

    @property
    def seconds(self) -> float:
        """Time spent in steps, about: logged seconds per step times steps. Evaluations are not in it."""
        iterations, times = self.series("time")
        if not len(iterations):
            return float("nan")
        gaps = np.diff(iterations)
        period = float(np.median(gaps)) if len(gaps) else float(iterations[0] + 1)
        steps = np.diff(iterations, prepend=iterations[0] - min(period, iterations[0] + 1))
        return float(np.nansum(steps * times))


def figure_names(histories: Iterable[TrainingHistory], dataset: str) -> list[str]:
    """Figures of any evaluation on ``dataset``: kinds of recall by depth, then boxes, then others."""
    evaluations = [found for history in histories for found in history.evaluations.get(dataset, {}).values()]
    return sorted({name for evaluation in evaluations for name in evaluation.figures}, key=_figure_order)


def split_figure(figure: str) -> tuple[str, int]:
    """Kind and depth: ``mR@100`` is ("mR", 100); of a figure without depth it is 0."""
    kind, _, depth = figure.partition("@")
    return kind, int(depth) if depth.isdecimal() else 0


def _figure_order(figure: str) -> tuple[int, int, str, int]:
    kind, depth = split_figure(figure)
    if kind in BOX_FIGURES:
        return 2, BOX_FIGURES.index(kind), "", 0
    main = kind in SCENE_GRAPH_FIGURES
    return (0, SCENE_GRAPH_FIGURES.index(kind), "", depth) if main else (1 if depth else 3, 0, kind, depth)
