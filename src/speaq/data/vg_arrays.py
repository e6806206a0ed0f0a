"""Reading the arrays of a Visual Genome HDF5 file that may be damaged.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from speaq.data.finding_kinds import Severity
from speaq.data.findings import Example, Findings

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError)  # what h5py has been seen to raise on damaged files
_INTEGERS = {
    "split": 1,
    "img_to_first_box": 1,
    "img_to_last_box": 1,
    "img_to_first_rel": 1,
    "img_to_last_rel": 1,
    "labels": 1,
    "relationships": 2,
    "predicates": 1,
}
"""Arrays of integers, with their columns."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """A run of consecutive rows for every image: rows first[i] .. first[i] + count[i] - 1.

    Attributes:
        first: (I,) int64.
        count: (I,) int64, 0 for none.
    """

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
        ranges: of I images; empty where they are out of bounds or reversed.
        faulty: (I,) bool, images whose ranges are out of bounds or reversed, or share rows with others.
        owners: (N,) or (M,) int64, the image of each row, -1 for none; faulty images own nothing.
    """

    ranges: Ranges
    faulty: np.ndarray
    owners: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArrays:
    """The arrays as they are in the file.

    Attributes:
        values: those that can be used, by name: split (I,), labels (N,), relationships (M, 2) and predicates
            (M,), int64; boxes and other_boxes (N, 4), (cx, cy, w, h) in the frame that is read and in the
            other one; attributes (N, any number). Class numbers and attributes count from 1, rows from 0.
        num_boxes: N, None where boxes and labels are not equally many.
        box_rows, relation_rows: the rows of each image, None where they are not known.
        unread: names of further arrays in the file, and of optional ones that cannot be used.
    """

    values: dict[str, np.ndarray]
    num_boxes: int | None
    box_rows: ImageRows | None
    relation_rows: ImageRows | None
    unread: tuple[str, ...]

    @property
    def box_owners(self) -> np.ndarray | None:
        """The image (N,) of each box, None where it is not known."""
        return self.box_rows and self.box_rows.owners

    @property
    def relation_owners(self) -> np.ndarray | None:
        """The image (M,) of each relation, None where it is not known."""
        return self.relation_rows and self.relation_rows.owners

    def missing(self) -> list[str]:
        """What training needs and is missing or cannot be used."""
        needed = ("split", "boxes", "labels", "relationships", "predicates")
        ranges = {"ranges of boxes": self.box_rows, "ranges of relations": self.relation_rows}
        return [
            *(key for key in needed if key not in self.values),
            *(name for name, rows in ranges.items() if rows is None),
        ]


def read_arrays(path: Path, box_scale: int, findings: Findings, *, optional: bool = True) -> RawArrays | None:
    """Read as much of the file as possible, and report its mistakes; None where it cannot be opened.

    Args:
        path: the file.
        box_scale: which frame to read, 1024 or 512 (the array ``boxes_<box_scale>``).
        findings: to report to.
        optional: read attributes and the boxes of the other frame too.
    """
    box_key, other_key = f"boxes_{box_scale}", f"boxes_{1536 - box_scale}"
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        found = str(error) if path.is_file() else "there is no such file"
        findings.add("h5-unreadable", [Example(None, path.name, found)])
        return None
    with file:
        read = {key: _integers(file, key, columns, findings) for key, columns in _INTEGERS.items()}
        read[box_key] = _numbers(file, box_key, 4, "iuf", "error", findings)
        if optional:
            for key, columns, kinds in ((other_key, 4, "iuf"), ("attributes", None, "iu")):
                if key in file:
                    read[key] = _numbers(file, key, columns, kinds, "warning", findings)
                else:
                    findings.add("array-absent", [Example(None, key, "no such array")])
        present = set(file.keys())
    values = {key: array for key, array in read.items() if array is not None}

    def length(*keys: str) -> int | None:
        return next((len(values[key]) for key in keys if key in values), None)

    def matches(key: str, other: str, expected: int | None, severity: Severity = "error") -> bool:
        """Whether an array has as many rows as the other one; it is not used if not."""
        if key not in values or expected is None or len(values[key]) == expected:
            return True
        example = Example(None, key, {key: len(values.pop(key)), other: expected})
        findings.add("array-length", [example], severity=severity)
        return False

    num_images = length("split", "img_to_first_box", "img_to_first_rel")
    num_boxes, num_relations = length(box_key, "labels"), length("relationships", "predicates")
    for key in ("img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel"):
        matches(key, "split", num_images)
    labels_match = matches("labels", box_key, num_boxes)
    predicates_match = matches("predicates", "relationships", num_relations)
    for key in (other_key, "attributes"):
        matches(key, box_key, num_boxes, "warning")
    # Where two arrays disagree on the number of rows, neither of them can be held against the ranges.
    num_boxes = num_boxes if labels_match else None
    num_relations = num_relations if predicates_match else None
    unread = present - values.keys() - _INTEGERS.keys() - {box_key}
    for key, name in ((box_key, "boxes"), (other_key, "other_boxes")):
        if key in values:
            values[name] = values.pop(key)
    return RawArrays(
        values=values,
        num_boxes=num_boxes,
        box_rows=_image_rows("box", values, num_boxes, findings),
        relation_rows=_image_rows("rel", values, num_relations, findings),
        unread=tuple(sorted(unread)),
    )


def count_rows(path: Path) -> int | None:
    """How many images the file has, None where that is not known; nothing is reported."""
    try:
        with h5py.File(path, "r") as file:
            arrays = [file[key] for key in ("split", "img_to_first_box") if key in file]
            shapes = [array.shape for array in arrays if isinstance(array, h5py.Dataset)]
            return next((shape[0] for shape in shapes if shape), None)
    except _DAMAGE:
        return None


def _integers(file: h5py.File, key: str, columns: int, findings: Findings) -> np.ndarray | None:
    """Integers (rows,) for one column, else (rows, columns); -1 for numbers that are not whole."""
    values = _numbers(file, key, columns, "iufb", "error", findings)
    if values is None:
        return None
    if values.dtype.kind not in "iu":
        whole = np.isfinite(values) & (np.trunc(values) == values)
        found = f"{values.dtype}, {(~whole).sum()} of its numbers not whole"
        findings.add("array-type", [Example(None, key, found)])
        values = np.where(whole, values, -1)
    values = values.astype(np.int64)
    return values.reshape(-1) if columns == 1 else values


def _numbers(
    file: h5py.File, key: str, columns: int | None, kinds: str, severity: Severity, findings: Findings
) -> np.ndarray | None:
    """Numbers (rows, columns) of these NumPy ``kinds``, any columns for None. None if unusable."""
    code, found = "", ""
    values = np.empty(0)
    try:
        data = file.get(key)
        if isinstance(data, h5py.Dataset):
            values = np.asarray(data[()])
        else:
            code, found = "array-missing", f"only {', '.join(file) or 'an empty file'}"
    except _DAMAGE as error:
        code, found = "array-unreadable", str(error)
    shape = values.shape if values.ndim != 1 else (len(values), 1)
    if not code and values.dtype.kind not in kinds:
        code, found = "array-type", str(values.dtype)
    elif not code and (len(shape) != 2 or (columns is not None and shape[1] != columns)):
        expected = "rows and columns" if columns is None else f"{columns} column(s)"
        code, found = "array-shape", f"{list(values.shape)}, expected {expected}"
    if code:
        findings.add(code, [Example(None, key, found)], severity=severity)
        return None
    return values.reshape(shape)


def _image_rows(
    kind: str, values: dict[str, np.ndarray], num_rows: int | None, findings: Findings
) -> ImageRows | None:
    """Check ``img_to_first_<kind>`` and ``img_to_last_<kind>`` (inclusive, -1 for none) of "box" or "rel"."""
    first, last = values.get(f"img_to_first_{kind}"), values.get(f"img_to_last_{kind}")
    if first is None or last is None or num_rows is None:
        return None
    some = first >= 0
    outside = some & ((first >= num_rows) | (last >= num_rows))
    reversed_ = some & ~outside & (last < first)
    in_order = some & ~outside & ~reversed_
    shared = np.zeros_like(in_order)
    shared[in_order] = _share_rows(first[in_order], last[in_order], num_rows)
    item, key = ("box", "boxes") if kind == "box" else ("relation", "relationships")
    for fault, bad in (
        ("range-out-of-bounds", outside),
        ("range-reversed", reversed_),
        ("range-overlap", shared),
        ("range-half-empty", ~some & (last >= 0)),
    ):
        shown = np.stack((first, last), axis=1)
        findings.add_rows(f"{item}-{fault}", f"img_to_first/last_{kind}", bad, shown, num_rows=num_rows)

    ranges = Ranges(np.where(in_order, first, 0), np.where(in_order, last - first + 1, 0))
    faulty = outside | reversed_ | shared
    own = Ranges(ranges.first, np.where(faulty, 0, ranges.count))
    owners = np.full(num_rows, -1)
    owners[own.rows()] = own.images()
    if not faulty.any():  # else it is only a consequence
        findings.add_rows(f"{item}-unowned", key, owners < 0, np.arange(num_rows), owners=owners)
    return ImageRows(ranges, faulty, owners)


def _share_rows(first: np.ndarray, last: np.ndarray, num_rows: int) -> np.ndarray:
    """Which of these ranges have a row that another one has too."""
    steps = np.bincount(first, minlength=num_rows + 1) - np.bincount(last + 1, minlength=num_rows + 1)
    twice = np.cumsum(steps) > 1
    before = np.concatenate(([0], np.cumsum(twice)))
    return before[last + 1] > before[first]
