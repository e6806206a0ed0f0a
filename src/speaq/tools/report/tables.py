"""The values in the tables of the report; the templates format them.

Shape letters: see `speaq.structures`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from speaq.evaluation.analysis import Analysis
from speaq.evaluation.bootstrap import Interval, recalls
from speaq.evaluation.results import additional, additional_title
from speaq.tools.report.contents import EvaluatedSet

COMPARED = ("R", "mR", "F", "zR")
"""The recalls that are compared between data sets and shown in large type."""

MEANINGS = {
    "R": "share of an image's relations hit by the top k predictions; mean over images",
    "ng-R": "as recall, but each pair may get several predicates",
    "mR": "recall of each predicate, then mean over all predicates; those that no image has count as 0",
    "F": "of recall and mean recall",
    "zR": "over combinations of subject, predicate and object that do not occur in training",
    "mR-head": "over the most frequent predicates in training",
    "mR-body": "over those between head and tail",
    "mR-tail": "over the rarest predicates in training",
    "mR-present": "without predicates that no image has",
}


def recalls_by_source(analysis: Analysis) -> dict[str, tuple[int, dict[str, Any]]]:
    """Number of images and recalls of each source of the images; empty if they have only one."""
    sources = sorted(set(analysis.sources.tolist()))
    return {
        source: (int((analysis.sources == source).sum()), recalls(analysis, analysis.sources == source))
        for source in (sources if len(sources) > 1 else ())
    }


def predicate_table(evaluated: EvaluatedSet, order: np.ndarray) -> pd.DataFrame:
    """Long-tail group, frequency, recalls, localised share and precision of every predicate."""
    analysis, results = evaluated.analysis, evaluated.results
    table = pd.DataFrame({"Predicate": evaluated.vocabulary.predicates})
    if analysis.groups:
        group_of = {int(i): group for group, members in analysis.groups.items() for i in members}
        table["Group"] = [group_of.get(i, "") for i in table.index]
    if evaluated.predicate_counts is not None:
        table["In training"] = np.asarray(evaluated.predicate_counts)
    table["Relations"] = np.bincount(analysis.predicates, minlength=analysis.num_predicates)
    table["Images"] = results["per_predicate_images"].numpy()
    table[[f"R@{k}" for k in analysis.ks]] = results["per_predicate"].numpy()
    table["Localised"] = analysis.localized_shares()
    table["Precision"] = shares(analysis.num_correct, analysis.num_localized)
    return table.iloc[order]


def confusion_table(evaluated: EvaluatedSet, *, count: int = 12) -> pd.DataFrame:
    """The most frequent confusions, and their share of the localised relations of the predicate."""
    names, confusion = np.array(evaluated.vocabulary.predicates), evaluated.analysis.confusion[:, :-1]
    wrong = confusion * (1 - np.eye(len(names), dtype=np.int64))
    rows, columns = np.divmod(np.argsort(-wrong, axis=None, kind="stable")[:count], len(names))
    table = pd.DataFrame(
        {
            "Annotated": names[rows],
            "Predicted": names[columns],
            "Relations": wrong[rows, columns],
            "Share of the predicate, %": shares(wrong, confusion.sum(axis=1)[:, None])[rows, columns],
        }
    )
    return table[table["Relations"] > 0]


def additional_table(evaluated: EvaluatedSet) -> pd.DataFrame:
    """The additional metrics, if there are any."""
    values = additional(evaluated.results)
    return pd.DataFrame({"Metric": map(additional_title, values), "Value": values.values()})


def object_table(evaluated: EvaluatedSet) -> pd.DataFrame:
    """The AP of every object class."""
    ap = evaluated.results["per_class_AP"].numpy()
    return pd.DataFrame({"Object class": evaluated.vocabulary.objects, "AP": ap})


def long_tail_end(evaluated: EvaluatedSet, bounds: Mapping[str, Interval]) -> float:
    """The largest end of the intervals of head, body and tail, up to which their bars are drawn."""
    groups, ks = evaluated.analysis.groups, evaluated.analysis.ks
    ends = [bounds[f"mR-{group}@{k}"].high for group in groups for k in ks]
    return float(np.nan_to_num(ends).max(initial=0)) or 1.0


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
