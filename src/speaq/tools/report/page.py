"""The page: its sections in order, in one file with its style and its script.

K: depths k, R: predicate classes, P: predicate queries, G: query groups.
"""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from xml.etree.ElementTree import Element

import numpy as np

from speaq.evaluation.bootstrap import intervals
from speaq.files import replacing
from speaq.tools.report import tables
from speaq.tools.report.charts import copies_lines, query_bars, recall_histogram
from speaq.tools.report.contents import EvaluatedSet, Report
from speaq.tools.report.heatmap import heatmap
from speaq.tools.report.markup import Content, element, html
from speaq.tools.report.pictures import figure


def write_report(path: str | Path, report: Report) -> None:
    """Write the page. It needs no other file and no network.

    Args:
        path: the HTML file.
        report: what to show.

    Raises:
        SpeaqError: the file cannot be written.
    """
    parts = files("speaq.tools.report")
    page = Template(parts.joinpath("page.html").read_text()).substitute(
        title=html(element("title", report.title)),
        style=parts.joinpath("style.css").read_text(),
        script=parts.joinpath("page.js").read_text(),
        body="\n".join(html(section) for section in _body(report)),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _body(report: Report) -> list[Element]:
    bounds = [intervals(evaluated.analysis) for evaluated in report.sets]
    body = [element("header", element("h1", report.title), _facts(report.facts))]
    sources = {source for evaluated in report.sets for source in evaluated.analysis.sources.tolist()}
    if len(report.sets) > 1 or len(sources) > 1:
        title = "Data sets side by side" if len(report.sets) > 1 else "By source of the images"
        body.append(_section(title, tables.comparison_table(report.sets, bounds)))
    for evaluated, interval in zip(report.sets, bounds, strict=True):
        sections = _set_sections(report, evaluated, interval)
        if len(report.sets) > 1:
            for section in sections[1:]:
                section[0].text = f"{section[0].text}, {evaluated.name}"
        body += sections
    if report.assignment is not None:
        text = (
            "How many queries answer for one annotated relation in training, in the mean, by decoder layer."
        )
        history = report.assignment
        legend = _group_legend([f"layer {layer + 1}" for layer in range(len(history.copies))])
        body.append(_section("Multi-assignment", element("p", text), copies_lines(history), legend))
    links = []
    for number, section in enumerate(body[1:], start=1):
        section.set("id", f"part{number}")
        links.append(element("a", section[0].text or "", href=f"#part{number}"))
    return [body[0], element("nav", links, aria_label="Contents"), *body[1:], _notes()]


def _set_sections(report: Report, evaluated: EvaluatedSet, bounds: tables.Intervals) -> list[Element]:
    results, analysis = evaluated.results, evaluated.analysis
    k, order = analysis.ks[-1], _order(evaluated)
    numbers = {
        "Images": f"{results['images']:,}",
        "with relations": f"{results['images_with_relations']:,}",
        "Relations": f"{len(analysis.predicates):,}",
        "Classes": f"{len(evaluated.vocabulary.objects)} objects, {analysis.num_predicates} predicates",
    }
    boxes = [tables.box_table(evaluated)] if "AP" in results else []
    sections = [
        element(
            "section",
            element("h2", evaluated.name, class_="set"),
            _facts(numbers | dict(evaluated.facts)),
            tables.tiles(evaluated, bounds),
            tables.recall_table(evaluated, bounds),
            boxes,
        )
    ]
    if analysis.groups:
        bars = tables.long_tail_bars(evaluated, bounds)
        sections.append(_section("Head, body and tail", bars))
    sections.append(
        _section(
            "Predicates",
            _text(
                f"Localised: relations of which a prediction among the first {k} has both classes and boxes "
                "right, whatever predicate it says. Precision: of such predictions of the predicate, those "
                "that name it right; what is said about pairs that nobody annotated is left out. Click a "
                "heading to sort."
            ),
            tables.predicate_table(evaluated, order),
        )
    )
    sections.append(_confusions(evaluated, order))
    sections.append(_images(evaluated))
    if analysis.query_uses.any():
        sections.append(_queries(report, evaluated, order))
    if "AP" in results:
        sections.append(_section("Object classes", tables.object_table(evaluated)))
    return sections


def _confusions(evaluated: EvaluatedSet, order: np.ndarray) -> Element:
    analysis = evaluated.analysis
    names = [evaluated.vocabulary.predicates[i] for i in order]
    counts = analysis.confusion[np.ix_(order, order)]
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    tips = [
        [
            f"annotated {true}, said {said}: {counts[i, j]:,} of {totals[i]:,} ({shares[i, j]:.1%})"
            for j, said in enumerate(names)
        ]
        for i, true in enumerate(names)
    ]
    drawing = heatmap(
        shares,
        rows=names,
        columns=names,
        tips=tips,
        titles=("annotated", "said"),
        label="Confusion of predicates; the most frequent confusions are in the table below",
        right=np.eye(len(names), dtype=bool),
        kinds=("right", "confused"),
    )
    text = (
        f"Of the {len(analysis.predicates):,} annotated relations, {totals.sum():,} are localised: what does "
        "the best prediction about such a pair say? Each row is an annotated predicate and adds up to 100 %; "
        f"the order is by frequency{' in training' if evaluated.predicate_counts is not None else ''}."
    )
    return _section("Which predicate is said", _text(text), drawing, tables.confusion_table(evaluated))


def _images(evaluated: EvaluatedSet) -> Element:
    analysis = evaluated.analysis
    parts: list[Content] = [recall_histogram(analysis.image_recalls()[0, -1], analysis.ks[-1])]
    for title, examples in (("Best", evaluated.best), ("Worst", evaluated.worst)):
        if examples:
            parts.append(element("h3", f"{title} images by recall"))
            parts += [figure(example, analysis.ks) for example in examples]
    return _section("Images", *parts)


def _queries(report: Report, evaluated: EvaluatedSet, order: np.ndarray) -> Element:
    analysis = evaluated.analysis
    k, images = analysis.ks[-1], max(len(analysis.image_ids), 1)
    num_queries = max(len(report.group_of_query), len(analysis.query_uses), len(analysis.query_hits))
    uses, hits = (
        np.pad(table, ((0, num_queries - len(table)), (0, 0)))
        for table in (analysis.query_uses, analysis.query_hits)
    )
    per_query = uses.sum(axis=1)
    ranked = np.sort(per_query)[::-1]
    tenth = ranked[: max(num_queries // 10, 1)].sum() / ranked.sum()
    text = (
        f"Of {num_queries} predicate queries, {int((per_query == 0).sum())} are never behind one of the "
        f"first {k} relations of an image; the busiest tenth is behind {tenth:.0%} of them."
    )
    parts: list[Content] = [_text(text), query_bars(per_query / images, report.group_of_query, k)]
    if len(report.group_of_query):
        groups = np.pad(
            np.asarray(report.group_of_query), (0, num_queries - len(report.group_of_query)), "edge"
        )
        names = [f"group {group + 1}" for group in range(int(groups.max()) + 1)]
        parts.append(_group_legend(names))
        for title, table in ((f"among the first {k}", uses), ("that hit a true relation", hits)):
            parts.append(element("h3", f"Which group says which predicate: relations {title}"))
            parts.append(_group_heatmap(report, evaluated, table, groups, names, order))
    return _section("Queries", *parts)


def _group_heatmap(
    report: Report,
    evaluated: EvaluatedSet,
    table: np.ndarray,
    groups: np.ndarray,
    names: Sequence[str],
    order: np.ndarray,
) -> Element:
    """For each predicate, from which group of queries its relations (P, R) are."""
    counts = np.stack([table[groups == group].sum(axis=0) for group in range(len(names))])[:, order]
    totals = counts.sum(axis=0)
    shares = counts / np.maximum(totals, 1)
    predicates = [evaluated.vocabulary.predicates[i] for i in order]
    tips = [
        [
            f"{predicate} from {name}: {counts[i, j]:,} of {totals[j]:,} ({shares[i, j]:.1%})"
            for j, predicate in enumerate(predicates)
        ]
        for i, name in enumerate(names)
    ]
    right = None
    if len(report.group_of_predicate):
        right = np.asarray(report.group_of_predicate)[order] == np.arange(len(names))[:, None]
    return heatmap(
        shares,
        rows=names,
        columns=predicates,
        tips=tips,
        titles=("queries", "predicate"),
        label="Share of each predicate's relations by group of queries",
        right=right,
        kinds=("its own group", "other groups") if right is not None else ("share", ""),
    )


def _order(evaluated: EvaluatedSet) -> np.ndarray:
    """Predicates by falling frequency, in training where that is known, else in the ground truth."""
    counts = evaluated.predicate_counts
    if counts is None:
        counts = np.bincount(evaluated.analysis.predicates, minlength=evaluated.analysis.num_predicates)
    return np.argsort(-np.asarray(counts), kind="stable")


def _notes() -> Element:
    return element(
        "footer",
        _text(
            "A prediction hits a true relation when the classes of subject and object and the predicate "
            "agree and both boxes overlap theirs with an IoU of at least the threshold (0.5 unless set "
            "otherwise). Recalls are means over the images that have relations. Intervals are 95 % "
            "percentile bootstrap intervals over images (1,000 draws): they say how much a figure owes to "
            "the choice of images, not to the seed of a training."
        ),
    )


def _facts(facts: Mapping[str, str]) -> Element:
    return element(
        "dl", [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()]
    )


def _group_legend(names: Sequence[str]) -> Element:
    parts = [element("span", element("i", class_=f"g{i % 6}"), name) for i, name in enumerate(names)]
    return element("p", parts, class_="legend")


def _section(title: str, *content: Content) -> Element:
    return element("section", element("h2", title), *content)


def _text(text: str) -> Element:
    return element("p", text, class_="text")
