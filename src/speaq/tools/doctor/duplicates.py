"""Checks for images that occur twice, and for evaluation images that are also trained on.

I: images.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from speaq.data.findings import Example, Findings
from speaq.data.visual_genome import SPLITS


def surplus(keys: Sequence[Hashable | None], split: np.ndarray) -> np.ndarray:
    """Which images (I,) bool to leave out so that every key occurs once; None is never a duplicate.

    One of the test split stays, else one of the validation split, else the first.
    """
    out = np.zeros(len(keys), dtype=bool)
    for rows in _groups(keys):
        kept = max(rows, key=lambda row: split[row])  # the first of the last split
        out[[row for row in rows if row != kept]] = True
    return out


def check_duplicates(
    ids: Sequence[str | None], contents: Sequence[bytes | None], split: np.ndarray, findings: Findings
) -> None:
    """Report images with the same id and, where files were opened, with the same content.

    Args:
        ids: of I images; None: not to be compared.
        contents: of I files; None: not to be compared.
        split: (I,), 0 train, 1 validation, 2 test.
        findings: to report to.
    """
    repeated, leaked = _repeated(ids, ids, split)
    findings.add("image-id-duplicate", repeated)
    findings.add("leak-same-id", leaked)
    # Images with the same id have the same file; that is no second mistake.
    again = surplus(ids, split).tolist()
    contents = [None if gone else content for content, gone in zip(contents, again, strict=True)]
    repeated, leaked = _repeated(contents, ids, split)
    leaked_places = {case.place for case in leaked}
    findings.add("image-same-content", [case for case in repeated if case.place not in leaked_places])
    findings.add("leak-same-content", leaked)


def _groups(keys: Sequence[Hashable | None]) -> list[list[int]]:
    """The rows of each key that occurs more than once."""
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if key is not None:
            rows.setdefault(key, []).append(row)
    return [alike for alike in rows.values() if len(alike) > 1]


def _repeated(
    keys: Sequence[Hashable | None], ids: Sequence[str | None], split: np.ndarray
) -> tuple[list[Example], list[Example]]:
    """The images whose key occurred before, and, of every key in more than one split, the first image."""
    repeated, leaked = [], []
    for rows in _groups(keys):
        place = ", ".join(dict.fromkeys(f"image {ids[row]}" for row in rows))
        numbers = split[rows].tolist()
        names = [SPLITS[n] if 0 <= n < len(SPLITS) else f"split {n}" for n in numbers]
        shown = {f"row {row}": name for row, name in zip(rows, names, strict=True)}
        repeated += [Example(ids[row], place, shown) for row in rows[1:]]
        if len(set(numbers)) > 1:
            leaked.append(Example(ids[rows[0]], place, shown))
    return repeated, leaked
