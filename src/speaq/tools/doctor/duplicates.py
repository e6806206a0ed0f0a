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
    kept: dict[Hashable, int] = {}
    out = np.zeros(len(keys), dtype=bool)
    for row, key in enumerate(keys):
        if key is None:
            continue
        other = kept.setdefault(key, row)
        if other == row:
            continue
        loser = other if split[row] > split[other] else row
        out[loser] = True
        kept[key] = row if loser == other else other
    return out


def check_duplicates(
    ids: Sequence[int | str | None],
    contents: Sequence[bytes | None],
    split: np.ndarray,
    findings: Findings,
) -> None:
    """Report images with the same id and, where files were opened, with the same content.

    Args:
        ids: of I images; None: not to be compared.
        contents: of I files; None: not to be compared.
        split: (I,), 0 train, 1 validation, 2 test.
        findings: to report to.
    """
    repeated, leaked = _groups(ids, ids, split)
    findings.add("image-id-duplicate", repeated)
    findings.add("leak-same-id", leaked)
    # Images with the same id have the same file; that is no second mistake.
    again = surplus(ids, split).tolist()
    contents = [None if gone else content for content, gone in zip(contents, again, strict=True)]
    repeated, leaked = _groups(contents, ids, split)
    leaked_places = {case.place for case in leaked}
    findings.add("image-same-content", [case for case in repeated if case.place not in leaked_places])
    findings.add("leak-same-content", leaked)


def _groups(
    keys: Sequence[Hashable | None], ids: Sequence[int | str | None], split: np.ndarray
) -> tuple[list[Example], list[Example]]:
    """The images whose key occurred before, and, of every key in more than one split, the images."""
    rows: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        if key is not None:
            rows.setdefault(key, []).append(row)
    repeated, leaked = [], []
    for alike in rows.values():
        if len(alike) < 2:
            continue
        shown = {f"row {row}": _split_name(split[row]) for row in alike}
        repeated += [Example(ids[row], _place(ids, alike), shown) for row in alike[1:]]
        if len({int(split[row]) for row in alike}) > 1:
            leaked.append(Example(ids[alike[0]], _place(ids, alike), shown))
    return repeated, leaked


def _place(ids: Sequence[int | str | None], rows: list[int]) -> str:
    return ", ".join(dict.fromkeys(f"image {ids[row]}" for row in rows))


def _split_name(number: int) -> str:
    return SPLITS[number] if 0 <= number < len(SPLITS) else f"split {number}"
