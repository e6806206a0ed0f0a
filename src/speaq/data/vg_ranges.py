"""Which boxes and relations of a Visual Genome HDF5 file each image has.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from speaq.data.findings import Findings


@dataclass(frozen=True, slots=True)
class Ranges:
    """Consecutive rows of every image: first[i] .. first[i] + count[i] - 1, both (I,) int64."""

    first: np.ndarray
    count: np.ndarray

    @classmethod
    def of_counts(cls, count: np.ndarray) -> "Ranges":
        """The ranges of images whose rows follow one another without a gap."""
        count = count.astype(np.int64)
        return cls(np.cumsum(count) - count, count)

    def select(self, images: np.ndarray) -> "Ranges":
        """The ranges of the images with these indices."""
        return Ranges(self.first[images], self.count[images])

    def offsets(self) -> np.ndarray:
        """Where (I + 1,) each image starts, and the last one ends, in `rows`."""
        return np.concatenate(([0], np.cumsum(self.count)))

    def rows(self) -> np.ndarray:
        """The rows of all images, one image after another."""
        offsets = self.offsets()
        return np.arange(offsets[-1]) + np.repeat(self.first - offsets[:-1], self.count)

    def images(self) -> np.ndarray:
        """The image of each of `rows`."""
        return np.repeat(np.arange(len(self.count)), self.count)

    def counts(self, kept: np.ndarray) -> np.ndarray:
        """How many (I,) of the rows of each image are kept, ``kept`` a flag for each of `rows`."""
        kept_before = np.concatenate(([0], np.cumsum(kept)))
        return np.diff(kept_before[self.offsets()])


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Which boxes, or which relations, each image has.

    Attributes:
        ranges: of I images; empty where they are not known, out of bounds or reversed.
        faulty: (I,) bool, images of which that is so, or that share rows with others.
        owners: (N,) or (M,) int64, the image of each row, -1 for none; faulty images own nothing.
    """

    ranges: Ranges
    faulty: np.ndarray
    owners: np.ndarray


def find_image_rows(
    kind: str,
    values: dict[str, np.ndarray],
    num_images: int,
    num_rows: int,
    agreed: bool,
    starts: Mapping[str, int],
    findings: Findings,
) -> ImageRows:
    """Check ``img_to_first_<kind>`` and ``img_to_last_<kind>`` (inclusive, -1 for none) of "box" or "rel".

    The ranges are not known where an array is missing or it is not ``agreed`` that there are ``num_rows``.
    Images and rows are counted from ``starts``.
    """
    first, last = values.get(f"img_to_first_{kind}"), values.get(f"img_to_last_{kind}")
    owners = np.full(num_rows, -1)
    if first is None or last is None or not agreed:
        return ImageRows(Ranges.of_counts(np.zeros(num_images)), np.full(num_images, True), owners)
    some = first >= 0
    outside = some & ((first >= num_rows) | (last >= num_rows))
    reversed_ = some & ~outside & (last < first)
    in_order = some & ~outside & ~reversed_
    shared = np.zeros_like(in_order)
    shared[in_order] = _share_rows(first[in_order], last[in_order], num_rows)
    item, key = ("box", "boxes") if kind == "box" else ("relation", "relationships")
    start = starts["boxes" if kind == "box" else "relations"]
    ends = np.stack((first, last), axis=1)
    shown = np.where(ends < 0, ends, ends + start)
    for fault, bad in (
        ("range-out-of-bounds", outside),
        ("range-reversed", reversed_),
        ("range-overlap", shared),
        ("range-half-empty", ~some & (last >= 0)),
    ):
        place, first_row = f"img_to_first/last_{kind}", starts["images"]
        findings.add_rows(f"{item}-{fault}", place, bad, shown, start=first_row, num_rows=start + num_rows)

    ranges = Ranges(np.where(in_order, first, 0), np.where(in_order, last - first + 1, 0))
    faulty = outside | reversed_ | shared
    own = Ranges(ranges.first, np.where(faulty, 0, ranges.count))
    owners[own.rows()] = own.images()
    if not faulty.any():  # else it is only a consequence
        rows = np.arange(start, start + num_rows)
        findings.add_rows(f"{item}-unowned", key, owners < 0, rows, owners=owners, start=start)
    return ImageRows(ranges, faulty, owners)


def _share_rows(first: np.ndarray, last: np.ndarray, num_rows: int) -> np.ndarray:
    """Which of these ranges have a row that another one has too."""
    steps = np.bincount(first, minlength=num_rows + 1) - np.bincount(last + 1, minlength=num_rows + 1)
    twice = np.cumsum(steps) > 1
    before = np.concatenate(([0], np.cumsum(twice)))
    return before[last + 1] > before[first]
