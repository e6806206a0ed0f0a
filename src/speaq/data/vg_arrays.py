"""Reading the arrays of a Visual Genome HDF5 file that may be damaged.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from speaq.data.finding_kinds import Severity
from speaq.data.findings import Example, Findings

_DAMAGE = (OSError, RuntimeError, KeyError, ValueError)  # what h5py has been seen to raise on damaged files
_COLUMNS = {
    "split": 1,
    "img_to_first_box": 1,
    "img_to_last_box": 1,
    "img_to_first_rel": 1,
    "img_to_last_rel": 1,
    "labels": 1,
    "relationships": 2,
    "predicates": 1,
}


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
    """The arrays as they are in the file; None for what is missing or cannot be used.

    Attributes:
        num_boxes: N, None where boxes and labels are not equally many.
        split: (I,) int64.
        boxes, other_boxes: (N, 4) in the frame that is read and in the other one, (cx, cy, w, h).
        labels: (N,) int64, from 1.
        attributes: (N, any number) int64, from 1, 0 for none.
        pairs: (M, 2) int64, rows of ``boxes``.
        predicates: (M,) int64, from 1.
        box_rows, relation_rows: the rows of each image.
        unread: names of further arrays in the file, and of optional ones that cannot be used.
    """

    num_boxes: int | None
    split: np.ndarray | None
    boxes: np.ndarray | None
    other_boxes: np.ndarray | None
    labels: np.ndarray | None
    attributes: np.ndarray | None
    pairs: np.ndarray | None
    predicates: np.ndarray | None
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
        """The arrays that training needs and that are missing or cannot be used."""
        needed = {
            "split": self.split,
            "boxes": self.boxes,
            "labels": self.labels,
            "pairs": self.pairs,
            "predicates": self.predicates,
            "box_ranges": self.box_rows,
            "relation_ranges": self.relation_rows,
        }
        return [name for name, value in needed.items() if value is None]


def read_arrays(path: Path, box_scale: int, findings: Findings, *, optional: bool = True) -> RawArrays | None:
    """Read as much of the file as possible, and report its mistakes; None where it cannot be opened.

    Args:
        path: the file.
        box_scale: which frame to read, 1024 or 512 (the array ``boxes_<box_scale>``).
        findings: to report to.
        optional: read attributes and the boxes of the other frame too.
    """
    box_key, other_key = f"boxes_{box_scale}", f"boxes_{1536 - box_scale}"
    with _open(path, findings) as file:
        if file is None:
            return None
        reader = _Reader(file, findings)
        read = {key: reader.integers(key, columns) for key, columns in _COLUMNS.items()}
        read[box_key] = reader.boxes(box_key)
        extra = {other_key: None, "attributes": None}
        if optional:
            extra = {key: reader.optional(key) for key in extra}
        present = file.keys() - read.keys()

    boxes, labels = read[box_key], read["labels"]
    pairs, predicates = read["relationships"], read["predicates"]
    num_images = _first_length(read["split"], read["img_to_first_box"], read["img_to_first_rel"])
    num_boxes, num_relations = _first_length(boxes, labels), _first_length(pairs, predicates)
    for key in ("img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel"):
        read[key] = _of_length(key, read[key], "split", num_images, findings)
    read["labels"] = _of_length("labels", labels, box_key, num_boxes, findings)
    read["predicates"] = _of_length("predicates", predicates, "relationships", num_relations, findings)
    extra = {key: _of_length(key, x, box_key, num_boxes, findings, "warning") for key, x in extra.items()}
    # Where two arrays disagree on the number of rows, neither of them can be held against the ranges.
    num_boxes = num_boxes if _agree(boxes, labels) else None
    num_relations = num_relations if _agree(pairs, predicates) else None
    return RawArrays(
        num_boxes=num_boxes,
        split=read["split"],
        boxes=boxes,
        other_boxes=extra[other_key],
        labels=read["labels"],
        attributes=extra["attributes"],
        pairs=pairs,
        predicates=read["predicates"],
        box_rows=_image_rows("box", read, num_boxes, findings),
        relation_rows=_image_rows("rel", read, num_relations, findings),
        unread=tuple(sorted(present - {key for key, values in extra.items() if values is not None})),
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


@contextmanager
def _open(path: Path, findings: Findings) -> Iterator[h5py.File | None]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        found = str(error) if path.is_file() else "there is no such file"
        findings.add("h5-unreadable", [Example(None, path.name, found)])
        yield None
        return
    with file:
        yield file


class _Reader:
    """Reads arrays of an open file; what cannot be used is reported and None."""

    def __init__(self, file: h5py.File, findings: Findings) -> None:
        self.file, self.findings = file, findings

    def integers(self, key: str, columns: int) -> np.ndarray | None:
        """Integers (rows,) for one column, else (rows, columns); -1 for numbers that are not whole."""
        values = self._array(key, columns, "error", "iufb")
        if values is None:
            return None
        if values.dtype.kind not in "iu":
            whole = np.isfinite(values) & (np.trunc(values) == values)
            found = f"{values.dtype}, {(~whole).sum()} of its numbers not whole"
            self._report("array-type", "error", key, found)
            values = np.where(whole, values, -1)
        values = values.astype(np.int64)
        return values.reshape(-1) if columns == 1 else values

    def boxes(self, key: str) -> np.ndarray | None:
        """Boxes (N, 4) of the type in the file."""
        return self._array(key, 4, "error", "iuf")

    def optional(self, key: str) -> np.ndarray | None:
        """An array that training does not need: boxes of the other frame, or attributes."""
        if key not in self.file:
            self._report("array-absent", "note", key, "no such array")
            return None
        if key == "attributes":
            return self._array(key, None, "warning", "iu")
        return self._array(key, 4, "warning", "iuf")

    def _array(self, key: str, columns: int | None, severity: Severity, kinds: str) -> np.ndarray | None:
        """Numbers (rows, columns) of these NumPy ``kinds``; any number of columns for None."""
        try:
            data = self.file.get(key)
            values = data[()] if isinstance(data, h5py.Dataset) else None
        except _DAMAGE as error:
            return self._report("array-unreadable", severity, key, str(error))
        if values is None:
            found = f"only {', '.join(self.file) or 'an empty file'}"
            return self._report("array-missing", severity, key, found)
        values = np.asarray(values)
        if values.dtype.kind not in kinds:
            return self._report("array-type", severity, key, str(values.dtype))
        shape = values.shape if values.ndim != 1 else (len(values), 1)
        if len(shape) != 2 or (columns is not None and shape[1] != columns):
            expected = "rows and columns" if columns is None else f"{columns} column(s)"
            found = f"{list(values.shape)}, expected {expected}"
            return self._report("array-shape", severity, key, found)
        return values.reshape(shape)

    def _report(self, code: str, severity: Severity, key: str, found: str) -> None:
        self.findings.add(code, [Example(None, key, found)], severity=severity)


def _first_length(*arrays: np.ndarray | None) -> int | None:
    return next((len(values) for values in arrays if values is not None), None)


def _agree(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is None or other is None or len(one) == len(other)


def _of_length(
    key: str,
    values: np.ndarray | None,
    other_key: str,
    length: int | None,
    findings: Findings,
    severity: Severity = "error",
) -> np.ndarray | None:
    """The array, or None where it has not as many rows as the array to which it belongs."""
    if values is None or length is None or len(values) == length:
        return values
    example = Example(None, key, {key: len(values), other_key: length})
    findings.add("array-length", [example], severity=severity)
    return None


def _image_rows(
    kind: str, read: dict[str, np.ndarray | None], num_rows: int | None, findings: Findings
) -> ImageRows | None:
    """Check ``img_to_first_<kind>`` and ``img_to_last_<kind>``, inclusive, -1 for none.

    Args:
        kind: "box" or "rel".
        read: the arrays by name.
        num_rows: of boxes or relations.
        findings: to report to.
    """
    first, last = read[f"img_to_first_{kind}"], read[f"img_to_last_{kind}"]
    if first is None or last is None or num_rows is None:
        return None
    some = first >= 0
    outside = some & ((first >= num_rows) | (last >= num_rows))
    reversed_ = some & ~outside & (last < first)
    in_order = some & ~outside & ~reversed_
    shared = np.zeros_like(in_order)
    shared[in_order] = _share_rows(first[in_order], last[in_order], num_rows)
    item, shown = "box" if kind == "box" else "relation", np.stack((first, last), axis=1)
    for fault, bad in (
        ("range-out-of-bounds", outside),
        ("range-reversed", reversed_),
        ("range-overlap", shared),
        ("range-half-empty", ~some & (last >= 0)),
    ):
        fields = {"num_rows": num_rows}
        findings.add_rows(f"{item}-{fault}", f"img_to_first/last_{kind}", bad, shown, fields=fields)

    ranges = Ranges(np.where(in_order, first, 0), np.where(in_order, last - first + 1, 0))
    faulty = outside | reversed_ | shared
    own = Ranges(ranges.first, np.where(faulty, 0, ranges.count))
    owners = np.full(num_rows, -1)
    owners[own.rows()] = own.images()
    if not faulty.any():  # else it is only a consequence
        key = "boxes" if kind == "box" else "relationships"
        findings.add_rows(f"{item}-unowned", key, owners < 0, np.arange(num_rows), owners=owners)
    return ImageRows(ranges, faulty, owners)


def _share_rows(first: np.ndarray, last: np.ndarray, num_rows: int) -> np.ndarray:
    """Which of these ranges have a row that another one has too."""
    steps = np.bincount(first, minlength=num_rows + 1) - np.bincount(last + 1, minlength=num_rows + 1)
    twice = np.cumsum(steps) > 1
    before = np.concatenate(([0], np.cumsum(twice)))
    return before[last + 1] > before[first]
