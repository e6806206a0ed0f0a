"""The results of an evaluation as log lines, tables for the terminal, and a dictionary for JSON.

``results`` is the dictionary of `SceneGraphMetrics.compute`, merged with that of `DetectionAP.compute` where
boxes were evaluated. All metrics in it are in 0..1, NaN where no image contributes.

Shape letters: see `speaq.structures`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group, OverflowMethod, RenderableType
from rich.table import Column, Table

from speaq.structures import Vocabulary

_LOG_TYPES = {
    "R": "Recall(Main)",
    "ng-R": "No Graph Constraint Recall(Main)",
    "zR": "Zero Shot Recall",
    "ng-zR": "No Graph Constraint Zero Shot Recall",
    "mR": "Mean Recall",
    "ng-mR": "No Graph Constraint Mean Recall",
    "F": "Harmonic Mean of Recall and Mean Recall",
}
RECALL_NAMES = {
    "R": "Recall",
    "ng-R": "Recall, no graph constraint",
    "mR": "Mean recall",
    "ng-mR": "Mean recall, no graph constraint",
    "F": "Harmonic mean of R and mR",
    "zR": "Zero-shot recall",
    "ng-zR": "Zero-shot recall, no graph constraint",
    "mR-head": "Mean recall, head",
    "mR-body": "Mean recall, body",
    "mR-tail": "Mean recall, tail",
    "mR-present": "Mean recall, predicates that occur",
}
ADDITIONAL_NAMES = {
    "pooled-R": "Recall over the relations of all images",
    "ng-pooled-R": "Recall over the relations of all images, no graph constraint",
    "pair-R": "Recall, each pair once",
    "relative-R": "Recall at multiples of the number of relations",
    "precision": "Precision from this triplet score",
    "ECE": "Calibration error of triplet scores",
    "wmAP_rel": "Open Images weighted mAP, relations",
    "wmAP_phr": "Open Images weighted mAP, phrases",
    "score_wtd": "Open Images weighted score",
}
BOX_NAMES = {
    "AP": "AP",
    "AP50": "AP, IoU 0.50",
    "AP75": "AP, IoU 0.75",
    "APs": "AP, small",
    "APm": "AP, medium",
    "APl": "AP, large",
}


def classic_lines(results: Mapping[str, Any], predicate_names: Sequence[str]) -> list[str]:
    """The ``SGG eval:`` log lines of Scene-Graph-Benchmark, exactly, for scripts that parse them.

    One line per kind of recall; mean recall is followed by the recall of every predicate at the largest k,
    with 0 for predicates absent from the ground truth (the tables show n/a for them).
    """
    ks = _depths(results)
    lines = []
    for name, kind in _LOG_TYPES.items():
        if f"{name}@{ks[0]}" not in results:
            continue
        values = "".join(f"{name:>5} @ {k}: {results[f'{name}@{k}']:.4f}; " for k in ks)
        lines.append(f"SGG eval: {values} for mode={results['mode']}, type={kind}.")
        if name.endswith("mR"):
            recalls = results[f"{name.removesuffix('mR')}per_predicate"][:, -1].nan_to_num(0.0).tolist()
            pairs = zip(predicate_names, recalls, strict=True)
            lines.append("----------------------- Details ------------------------")
            lines.append(" ".join(f"({predicate}:{recall:.4f})" for predicate, recall in pairs))
            lines.append("--------------------------------------------------------")
    return lines


def copypaste_lines(results: Mapping[str, Any]) -> list[str]:
    """The ``copypaste:`` log lines of detectron2: box AP in percent, then recalls in 0..1, four decimals."""
    tasks = {}
    if "AP" in results:
        tasks["bbox"] = {name: 100 * results[name] for name in BOX_NAMES}
    ks = _depths(results)
    tasks["SG"] = {f"SGMeanRecall@{k}": results[f"mR@{k}"] for k in ks} | {
        f"SGRecall@{k}": results[f"R@{k}"] for k in ks
    }
    lines = []
    for task, values in tasks.items():
        lines.append(f"copypaste: Task: {task}")
        lines.append(f"copypaste: {','.join(values)}")
        lines.append(f"copypaste: {','.join(f'{value:.4f}' for value in values.values())}")
    return lines


def results_table(results: Mapping[str, Any]) -> RenderableType:
    """Recalls by k and box AP, in percent, for a rich console."""
    ks = _depths(results)
    caption = f"Images: {results['images']}, with relations: {results['images_with_relations']}"
    if "long_tail" in results:
        caption += f"\nHead, body, tail: {long_tail_text(results['long_tail'])}"
    title = f"Scene graphs ({task_text(results['mode'], results['convention'])}, %)"
    recall = Table("", *numeric(f"@{k}" for k in ks), title=title, caption=caption)
    for name, text in RECALL_NAMES.items():
        if f"{name}@{ks[0]}" in results:
            recall.add_row(text, *(percent(results[f"{name}@{k}"]) for k in ks))
    tables: list[RenderableType] = [recall]
    if more := additional(results):
        table = Table("", *numeric([""]), title="Additional metrics (%)")
        for name, value in more.items():
            table.add_row(additional_title(name), percent(value))
        tables.append(table)
    if "AP" in results:
        boxes = Table(*numeric(BOX_NAMES), title="Entity boxes (COCO, %)")
        boxes.add_row(*(percent(results[name]) for name in BOX_NAMES))
        tables.append(boxes)
    return Group(*tables)


def numeric(headings: Iterable[RenderableType], *, overflow: OverflowMethod = "ellipsis") -> list[Column]:
    """Columns of numbers in a table."""
    return [Column(heading, justify="right", overflow=overflow) for heading in headings]


def task_text(mode: str, convention: str) -> str:
    """The task, such as "sgdet", with the convention of the evaluation unless it is that of this library."""
    return mode if convention == "speaq" else f"{mode}, convention {convention}"


def additional(results: Mapping[str, Any]) -> dict[str, float]:
    """The values of `AdditionalMetrics` among the results."""
    return {name: value for name, value in results.items() if name.partition("@")[0] in ADDITIONAL_NAMES}


def additional_title(name: str) -> str:
    """The title of an additional metric, such as "Recall, each pair once @20"."""
    kind, at, depth = name.partition("@")
    return f"{ADDITIONAL_NAMES[kind]}{f' {at}{depth}' if at else ''}"


def long_tail_text(long_tail: Mapping[str, Any]) -> str:
    """How the predicates are split and the sizes of the groups, such as "thirds (16, 17, 17 predicates)"."""
    sizes = ", ".join(str(len(members)) for name, members in long_tail.items() if name != "split")
    return f"{long_tail['split']} ({sizes} predicates)"


def predicate_table(
    results: Mapping[str, Any],
    predicate_names: Sequence[str],
    *,
    predicate_counts: np.ndarray | None = None,
) -> Table:
    """The recall of every predicate, in percent, for a rich console.

    ``predicate_counts`` (R,), training relations per predicate, add a column by which rows are sorted.
    """
    order, headings = np.arange(len(predicate_names)), ["images", *(f"R@{k}" for k in _depths(results))]
    if predicate_counts is not None:
        order = np.argsort(-np.asarray(predicate_counts), kind="stable")
        headings.insert(0, "in training")
    table = Table("predicate", *numeric(headings), title="Recall by predicate (%)")
    recalls, images = results["per_predicate"].tolist(), results["per_predicate_images"].tolist()
    for index in order.tolist():
        training = [] if predicate_counts is None else [str(int(predicate_counts[index]))]
        values = (percent(value) for value in recalls[index])
        table.add_row(predicate_names[index], *training, str(images[index]), *values)
    return table


def results_dict(results: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """The results in plain Python types, ready for JSON: NaN becomes None.

    ``mode``, ``convention``; ``images``, ``images_with_relations``, ``images_with_zero_shot``; ``long_tail``,
    how predicates are split, and the names in each group; ``scene_graph``, the recalls by name;
    ``additional``, the chosen additional metrics; ``predicates``, by name ``images`` and the recalls ``R@k``
    and ``ng-R@k``; and if boxes were evaluated, ``boxes`` with the COCO metrics and ``objects``, the AP by
    name.
    """
    ks, more = _depths(results), additional(results)
    images = results["per_predicate_images"].tolist()
    content: dict[str, Any] = {
        "mode": results["mode"],
        "convention": results["convention"],
        **{name: value for name, value in results.items() if name.startswith("images")},
        "scene_graph": {
            name: _plain(value) for name, value in results.items() if "@" in name and name not in more
        },
        "predicates": {name: {"images": n} for name, n in zip(vocabulary.predicates, images, strict=True)},
    }
    if more:
        content["additional"] = {name: _plain(value) for name, value in more.items()}
    if "long_tail" in results:
        content["long_tail"] = {
            name: value if name == "split" else [vocabulary.predicates[index] for index in value]
            for name, value in results["long_tail"].items()
        }
    for prefix in ("", "ng-"):
        table = results[f"{prefix}per_predicate"].tolist()
        for entry, recalls in zip(content["predicates"].values(), table, strict=True):
            entry |= {f"{prefix}R@{k}": _plain(value) for k, value in zip(ks, recalls, strict=True)}
    if "AP" in results:
        content["boxes"] = {name: _plain(results[name]) for name in BOX_NAMES}
        per_class = results["per_class_AP"].tolist()
        content["objects"] = {
            name: _plain(value) for name, value in zip(vocabulary.objects, per_class, strict=True)
        }
    return content


def _depths(results: Mapping[str, Any]) -> list[int]:
    return [int(name.removeprefix("R@")) for name in results if name.startswith("R@")]


def percent(value: float) -> str:
    """A share in percent with two decimals, "n/a" for NaN."""
    return "n/a" if math.isnan(value) else f"{100 * value:.2f}"


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value
