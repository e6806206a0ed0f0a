"""What does not fit between the data sets of a mix."""

import numpy as np

from speaq.tools.doctor.dataset import DatasetCheck
from speaq.tools.doctor.duplicates import SPLITS
from speaq.tools.doctor.findings import Example, Finding, Findings

_ONE_VOCABULARY = "One model learns both: give both sets the same class names with the same numbers."


def check_between(first: DatasetCheck, second: DatasetCheck, *, limit: int) -> tuple[Finding, ...]:
    """Compare class names, and look for images for evaluation that the other set trains on."""
    sets = first.source.name, second.source.name
    findings = Findings(limit)
    for kind in ("objects", "predicates"):
        classes, others = getattr(first.dictionary, kind), getattr(second.dictionary, kind)
        if classes is not None and others is not None:
            _compare_names(kind, sets, classes.names, others.names, findings)
    for trained, evaluated in ((first, second), (second, first)):
        _check_leak(trained, evaluated, findings)
    return findings.ordered()


def _compare_names(
    kind: str, sets: tuple[str, str], names: tuple[str, ...], others: tuple[str, ...], findings: Findings
) -> None:
    first, second = sets
    missing = [name for name in names if name not in set(others)]
    extra = [name for name in others if name not in set(names)]
    for code, found, what in (
        ("vocabulary-missing", missing, f"{second} lacks {kind} that {first} has."),
        ("vocabulary-extra", extra, f"{second} has {kind} that {first} lacks."),
    ):
        findings.add(
            "error", code, what, _ONE_VOCABULARY, examples=[Example(None, kind, name) for name in found]
        )
    if not missing and not extra:
        findings.add(
            "error",
            "vocabulary-order",
            f"The {kind} of {first} and {second} have different numbers.",
            _ONE_VOCABULARY,
            examples=[
                Example(None, f"{kind}, number {number}", {first: a, second: b})
                for number, (a, b) in enumerate(zip(names, others, strict=True), start=1)
                if a != b
            ],
        )


def _check_leak(trained: DatasetCheck, evaluated: DatasetCheck, findings: Findings) -> None:
    """Images for evaluation in one set whose id the other set has for training."""
    training = set(_ids(trained, [0]))
    same_folder = trained.source.images.resolve() == evaluated.source.images.resolve()
    findings.add(
        "error" if same_folder else "warning",
        "mix-leak-same-id",
        f"{trained.source.name} trains on ids that {evaluated.source.name} has for {' or '.join(SPLITS[1:])}"
        + ("." if same_folder else "; the folders of images differ, so these may be other images."),
        "What is evaluated on must not be trained on: leave the images out of one of the two.",
        examples=[
            Example(name, evaluated.source.name, f"trained on in {trained.source.name}")
            for name in _ids(evaluated, [1, 2])
            if name in training
        ],
    )


def _ids(check: DatasetCheck, splits: list[int]) -> list[str]:
    """The ids, as text, of the images in these splits."""
    if check.listed is None or check.arrays is None or check.arrays.split is None:
        return []
    rows = np.flatnonzero(np.isin(check.arrays.split, splits)).tolist()
    return [str(check.listed.ids[row]) for row in rows if check.listed.ids[row] is not None]
