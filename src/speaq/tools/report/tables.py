"""Tables of figures: whole sets, head to tail, predicates, object classes, confusions.

K: depths k, R: predicate classes, C: object classes.
"""

import math
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

import numpy as np

from speaq.evaluation.bootstrap import Interval, recall_figures
from speaq.evaluation.results import RECALL_NAMES
from speaq.tools.report.contents import EvaluatedSet
from speaq.tools.report.markup import Content, element

Intervals = Mapping[str, Interval]

_MEANINGS = {
    "R": "share of an image's relations that its first k predictions hit; mean over images",
    "ng-R": "the same where each pair may get several predicates",
    "mR": "recall of each predicate, then mean over all of them; one that no image has counts 0",
    "F": "of recall and mean recall",
    "zR": "over combinations of subject, predicate and object that training did not show",
    "mR-head": "over the most frequent third of the predicates in training",
    "mR-body": "over the middle third",
    "mR-tail": "over the rarest third",
    "mR-present": "leaves out predicates that no image has",
}
_BOX_NAMES = {
    "AP": "AP",
    "AP50": "AP, IoU 0.50",
    "AP75": "AP, IoU 0.75",
    "APs": "AP, small",
    "APm": "AP, medium",
    "APl": "AP, large",
}
_COMPARED = ("R", "mR", "F", "zR")


def tiles(evaluated: EvaluatedSet, bounds: Intervals) -> Element:
    """The main figures at the largest k, in large type."""
    k, results = evaluated.analysis.ks[-1], evaluated.results
    names = {name: RECALL_NAMES[name] for name in _COMPARED}
    made = [
        _tile(f"{name}@{k}", text, results[f"{name}@{k}"], bounds[f"{name}@{k}"])
        for name, text in names.items()
        if f"{name}@{k}" in results
    ]
    if "AP50" in results:
        made.append(_tile("AP50", "Entity boxes, IoU 0.50", results["AP50"], None))
    return element("div", made, class_="tiles")


def recall_table(evaluated: EvaluatedSet, bounds: Intervals) -> Element:
    """Every recall at every k with its confidence interval."""
    results, ks = evaluated.results, evaluated.analysis.ks
    rows = []
    for name, text in RECALL_NAMES.items():
        if f"{name}@{ks[0]}" in results:
            meaning = element("span", _MEANINGS.get(name, ""), class_="meaning")
            cells = [_figure(results[f"{name}@{k}"], bounds[f"{name}@{k}"]) for k in ks]
            rows.append(element("tr", element("th", text, meaning, scope="row"), cells))
    heads = ["Recall", *(f"k = {k}" for k in ks)]
    return _table("Recalls in percent, with 95 % confidence intervals", heads, rows)


def box_table(evaluated: EvaluatedSet) -> Element:
    """Average precision of entity boxes, as COCO defines it."""
    cells = [_figure(evaluated.results[name], None) for name in _BOX_NAMES]
    return _table("Entity boxes, in percent", list(_BOX_NAMES.values()), [element("tr", cells)])


def comparison_table(sets: Sequence[EvaluatedSet], bounds: Sequence[Intervals]) -> Element:
    """The main figures of all sets at the largest k, and of the sources that a set is mixed from."""
    k = sets[0].analysis.ks[-1]
    rows = []
    for evaluated, interval in zip(sets, bounds, strict=True):
        results, analysis = evaluated.results, evaluated.analysis
        cells = [_figure(results.get(f"{n}@{k}", math.nan), interval[f"{n}@{k}"]) for n in _COMPARED]
        head = element("th", evaluated.name, scope="row")
        rows.append(element("tr", head, _number(len(analysis.image_ids)), cells))
        sources = sorted(set(analysis.sources.tolist()))
        for source in sources if len(sources) > 1 else ():
            selected = analysis.sources == source
            part = recall_figures(analysis, selected)
            head = element("th", f"{evaluated.name}, {source} images", scope="row", class_="part")
            cells = [_figure(part[f"{name}@{k}"], None) for name in _COMPARED]
            rows.append(element("tr", head, _number(int(selected.sum())), cells))
    heads = ["Data set", "Images", *(f"{name}@{k}" for name in _COMPARED)]
    return _table("The evaluated data sets, in percent", heads, rows)


def long_tail_bars(evaluated: EvaluatedSet, bounds: Intervals) -> Element:
    """Mean recall of head, body and tail as bars with confidence intervals."""
    analysis, results = evaluated.analysis, evaluated.results
    shown = [
        f"mR-{group}@{k}" for group, members in analysis.groups.items() if len(members) for k in analysis.ks
    ]
    top = max((bounds[name].high for name in shown if not math.isnan(bounds[name].high)), default=1.0) or 1.0
    rows = []
    for group, members in analysis.groups.items():
        name = [element("b", group), f" {len(members)} predicates"]
        head = [element("th", name, scope="rowgroup", rowspan=len(analysis.ks))]
        for k in analysis.ks if len(members) else ():
            value, interval = results[f"mR-{group}@{k}"], bounds[f"mR-{group}@{k}"]
            places = {"v": value, "lo": interval.low, "hi": interval.high}
            style = "".join(f"--{place}:{100 * _known(at) / top:.2f}%;" for place, at in places.items())
            bar = element("td", element("span", class_="track", style=style), class_="wide")
            cells = [element("td", f"k = {k}"), bar, _figure(value, interval)]
            rows.append(element("tr", head, cells, class_="first" if head else None))
            head = []
    heads = ["Predicates", "Depth", "", "Mean recall"]
    return _table("Mean recall by frequency in training, in percent", heads, rows, class_="bars")


def predicate_table(evaluated: EvaluatedSet, order: np.ndarray) -> Element:
    """Every predicate, to be sorted and searched."""
    analysis, results, names = evaluated.analysis, evaluated.results, evaluated.vocabulary.predicates
    relations = np.bincount(analysis.predicates, minlength=analysis.num_predicates)
    recalls, images = results["per_predicate"].tolist(), results["per_predicate_images"].tolist()
    group_of = {int(i): group for group, members in analysis.groups.items() for i in members}
    found = analysis.localised_shares().tolist()
    precision = _shares(analysis.right, analysis.claims).tolist()
    counts, rows = evaluated.predicate_counts, []
    for index in order.tolist():
        cells = [_number(int(counts[index]))] if counts is not None else []
        cells += [_number(int(relations[index])), _number(int(images[index]))]
        cells += [_bar(value) for value in (*recalls[index], found[index], precision[index])]
        kind = [element("td", group_of.get(index, ""))] if group_of else []
        rows.append(element("tr", element("th", names[index], scope="row"), kind, cells))
    heads = ["Predicate", *(["Group"] if group_of else []), *(["In training"] if counts is not None else [])]
    heads += ["Relations", "Images", *(f"R@{k}" for k in analysis.ks), "Localised", "Precision"]
    return _sortable("Predicates; recalls and precision in percent", heads, rows, what="predicates")


def object_table(evaluated: EvaluatedSet) -> Element:
    """Average precision of every object class, to be sorted and searched."""
    values = evaluated.results["per_class_AP"].tolist()
    rows = [
        element("tr", element("th", name, scope="row"), _bar(value))
        for name, value in zip(evaluated.vocabulary.objects, values, strict=True)
    ]
    return _sortable("Object classes, AP in percent", ["Object class", "AP"], rows, what="object classes")


def confusion_table(evaluated: EvaluatedSet, *, count: int = 12) -> Element:
    """The confusions that happen most often."""
    names, confusion = evaluated.vocabulary.predicates, evaluated.analysis.confusion[:, :-1]
    localised = confusion.sum(axis=1)
    wrong = confusion * (1 - np.eye(len(names), dtype=np.int64))
    shares = _shares(wrong, localised[:, None])
    rows = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:count].tolist():
        true, said = divmod(place, len(names))
        if wrong[true, said]:
            rows.append(
                element(
                    "tr",
                    element("th", names[true], scope="row"),
                    element("td", names[said]),
                    _number(int(wrong[true, said])),
                    _bar(shares[true, said].item()),
                )
            )
    heads = ["Annotated", "Said", "Relations", "Of the predicate's, %"]
    return _table("The most frequent confusions", heads, rows)


def percent(value: float) -> str:
    """A figure in percent with two decimals, a dash where there is none."""
    return "–" if math.isnan(value) else f"{100 * value:.2f}"


def interval_text(interval: Interval) -> str:
    """The ends of an interval in percent with one decimal."""
    return f"{100 * interval.low:.1f} – {100 * interval.high:.1f}"


def _tile(name: str, text: str, value: float, interval: Interval | None) -> Element:
    known = interval is not None and not math.isnan(interval.low)
    return element(
        "div",
        element("span", name, class_="name"),
        element("span", percent(value), class_="figure"),
        element("span", interval_text(interval) if interval and known else "\N{NO-BREAK SPACE}", class_="ci"),
        element("span", text, class_="meaning"),
        class_="tile",
    )


def _figure(value: float, interval: Interval | None) -> Element:
    """A cell with a figure and its interval."""
    parts: list[Content] = [percent(value)]
    if interval is not None and not math.isnan(value) and not math.isnan(interval.low):
        parts.append(element("span", interval_text(interval), class_="ci"))
    return element("td", parts, class_="number")


def _number(value: int) -> Element:
    return element("td", f"{value:,}", class_="number", data_value=value)


def _bar(value: float) -> Element:
    """A cell with a figure in percent on a bar of that length."""
    style = f"--v:{100 * _known(value):.1f}%"
    return element("td", percent(value), class_="number bar", style=style, data_value=_plain(value))


def _plain(value: float) -> float:
    """For sorting: what is not known comes last."""
    return -1.0 if math.isnan(value) else value


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _shares(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Quotients, NaN where there is nothing to share."""
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _table(caption: str, heads: Sequence[Content], rows: Sequence[Element], *, class_: str = "") -> Element:
    """A table; headings stand above their figures, as the first row has them."""
    kinds = [cell.get("class", "").startswith("number") for cell in rows[0]] if rows else []
    made = [
        element("th", head, scope="col", class_="number" if i < len(kinds) and kinds[i] else None)
        for i, head in enumerate(heads)
    ]
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", made)),
        element("tbody", rows),
        class_=class_ or None,
    )
    return element("div", table, class_="scroll", tabindex=0, role="group", aria_label=caption)


def _sortable(caption: str, heads: Sequence[str], rows: Sequence[Element], *, what: str) -> Element:
    buttons = [element("button", head, type="button") for head in heads]
    box = element("input", type="search", placeholder=f"Search {what}", aria_label=f"Search {what}")
    found = element("output", f"{len(rows)} {what}", data_what=what)
    table = _table(caption, buttons, rows, class_="sortable")
    return element("div", element("p", box, " ", found, class_="search"), table, class_="searchable")
