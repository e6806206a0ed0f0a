"""The HDF5 annotations, read as far as they can be, with everything that is wrong with the arrays as such.

I: images, M: boxes, T: relations, A: attributes of a box.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from speaq.tools.doctor.findings import Example, Findings, Severity
from speaq.tools.doctor.ranges import Owned, read_ranges

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


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArrays:
    """The arrays as they are in the file; None for what is missing or of no use.

    Attributes:
        num_images: I, None where no array tells it.
        num_boxes: M, likewise, and where boxes and labels are not equally many.
        split: (I,) int64.
        boxes, other_boxes: (M, 4) in the frame that is read and in the other one, (cx, cy, w, h).
        labels: (M,) int64, from 1.
        attributes: (M, A) int64, from 1, 0 for none.
        pairs: (T, 2) int64, rows of ``boxes``.
        predicates: (T,) int64, from 1.
        box_ranges, relation_ranges: what each image owns.
        unread: names of further arrays in the file, and of optional ones that are of no use.
    """

    num_images: int | None
    num_boxes: int | None
    split: np.ndarray | None
    boxes: np.ndarray | None
    other_boxes: np.ndarray | None
    labels: np.ndarray | None
    attributes: np.ndarray | None
    pairs: np.ndarray | None
    predicates: np.ndarray | None
    box_ranges: Owned | None
    relation_ranges: Owned | None
    unread: tuple[str, ...]

    def missing(self) -> list[str]:
        """What of the arrays that training needs is not there, or is of no use."""
        needed = ("split", "boxes", "labels", "pairs", "predicates", "box_ranges", "relation_ranges")
        return [name for name in needed if getattr(self, name) is None]


def read_arrays(path: Path, box_scale: int, findings: Findings) -> RawArrays | None:
    """Read the file and note what is wrong with its arrays; None where it cannot be opened."""
    with _open(path, findings) as file:
        if file is None:
            return None
        reader = _Reader(file, findings)
        read = {key: reader.integers(key, columns) for key, columns in _COLUMNS.items()}
        boxes = reader.boxes(f"boxes_{box_scale}")
        other_key = f"boxes_{1536 - box_scale}"
        other_boxes = reader.optional(other_key)
        attributes = reader.optional("attributes")
        known = {*_COLUMNS, f"boxes_{box_scale}", other_key, "attributes"}
        further = file.keys() - known
        present = file.keys() & {other_key, "attributes"}

    num_images = _first_length(read["split"], read["img_to_first_box"], read["img_to_first_rel"])
    num_boxes = _first_length(boxes, read["labels"])
    num_relations = _first_length(read["relationships"], read["predicates"])
    same = _SameLength(findings)
    for key in ("img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel"):
        read[key] = same.checked(key, read[key], "split", num_images)
    labels, predicates = read["labels"], read["predicates"]
    read["labels"] = same.checked("labels", labels, f"boxes_{box_scale}", num_boxes)
    read["predicates"] = same.checked("predicates", predicates, "relationships", num_relations)
    other_boxes = same.checked(other_key, other_boxes, f"boxes_{box_scale}", num_boxes, "warning")
    attributes = same.checked("attributes", attributes, f"boxes_{box_scale}", num_boxes, "warning")
    # Where arrays do not agree, nothing can be held against their number of rows.
    num_boxes = num_boxes if _agree(boxes, labels) else None
    num_relations = num_relations if _agree(read["relationships"], predicates) else None
    usable = {
        key for key, values in ((other_key, other_boxes), ("attributes", attributes)) if values is not None
    }
    return RawArrays(
        num_images=num_images,
        num_boxes=num_boxes,
        split=read["split"],
        boxes=boxes,
        other_boxes=other_boxes,
        labels=read["labels"],
        attributes=attributes,
        pairs=read["relationships"],
        predicates=read["predicates"],
        box_ranges=_ranges("box", read, num_boxes, findings),
        relation_ranges=_ranges("rel", read, num_relations, findings),
        unread=tuple(sorted(further | (present - usable))),
    )


@contextmanager
def _open(path: Path, findings: Findings) -> Iterator[h5py.File | None]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        findings.add(
            "error",
            "h5-unreadable",
            "The annotations are not an HDF5 file, or only a part of one.",
            "Copy or download the file again; annotations were not checked.",
            examples=[Example(None, path.name, str(error))],
        )
        yield None
        return
    with file:
        yield file


class _Reader:
    """Reads arrays of an open file; what cannot be used is noted and None."""

    def __init__(self, file: h5py.File, findings: Findings) -> None:
        self.file, self.findings = file, findings

    def integers(self, key: str, columns: int) -> np.ndarray | None:
        """Whole numbers (rows,) for one column, else (rows, columns); -1 for numbers that are not whole."""
        values = self._array(key, columns, "error", "iufb")
        if values is None:
            return None
        if values.dtype.kind not in "iu":
            whole = np.isfinite(values) & (np.trunc(values) == values)
            self._wrong_type(key, "error", f"{values.dtype}, {(~whole).sum()} of its numbers not whole")
            values = np.where(whole, values, -1)
        values = values.astype(np.int64)
        return values.reshape(-1) if columns == 1 else values

    def boxes(self, key: str) -> np.ndarray | None:
        """Boxes (M, 4) of the type in the file."""
        return self._array(key, 4, "error", "iuf")

    def optional(self, key: str) -> np.ndarray | None:
        """An array that nothing here needs: boxes of the other frame, or attributes."""
        if key not in self.file:
            self.findings.add(
                "note",
                "array-absent",
                "An array of the format is not there.",
                "It is not needed here; other programs may ask for it.",
                examples=[Example(None, key, "no such array")],
            )
            return None
        columns, kinds = (None, "iu") if key == "attributes" else (4, "iuf")
        return self._array(key, columns, "warning", kinds)

    def _array(self, key: str, columns: int | None, severity: Severity, kinds: str) -> np.ndarray | None:
        """Numbers (rows, columns) of these NumPy ``kinds``; any number of columns for None."""
        try:
            data = self.file.get(key)
            values = data[()] if isinstance(data, h5py.Dataset) else None
        except _DAMAGE as error:
            self.findings.add(
                severity,
                "array-unreadable",
                "An array cannot be read.",
                "The file is damaged: copy or download it again.",
                examples=[Example(None, key, str(error))],
            )
            return None
        if values is None:
            self.findings.add(
                severity,
                "array-missing",
                "An array is missing.",
                "Add it, or name the file that has it (BOX_SCALE chooses between boxes_1024 and boxes_512).",
                examples=[Example(None, key, f"only {', '.join(self.file) or 'an empty file'}")],
            )
            return None
        values = np.asarray(values)
        if values.dtype.kind not in kinds:
            self._wrong_type(key, severity, str(values.dtype))
            return None
        shape = values.shape if values.ndim != 1 else (len(values), 1)
        if len(shape) != 2 or (columns is not None and shape[1] != columns):
            expected = "rows and columns" if columns is None else f"{columns} column(s)"
            self.findings.add(
                severity,
                "array-shape",
                "An array has the wrong shape.",
                "Write it as the format has it; it was not checked.",
                examples=[Example(None, key, f"{list(values.shape)}, expected {expected}")],
            )
            return None
        return values.reshape(shape)

    def _wrong_type(self, key: str, severity: Severity, found: str) -> None:
        self.findings.add(
            severity,
            "array-type",
            "An array has the wrong type of numbers.",
            "Write integers (boxes may be floating-point). --fix converts whole numbers.",
            examples=[Example(None, key, found)],
        )


class _SameLength:
    """Tells arrays that have other numbers of rows than the array to which they belong."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings

    def checked(
        self, key: str, values: Any, other: str, length: int | None, severity: Severity = "error"
    ) -> np.ndarray | None:
        """The array, or None where its length is wrong."""
        if values is None or length is None or len(values) == length:
            return values
        self.findings.add(
            severity,
            "array-length",
            "Arrays that belong together have different numbers of rows.",
            "One of them is of another file or cut off; what belongs to what cannot be told.",
            examples=[Example(None, key, {key: len(values), other: length})],
        )
        return None


def _first_length(*arrays: np.ndarray | None) -> int | None:
    return next((len(values) for values in arrays if values is not None), None)


def _agree(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is None or other is None or len(one) == len(other)


def _ranges(
    kind: str, read: dict[str, np.ndarray | None], num_items: int | None, findings: Findings
) -> Owned | None:
    first, last = read[f"img_to_first_{kind}"], read[f"img_to_last_{kind}"]
    if first is None or last is None or num_items is None:
        return None
    return read_ranges(kind, first, last, num_items, findings)


def count_rows(path: Path) -> int | None:
    """How many images the file has, None where it does not say; nothing is noted."""
    try:
        with h5py.File(path, "r") as file:
            lengths = [file[key].shape for key in ("split", "img_to_first_box") if key in file]  # pyright: ignore[reportAttributeAccessIssue]
            return next((shape[0] for shape in lengths if shape), None)
    except (*_DAMAGE, AttributeError):  # a group has no shape
        return None
