"""Images that are there twice, and images for evaluation that are also trained on.

I: images.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from speaq.tools.doctor.findings import Example, Findings

SPLITS = ("train", "val", "test")


def surplus(keys: Sequence[Hashable | None], split: np.ndarray) -> np.ndarray:
    """Which images (I,) bool to leave out so that every key is there once; None is never a duplicate.

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
    """Note images with the same id and, where files were opened, with the same content.

    Args:
        ids: of I images; None: not to be compared.
        contents: of I files; None: not to be compared.
        split: (I,), 0 train, 1 validation, 2 test.
        findings: where to note it.
    """
    findings.add(
        "error",
        "image-id-duplicate",
        "An id is in the image list more than once.",
        "Every image has one row. --fix keeps one: of the test images, else of validation, else the first.",
        examples=_groups(ids, ids, split)[0],
    )
    findings.add(
        "error",
        "leak-same-id",
        "An image is in more than one split.",
        "What is evaluated on must not be trained on. --fix leaves it out of the training images.",
        examples=_groups(ids, ids, split)[1],
    )
    # Images with the same id have the same file; that is no second mistake.
    again = surplus(ids, split).tolist()
    contents = [None if gone else content for content, gone in zip(contents, again, strict=True)]
    repeated, leaked = _groups(contents, ids, split)
    findings.add(
        "warning",
        "image-same-content",
        "Files of different images are the same to the byte.",
        "Check the folder of images. --fix with --open-images keeps one of them.",
        examples=[case for case in repeated if case.place not in {other.place for other in leaked}],
    )
    findings.add(
        "error",
        "leak-same-content",
        "The same file, under different ids, is in more than one split.",
        "What is evaluated on must not be trained on. --fix with --open-images leaves it out of training.",
        examples=leaked,
    )


def _groups(
    keys: Sequence[Hashable | None], ids: Sequence[int | str | None], split: np.ndarray
) -> tuple[list[Example], list[Example]]:
    """The images whose key was there before, and, of every key in more than one split, the images."""
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
