"""Which boxes and relations each image owns, and what is wrong with that.

I: images, N: rows of the boxes or of the relations.
"""

from dataclasses import dataclass

import numpy as np

from speaq.data.vg_annotations import Ranges
from speaq.tools.doctor.findings import Findings

_ADVICE = (
    "'last' is the last row itself, not one more; -1 and -1 stand for none. --fix leaves the images out."
)


@dataclass(frozen=True, slots=True)
class Owned:
    """The rows of each image.

    Attributes:
        ranges: of I images; empty where ``faulty``.
        faulty: (I,) bool, images whose rows cannot be told.
        owners: (N,) int64, the image of each row, -1 for none.
    """

    ranges: Ranges
    faulty: np.ndarray
    owners: np.ndarray


def read_ranges(kind: str, first: np.ndarray, last: np.ndarray, num_items: int, findings: Findings) -> Owned:
    """Check ``img_to_first_<kind>`` and ``img_to_last_<kind>``.

    Args:
        kind: "box" or "rel".
        first: (I,) int64, -1 for none.
        last: (I,) int64, inclusive, -1 for none.
        num_items: N.
        findings: where to note what is wrong.
    """
    key, shown = f"img_to_first/last_{kind}", np.stack((first, last), axis=1)
    item, what = ("box", "boxes") if kind == "box" else ("relation", "relations")
    some = first >= 0
    outside = some & ((first >= num_items) | (last >= num_items))
    reversed_ = some & ~outside & (last < first)
    sound = some & ~outside & ~reversed_
    shared = np.zeros_like(sound)
    shared[sound] = _shared(first[sound], last[sound], num_items)
    findings.add_rows(
        "error",
        f"{item}-range-out-of-bounds",
        f"An image's range of {what} ends after the last of the {num_items} rows.",
        _ADVICE,
        key=key,
        bad=outside,
        values=shown,
    )
    findings.add_rows(
        "error",
        f"{item}-range-reversed",
        f"An image's first row of {what} comes after its last.",
        _ADVICE,
        key=key,
        bad=reversed_,
        values=shown,
    )
    findings.add_rows(
        "error",
        f"{item}-range-overlap",
        f"Images share {what}.",
        f"Every row belongs to one image, and whose these are cannot be told. {_ADVICE}",
        key=key,
        bad=shared,
        values=shown,
    )
    findings.add_rows(
        "warning",
        f"{item}-range-half-empty",
        f"An image has a last row of {what}, but no first; readers take it as none.",
        "Write -1 twice for none. --fix does.",
        key=key,
        bad=~some & (last >= 0),
        values=shown,
    )

    faulty = outside | reversed_ | shared
    own = some & ~faulty
    ranges = Ranges(np.where(own, first, 0), np.where(own, last - first + 1, 0))
    owners = np.full(num_items, -1)
    owners[ranges.rows()] = np.repeat(np.arange(len(first)), ranges.count)
    if not faulty.any():  # else it is only a consequence
        findings.add_rows(
            "warning",
            f"{item}-unowned",
            f"Rows of {what} belong to no image and are never read.",
            "Check the ranges of the images. --fix leaves the rows out.",
            key="boxes" if kind == "box" else "relationships",
            bad=owners < 0,
            values=np.arange(num_items),
            owners=owners,
        )
    return Owned(ranges, faulty, owners)


def _shared(first: np.ndarray, last: np.ndarray, num_items: int) -> np.ndarray:
    """Which of these ranges have a row that another one has too."""
    steps = np.bincount(first, minlength=num_items + 1) - np.bincount(last + 1, minlength=num_items + 1)
    twice = np.cumsum(steps) > 1
    before = np.concatenate(([0], np.cumsum(twice)))
    return before[last + 1] > before[first]
