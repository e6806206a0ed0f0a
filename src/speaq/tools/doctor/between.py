"""Checks between the data sets of a mix."""

import numpy as np

from speaq.data.findings import Example, Finding, Findings
from speaq.tools.doctor.check import DatasetCheck


def check_between(first: DatasetCheck, second: DatasetCheck, *, limit: int) -> tuple[Finding, ...]:
    """Compare class names, and look for evaluation images that the other set trains on."""
    names = first.source.name, second.source.name
    findings = Findings(limit)
    for kind in ("objects", "predicates"):
        classes, others = getattr(first.dictionary, kind), getattr(second.dictionary, kind)
        if classes is not None and others is not None:
            _compare_classes(kind, names, classes.names, others.names, findings)
    for trained, evaluated in ((first, second), (second, first)):
        _check_leak(trained, evaluated, findings)
    return findings.ordered()


def _compare_classes(
    kind: str, sets: tuple[str, str], names: tuple[str, ...], others: tuple[str, ...], findings: Findings
) -> None:
    first, second = sets
    fields = {"kind": kind, "first": first, "second": second}
    missing = [Example(None, kind, name) for name in names if name not in set(others)]
    extra = [Example(None, kind, name) for name in others if name not in set(names)]
    findings.add("vocabulary-missing", missing, fields=fields)
    findings.add("vocabulary-extra", extra, fields=fields)
    if not missing and not extra:
        differences = [
            Example(None, f"{kind}, number {number}", {first: a, second: b})
            for number, (a, b) in enumerate(zip(names, others, strict=True), start=1)
            if a != b
        ]
        findings.add("vocabulary-order", differences, fields=fields)


def _check_leak(trained: DatasetCheck, evaluated: DatasetCheck, findings: Findings) -> None:
    """Evaluation images of one set whose id the other set has for training."""
    training = set(_ids(trained, [0]))
    same_folder = trained.source.images.resolve() == evaluated.source.images.resolve()
    remark = "" if same_folder else "; the folders of images differ, so these may be other images"
    name = trained.source.name
    examples = [
        Example(image_id, evaluated.source.name, f"trained on in {name}")
        for image_id in _ids(evaluated, [1, 2])
        if image_id in training
    ]
    fields = {"trained": name, "evaluated": evaluated.source.name, "remark": remark}
    findings.add("mix-leak-same-id", examples, severity="error" if same_folder else "warning", fields=fields)


def _ids(check: DatasetCheck, splits: list[int]) -> list[str]:
    """The ids, as text, of the images in these splits."""
    if check.listed is None or check.arrays is None or check.arrays.split is None:
        return []
    rows = np.flatnonzero(np.isin(check.arrays.split, splits)).tolist()
    return [str(check.listed.ids[row]) for row in rows if check.listed.ids[row] is not None]
