"""Render the page: its sections in order, in one file with style sheet and script.

Shape letters: see `speaq.structures`; G query groups.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from speaq.evaluation.bootstrap import intervals
from speaq.files import replacing
from speaq.tools.report import charts, tables
from speaq.tools.report.contents import EvaluatedSet, Report
from speaq.tools.report.examples import draw_example


def write_report(path: str | Path, report: Report) -> None:
    """Write the page. It needs no other file and no network.

    Args:
        path: the HTML file.
        report: its content.

    Raises:
        SpeaqError: the file cannot be written.
    """
    bounds = [intervals(evaluated.analysis) for evaluated in report.sets]
    sources = {source for evaluated in report.sets for source in evaluated.analysis.sources.tolist()}
    several = len(report.sets) > 1 or len(sources) > 1
    page = (
        environment()
        .get_template("page.html")
        .render(
            report=report,
            comparison=tables.comparison_rows(report.sets, bounds) if several else [],
            sets=[_set_context(report, *each) for each in zip(report.sets, bounds, strict=True)],
            assignment=charts.assignment_lines(report.assignment) if report.assignment else None,
        )
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


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
        "length_percent": lambda value: f"{100 * np.nan_to_num(value):.1f}%",
        "opacity": charts.opacity,
        "shorten": charts.shorten,
    }
    made.globals |= {
        "BOX_NAMES": tables.BOX_NAMES,
        "COMPARED": tables.COMPARED,
        "recall_names": lambda ks: [f"R@{k}" for k in ks],
    }
    return made


def _set_context(report: Report, evaluated: EvaluatedSet, bounds: tables.Intervals) -> dict[str, Any]:
    """The variables of the templates for a data set."""
    analysis, results, order = evaluated.analysis, evaluated.results, _order(evaluated)
    return {
        "evaluated": evaluated,
        "k": analysis.ks[-1],
        "facts": {
            "Images": f"{results['images']:,}",
            "with relations": f"{results['images_with_relations']:,}",
            "Relations": f"{len(analysis.predicates):,}",
            "Classes": f"{len(evaluated.vocabulary.objects)} objects, {analysis.num_predicates} predicates",
            **evaluated.facts,
        },
        "main_values": tables.main_values(evaluated, bounds),
        "recalls": tables.recall_rows(evaluated, bounds),
        "long_tail": tables.long_tail_bars(evaluated, bounds),
        "predicates": tables.predicate_rows(evaluated, order),
        "num_localized": int((analysis.predicted_predicates < analysis.num_predicates).sum()),
        "confusion": _confusion_heatmap(evaluated, order),
        "confusions": tables.confusion_rows(evaluated),
        "histogram": charts.recall_histogram(analysis.image_recalls()[0, -1], analysis.ks[-1]),
        "examples": {
            title: [(example, draw_example(example)) for example in examples]
            for title, examples in (("Best", evaluated.best), ("Worst", evaluated.worst))
        },
        "queries": _query_context(report, evaluated, order) if analysis.query_uses.any() else None,
        "objects": list(
            zip(evaluated.vocabulary.objects, results["per_class_AP"].tolist(), strict=True)
            if "AP" in results
            else ()
        ),
    }


def _confusion_heatmap(evaluated: EvaluatedSet, order: np.ndarray) -> charts.Heatmap:
    names = [evaluated.vocabulary.predicates[i] for i in order]
    counts = evaluated.analysis.confusion[np.ix_(order, order)]
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    return charts.Heatmap(
        shares=shares,
        rows=names,
        columns=names,
        tips=[
            [
                f"annotated {true}, predicted {name}: {counts[i, j]:,} of {totals[i]:,} ({shares[i, j]:.1%})"
                for j, name in enumerate(names)
            ]
            for i, true in enumerate(names)
        ],
        titles=("annotated", "predicted"),
        label="Confusion of predicates; the most frequent confusions are in the table below",
        correct=np.eye(len(names), dtype=bool),
        kinds=("correct", "confused"),
    )


def _query_context(report: Report, evaluated: EvaluatedSet, order: np.ndarray) -> dict[str, Any]:
    """Use of the queries, and of the groups of queries by predicate where queries are grouped."""
    analysis, group_of_query = evaluated.analysis, np.asarray(report.group_of_query, np.int64)
    count = max(len(group_of_query), len(analysis.query_uses), len(analysis.query_hits))
    uses, hits = (
        np.pad(table, ((0, count - len(table)), (0, 0)))
        for table in (analysis.query_uses, analysis.query_hits)
    )
    per_query = uses.sum(axis=1)
    context = {
        "count": count,
        "unused": int((per_query == 0).sum()),
        "top_tenth": np.sort(per_query)[::-1][: max(count // 10, 1)].sum() / per_query.sum(),
        "bars": charts.query_bars(
            per_query / max(len(analysis.image_ids), 1), report.group_of_query, analysis.ks[-1]
        ),
        "groups": [],
        "heatmaps": {},
    }
    if len(group_of_query):
        groups = np.pad(group_of_query, (0, count - len(group_of_query)), "edge")
        names = [f"group {group + 1}" for group in range(int(groups.max()) + 1)]
        context["groups"] = names
        titles = {f"among the top {analysis.ks[-1]}": uses, "that hit a ground-truth relation": hits}
        context["heatmaps"] = {
            title: _group_heatmap(report, evaluated, table, groups, names, order)
            for title, table in titles.items()
        }
    return context


def _group_heatmap(
    report: Report,
    evaluated: EvaluatedSet,
    table: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
) -> charts.Heatmap:
    """For each predicate, the shares of the query groups in its relations, from counts (P, R)."""
    counts = np.stack([table[groups == group].sum(axis=0) for group in range(len(names))])[:, order]
    totals = counts.sum(axis=0)
    shares = counts / np.maximum(totals, 1)
    predicates = [evaluated.vocabulary.predicates[i] for i in order]
    own = None
    if len(report.group_of_predicate):
        own = np.asarray(report.group_of_predicate)[order] == np.arange(len(names))[:, None]
    return charts.Heatmap(
        shares=shares,
        rows=names,
        columns=predicates,
        tips=[
            [
                f"{predicate} from {name}: {counts[i, j]:,} of {totals[j]:,} ({shares[i, j]:.1%})"
                for j, predicate in enumerate(predicates)
            ]
            for i, name in enumerate(names)
        ],
        titles=("queries", "predicate"),
        label="Share of each predicate's relations by group of queries",
        correct=own,
        kinds=("its own group", "other groups") if own is not None else ("share", ""),
    )


def _order(evaluated: EvaluatedSet) -> np.ndarray:
    """Predicates by descending frequency, in training if known, else in the ground truth."""
    counts = evaluated.predicate_counts
    if counts is None:
        counts = np.bincount(evaluated.analysis.predicates, minlength=evaluated.analysis.num_predicates)
    return np.argsort(-np.asarray(counts), kind="stable")
