"""Render the page: its sections in order, in one file with style sheet and script.

Shape letters: see `speaq.structures`; G query groups.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from speaq.errors import printable
from speaq.evaluation.bootstrap import intervals
from speaq.evaluation.results import BOX_NAMES, RECALL_NAMES, long_tail_text
from speaq.files import replacing
from speaq.tools.report import charts, tables
from speaq.tools.report.contents import EvaluatedSet, Report
from speaq.tools.report.examples import draw_example


def write_report(path: str | Path, report: Report) -> None:
    """Write the page to an HTML file. It needs no other file and no network.

    Raises:
        SpeaqError: the file cannot be written.
    """
    template = environment().get_template("page.html")
    page = template.render(
        report=report,
        sets=[_set_context(report, evaluated) for evaluated in report.sets],
        assignment=charts.assignment_lines(report.assignment) if report.assignment is not None else None,
    )
    with replacing(path) as temporary:
        temporary.write_text(printable(page), encoding="utf-8")


def environment() -> Environment:
    """The templates of the report. Names of classes, files and data sets are escaped in all of them."""
    made = Environment(
        loader=PackageLoader("speaq.tools.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters |= {
        "percent": tables.percent,
        "interval": tables.interval_text,
        "sort_value": lambda value: -1 if math.isnan(value) else f"{value:.5g}",  # undefined values come last
        "length_percent": lambda share: f"{100 * np.nan_to_num(share):.2f}%",
        "opacity": charts.opacity,
    }
    made.globals |= {
        "BOX_NAMES": BOX_NAMES,
        "COMPARED": tables.COMPARED,
        "RECALL_NAMES": RECALL_NAMES,
        "MEANINGS": tables.MEANINGS,
        "long_tail_text": long_tail_text,
        "nan": math.nan,
    }
    return made


def _set_context(report: Report, evaluated: EvaluatedSet) -> dict[str, Any]:
    """The variables of the templates for a data set."""
    analysis, results, order = evaluated.analysis, evaluated.results, _order(evaluated)
    bounds = intervals(analysis)
    return {
        "evaluated": evaluated,
        "intervals": bounds,
        "by_source": tables.recalls_by_source(analysis),
        "k": analysis.ks[-1],
        "facts": {
            "Images": f"{results['images']:,}",
            "with relations": f"{results['images_with_relations']:,}",
            "Relations": f"{len(analysis.predicates):,}",
            "Classes": f"{len(evaluated.vocabulary.objects)} objects, {analysis.num_predicates} predicates",
        },
        "long_tail_end": tables.long_tail_end(evaluated, bounds),
        "predicates": tables.predicate_table(evaluated, order),
        "num_localized": int((analysis.predicted_predicates < analysis.num_predicates).sum()),
        "confusion": _confusion_heatmap(evaluated, order),
        "confusions": tables.confusion_table(evaluated),
        "histogram": charts.recall_histogram(analysis.image_recalls()[0, -1], analysis.ks[-1]),
        "examples": {
            title: [(example, draw_example(example)) for example in examples]
            for title, examples in (("Best", evaluated.best), ("Worst", evaluated.worst))
        },
        "additional": tables.additional_table(evaluated),
        "curve": charts.curve_lines(evaluated.curve, analysis.ks[-1]) if evaluated.curve else None,
        "queries": _query_context(report, evaluated, order) if analysis.query_uses.any() else None,
        "objects": tables.object_table(evaluated) if "AP" in results else None,
    }


def _order(evaluated: EvaluatedSet) -> np.ndarray:
    """Predicates by descending frequency, in training if known, else in the ground truth."""
    counts = evaluated.predicate_counts
    if counts is None:
        counts = np.bincount(evaluated.analysis.predicates, minlength=evaluated.analysis.num_predicates)
    return np.argsort(-np.asarray(counts), kind="stable")


def _confusion_heatmap(evaluated: EvaluatedSet, order: np.ndarray) -> charts.Heatmap:
    names = [evaluated.vocabulary.predicates[i] for i in order]
    return charts.Heatmap(
        counts=evaluated.analysis.confusion[np.ix_(order, order)],
        axis=1,
        rows=names,
        columns=names,
        titles=("annotated", "predicted"),
        tip="annotated {row}, predicted {column}",
        label="Confusion of predicates; the most frequent confusions are in the table below",
        correct=np.eye(len(names), dtype=bool),
        kinds=("correct", "confused"),
    )


def _query_context(report: Report, evaluated: EvaluatedSet, order: np.ndarray) -> dict[str, Any]:
    """Use of the queries, and of the groups of queries by predicate where queries are grouped."""
    analysis, k, group_of_query = evaluated.analysis, evaluated.analysis.ks[-1], report.group_of_query
    count = max(len(group_of_query), len(analysis.query_uses))
    per_query = np.zeros(count)
    per_query[: len(analysis.query_uses)] = analysis.query_uses.sum(axis=1)
    heatmaps = {}
    if len(group_of_query):
        heatmaps = {
            f"among the top {k}": _group_heatmap(report, evaluated, analysis.query_uses, order),
            "that hit a ground-truth relation": _group_heatmap(report, evaluated, analysis.query_hits, order),
        }
    return {
        "count": count,
        "unused": int((per_query == 0).sum()),
        "top_tenth": np.sort(per_query)[::-1][: max(count // 10, 1)].sum() / per_query.sum(),
        "bars": charts.query_bars(per_query / max(len(analysis.image_ids), 1), group_of_query, k),
        "heatmaps": heatmaps,
    }


def _group_heatmap(
    report: Report, evaluated: EvaluatedSet, table: np.ndarray, order: np.ndarray
) -> charts.Heatmap:
    """For each predicate, the shares of the query groups in its relations, from counts (P, R)."""
    group_of_query = np.asarray(report.group_of_query)
    groups = np.arange(group_of_query.max() + 1)[:, None]
    last = len(group_of_query) - 1  # queries beyond those of the model are in the last group
    members = group_of_query[np.minimum(np.arange(len(table)), last)] == groups
    counts = members @ table[:, order]
    own, kinds = np.ones(counts.shape, bool), ["share"]
    if len(report.group_of_predicate):
        own, kinds = np.asarray(report.group_of_predicate)[order] == groups, ["its own group", "other groups"]
    return charts.Heatmap(
        counts=counts,
        axis=0,
        rows=[f"group {group + 1}" for group in groups.ravel()],
        columns=[evaluated.vocabulary.predicates[i] for i in order],
        titles=("queries", "predicate"),
        tip="{column} from {row}",
        label="Share of each predicate's relations by group of queries",
        correct=own,
        kinds=kinds,
    )
