"""The values in the tables of the report; the templates format them.

Shape letters: see `speaq.structures`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from speaq.evaluation.bootstrap import Interval, recalls
from speaq.evaluation.results import RECALL_NAMES
from speaq.tools.report.contents import EvaluatedSet

Intervals = Mapping[str, Interval]

BOX_NAMES = {
    "AP": "AP",
    "AP50": "AP, IoU 0.50",
    "AP75": "AP, IoU 0.75",
    "APs": "AP, small",
    "APm": "AP, medium",
    "APl": "AP, large",
}
COMPARED = ("R", "mR", "F", "zR")
"""The recalls that are compared between data sets and shown in large type."""

_MEANINGS = {
    "R": "share of an image's relations hit by the top k predictions; mean over images",
    "ng-R": "as recall, but each pair may get several predicates",
    "mR": "recall of each predicate, then mean over all predicates; those that no image has count as 0",
    "F": "of recall and mean recall",
    "zR": "over combinations of subject, predicate and object that do not occur in training",
    "mR-head": "over the most frequent third of the predicates in training",
    "mR-body": "over the middle third",
    "mR-tail": "over the rarest third",
    "mR-present": "without predicates that no image has",
}


class Value(NamedTuple):
    """A metric in 0..1, NaN where it is undefined, and its confidence interval."""

    value: float
    interval: Interval | None = None


class Row(NamedTuple):
    """A row of a table."""

    head: str
    values: Sequence[Value]
    note: str = ""
    num_images: int = 0


class Bar(NamedTuple):
    """Mean recall of a group of predicates at a depth."""

    k: int
    value: Value
    style: str
    """Length of the bar and ends of the interval, as CSS variables."""


def main_values(evaluated: EvaluatedSet, bounds: Intervals) -> list[Row]:
    """The main metrics at the largest k."""
    k, results = evaluated.analysis.ks[-1], evaluated.results
    names = [name for name in COMPARED if f"{name}@{k}" in results]
    rows = [Row(f"{n}@{k}", [_recall(results, bounds, f"{n}@{k}")], RECALL_NAMES[n]) for n in names]
    if "AP50" in results:
        rows.append(Row("AP50", [Value(results["AP50"])], "Entity boxes, IoU 0.50"))
    return rows


def recall_rows(evaluated: EvaluatedSet, bounds: Intervals) -> list[Row]:
    """Every recall at every k."""
    results, ks = evaluated.results, evaluated.analysis.ks
    return [
        Row(title, [_recall(results, bounds, f"{name}@{k}") for k in ks], _MEANINGS.get(name, ""))
        for name, title in RECALL_NAMES.items()
        if f"{name}@{ks[0]}" in results
    ]


def comparison_rows(sets: Sequence[EvaluatedSet], bounds: Sequence[Intervals]) -> list[tuple[Row, bool]]:
    """The main recalls of all data sets, each followed by those of its sources if it has several.

    Returns:
        Rows with the number of images, and whether each is a source.
    """
    k = sets[0].analysis.ks[-1]
    rows = []
    for evaluated, interval in zip(sets, bounds, strict=True):
        analysis = evaluated.analysis
        values = [_recall(evaluated.results, interval, f"{name}@{k}") for name in COMPARED]
        rows.append((Row(evaluated.name, values, num_images=len(analysis.image_ids)), False))
        sources = sorted(set(analysis.sources.tolist()))
        for source in sources if len(sources) > 1 else ():
            selected = analysis.sources == source
            found = recalls(analysis, selected)
            values = [Value(found[f"{name}@{k}"]) for name in COMPARED]
            name = f"{evaluated.name}, {source} images"
            rows.append((Row(name, values, num_images=int(selected.sum())), True))
    return rows


def long_tail_bars(evaluated: EvaluatedSet, bounds: Intervals) -> list[tuple[str, int, list[Bar]]]:
    """Name, number of predicates, and mean recall at each depth of head, body and tail, if not empty."""
    analysis, results = evaluated.analysis, evaluated.results
    groups = {group: len(members) for group, members in analysis.groups.items() if len(members)}
    highs = [bounds[f"mR-{group}@{k}"].high for group in groups for k in analysis.ks]
    top = max((high for high in highs if not math.isnan(high)), default=1.0) or 1.0
    bars: dict[str, list[Bar]] = {group: [] for group in groups}
    for group in groups:
        for k in analysis.ks:
            value = _recall(results, bounds, f"mR-{group}@{k}")
            low, high = bounds[f"mR-{group}@{k}"]
            places = {"v": value.value, "lo": low, "hi": high}
            style = "".join(f"--{name}:{100 * np.nan_to_num(at) / top:.2f}%;" for name, at in places.items())
            bars[group].append(Bar(k, value, style))
    return [(group, count, bars[group]) for group, count in groups.items()]


class PredicateRow(NamedTuple):
    """A predicate: its long-tail group, counts, and shares in 0..1 (NaN where undefined)."""

    name: str
    group: str
    counts: Sequence[int]
    shares: Sequence[float]


def predicate_rows(evaluated: EvaluatedSet, order: np.ndarray) -> list[PredicateRow]:
    """Frequency, recalls, localised share and precision of every predicate."""
    analysis, results = evaluated.analysis, evaluated.results
    group_of = {int(i): group for group, members in analysis.groups.items() for i in members}
    relations = np.bincount(analysis.predicates, minlength=analysis.num_predicates)
    training = [] if evaluated.predicate_counts is None else [np.asarray(evaluated.predicate_counts)]
    counts = np.column_stack((*training, relations, results["per_predicate_images"].numpy()))
    precision = shares(analysis.num_correct, analysis.num_localized)
    values = np.column_stack((results["per_predicate"].numpy(), analysis.localized_shares(), precision))
    return [
        PredicateRow(
            evaluated.vocabulary.predicates[i], group_of.get(i, ""), counts[i].tolist(), values[i].tolist()
        )
        for i in order.tolist()
    ]


def confusion_rows(evaluated: EvaluatedSet, *, count: int = 12) -> list[tuple[str, str, int, float]]:
    """The most frequent confusions: annotated and predicted predicate, relations, share of the localised."""
    names, confusion = evaluated.vocabulary.predicates, evaluated.analysis.confusion[:, :-1]
    wrong = confusion * (1 - np.eye(len(names), dtype=np.int64))
    share = shares(wrong, confusion.sum(axis=1)[:, None])
    places = np.argsort(-wrong, axis=None, kind="stable")[:count].tolist()
    pairs = [divmod(place, len(names)) for place in places]
    return [(names[i], names[j], int(wrong[i, j]), share[i, j].item()) for i, j in pairs if wrong[i, j]]


def shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotients, NaN where the denominator is 0."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def percent(value: float) -> str:
    """A share in percent with two decimals, a dash for NaN."""
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def interval_text(interval: Interval | None) -> str:
    """The ends of an interval in percent with one decimal; empty if there is no interval."""
    if interval is None or math.isnan(interval.low):
        return ""
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}"


def _recall(results: Mapping[str, float], bounds: Intervals, name: str) -> Value:
    value = results.get(name, math.nan)
    return Value(value, None if math.isnan(value) else bounds[name])
