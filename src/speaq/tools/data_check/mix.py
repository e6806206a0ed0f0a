"""Checks of every two data sets of a mix."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.findings import Example, Finding, Findings
from speaq.tools.data_check.check import DatasetCheck


def check_mix(checks: Sequence[DatasetCheck], *, limit: int) -> tuple[Finding, ...]:
    """Compare class names, and look for evaluation images that another set trains on."""
    mixed = [check for check in checks if check.source.name != "SYNTHETIC_GENOME"]  # never part of a mix
    found: list[Finding] = []
    for first, second in combinations(mixed, 2):
        findings = Findings(limit)
        for kind in ("objects", "predicates"):
            _compare_classes(kind, first, second, findings)
        for trained, evaluated in ((first, second), (second, first)):
            _check_leak(trained, evaluated, findings)
        found += findings.ordered()
    return tuple(found)


def _compare_classes(kind: str, first: DatasetCheck, second: DatasetCheck, findings: Findings) -> None:
    classes, others = getattr(first.dictionary, kind), getattr(second.dictionary, kind)
    if classes is None or others is None:
        return
    fields: dict[str, Any] = {"kind": kind, "first": first.source.name, "second": second.source.name}
    missing = [Example(None, kind, name) for name in classes.names if name not in set(others.names)]
    extra = [Example(None, kind, name) for name in others.names if name not in set(classes.names)]
    findings.add("vocabulary-missing", missing, **fields)
    findings.add("vocabulary-extra", extra, **fields)
    if not missing and not extra:
        differences = [
            Example(None, f"{kind}, number {number}", {first.source.name: name, second.source.name: other})
            for number, (name, other) in enumerate(zip(classes.names, others.names, strict=True), start=1)
            if name != other
        ]
        findings.add("vocabulary-order", differences, **fields)


def _check_leak(trained: DatasetCheck, evaluated: DatasetCheck, findings: Findings) -> None:
    """Report evaluation images of one set whose id the other set has for training."""
    training, names = set(_ids(trained, [0])), (trained.source.name, evaluated.source.name)
    same_folder = _folders(trained) == _folders(evaluated)
    examples = [
        Example(image_id, names[1], f"training image of {names[0]}")
        for image_id in _ids(evaluated, [1, 2])
        if image_id in training
    ]
    findings.add(
        "mix-leak-same-id",
        examples,
        severity="error" if same_folder else "warning",
        trained=names[0],
        evaluated=names[1],
        remark="" if same_folder else "; the image folders differ, so these may be different images",
    )


def _ids(check: DatasetCheck, splits: list[int]) -> list[str]:
    """The ids, as text, of the images in these splits."""
    if check.listed is None or check.arrays is None or "split" not in check.arrays.values:
        return []
    rows = np.flatnonzero(np.isin(check.arrays.values["split"], splits)).tolist()
    return [str(check.listed.ids[row]) for row in rows if check.listed.ids[row] is not None]


def _folders(check: DatasetCheck) -> set[Path]:
    return {folder.resolve() for folder in check.source.images.folders}
