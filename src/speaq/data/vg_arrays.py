"""Reading the arrays of a Visual Genome HDF5 file that may be damaged.

Shape letters: see `speaq.structures`, with N and M counted over the whole file; I: images of the file.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from speaq.data.finding_kinds import Severity
from speaq.data.findings import Example, Findings
from speaq.data.vg_ranges import ImageRows, find_image_rows
from speaq.files import read_texts, regular, stored_array

DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)
"""What h5py raises for damaged files."""
_INTEGERS = "iufb"  # are converted to int64; arrays of other kinds keep their type


_LAST = {"img_to_last_box": "boxes", "img_to_last_rel": "relations"}

CONFIDENCES = "relation_confidences"
"""Name of the optional array (M,) that says how certain each relation is, in 0..1."""

SOURCES = "relation_sources"
"""Name of the optional array (M,) of texts: who or what made each relation; empty where not known."""


class _Format(NamedTuple):
    """What the rows of an array stand for, its columns (None: any number) and its NumPy kinds."""

    rows: str
    columns: int | None = 1
    kinds: str = _INTEGERS
    severity: Severity = "error"  # where the array cannot be used
    required: bool = True


_FORMATS = {
    "split": _Format("images"),
    "img_to_first_box": _Format("images"),
    "img_to_last_box": _Format("images"),
    "img_to_first_rel": _Format("images"),
    "img_to_last_rel": _Format("images"),
    "boxes": _Format("boxes", 4, "iuf"),
    "labels": _Format("boxes"),
    "relationships": _Format("relations", 2),
    "predicates": _Format("relations"),
    "other_boxes": _Format("boxes", 4, "iuf", severity="warning", required=False),
    "attributes": _Format("boxes", None, "iu", severity="warning", required=False),
    CONFIDENCES: _Format("relations", kinds="iuf", required=False),
    SOURCES: _Format("relations", kinds="U", required=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawArrays:
    """The arrays as they are in the file.

    Attributes:
        box_scale: the frame that is read, 1024 or 512.
        values: the arrays that can be used, by name: split and img_to_first_box to img_to_last_rel (I,),
            labels (N,), relationships (M, 2) and predicates (M,), int64; boxes and other_boxes (N, 4),
            (cx, cy, w, h) in the frame that is read and in the other one; attributes (N, any number). Class
            numbers and attributes count from 1, rows from 0.
        boxes, relations: the rows of each image.
        num_boxes: N, None where boxes and labels disagree on it or are missing.
        starts: the first of the images, boxes and relations that were read.
        unread: names of further arrays in the file, and of optional ones that cannot be used.
    """

    box_scale: int
    values: dict[str, np.ndarray]
    boxes: ImageRows
    relations: ImageRows
    num_boxes: int | None
    starts: dict[str, int]
    unread: tuple[str, ...]

    @property
    def other_ratio(self) -> float:
        """Coordinates in the other frame, relative to the frame that is read."""
        return (1536 - self.box_scale) / self.box_scale

    def key(self, name: str) -> str:
        """The name of an array in the file."""
        return _key(name, self.box_scale)

    def missing(self) -> list[str]:
        """Arrays that training needs and that are missing or cannot be used."""
        return [self.key(name) for name in _required() if name not in self.values]

    def report(self, code: str, name: str, bad: np.ndarray, findings: Findings, **fields: Any) -> None:
        """Report the rows of an array that are ``bad`` (rows,) bool."""
        rows = _FORMATS[name].rows
        owners = {"boxes": self.boxes.owners, "relations": self.relations.owners}.get(rows)
        start, values = self.starts[rows], self.values[name]
        findings.add_rows(code, self.key(name), bad, values, owners=owners, start=start, **fields)


def read_arrays(
    path: Path, box_scale: int, findings: Findings, *, unused: bool = True, images: slice | None = None
) -> RawArrays | None:
    """Read as much of the file as possible, and report its mistakes; None where it cannot be opened.

    The arrays that training does not use are the attributes and the boxes of the other frame. With
    ``images`` only these are read, with the boxes and relations from their first to their last one, from
    where their ranges then count.
    """
    try:
        file = h5py.File(regular(path), "r")
        keys = set(file)
    except DAMAGE as error:
        found = str(error) if path.is_file() else "there is no such file"
        findings.add("h5-unreadable", [Example(None, path.name, found)])
        return None
    values: dict[str, np.ndarray] = {}
    whole = slice(None)
    parts = {"images": images or whole, "boxes": whole, "relations": whole}
    lengths: dict[str, int] = {}  # of the whole arrays
    with file:
        for name, expected in _FORMATS.items():
            key, is_used = _key(name, box_scale), expected.severity == "error"
            if not (unused or is_used) or (key not in keys and is_used and not expected.required):
                continue
            if key not in keys and not expected.required:
                findings.add("array-absent", [Example(None, key, "no such array")])
            elif (array := _read_array(file, key, expected, parts[expected.rows], findings)) is not None:
                values[name] = array
                lengths[name] = len(stored_array(file, key))
            if images is not None and name in _LAST:
                parts[_LAST[name]] = _rows_between(values, name.replace("last", "first"), name)
    num_images, _ = _compare_lengths("images", values, lengths, box_scale, findings)
    boxes = _compare_lengths("boxes", values, lengths, box_scale, findings)
    relations = _compare_lengths("relations", values, lengths, box_scale, findings)
    starts = {rows: part.start or 0 for rows, part in parts.items()}
    unread = keys - {_key(name, box_scale) for name in values.keys() | set(_required())}
    return RawArrays(
        box_scale=box_scale,
        values=values,
        boxes=find_image_rows("box", values, num_images, *boxes, starts, findings),
        relations=find_image_rows("rel", values, num_images, *relations, starts, findings),
        num_boxes=next((lengths[key] for key in ("boxes", "labels") if key in values and boxes[1]), None),
        starts=starts,
        unread=tuple(sorted(unread)),
    )


def count_rows(path: Path) -> int | None:
    """How many images the file has, None where that is not known; nothing is reported."""
    try:
        with h5py.File(regular(path), "r") as file:
            keys = [key for key in ("split", "img_to_first_box") if key in set(file)]
            return next((len(stored_array(file, key)) for key in keys), None)
    except DAMAGE:
        return None


def has_validation(path: Path) -> bool:
    """Whether images are marked for validation; nothing is reported."""
    try:
        with h5py.File(regular(path), "r") as file:
            return bool((stored_array(file, "split")[()] == 1).any())
    except DAMAGE:
        return False


def _rows_between(values: dict[str, np.ndarray], first: str, last: str) -> slice:
    """The rows from the first to the last one of all images, from whose start the ranges then count."""
    if first not in values or last not in values:
        return slice(0)
    some = values[first] >= 0
    start = int(values[first][some].min(initial=2**62)) if some.any() else 0
    part = slice(start, int(max(values[first].max(initial=start), values[last].max(initial=start))) + 1)
    for name in (first, last):
        values[name] = np.where(values[name] < 0, values[name], values[name] - start)
    return part


def _required() -> list[str]:
    return [name for name, array in _FORMATS.items() if array.required]


def _key(name: str, box_scale: int) -> str:
    return {"boxes": f"boxes_{box_scale}", "other_boxes": f"boxes_{1536 - box_scale}"}.get(name, name)


def _read_array(
    file: h5py.File, key: str, expected: _Format, part: slice, findings: Findings
) -> np.ndarray | None:
    """The values (rows, columns), or (rows,) of integers in one column; None where they cannot be used."""
    code, found, values = "", "", np.empty(0)
    try:
        if key in set(file):
            data = stored_array(file, key)
            is_text = h5py.check_string_dtype(data.dtype) is not None
            if ("U" if is_text else data.dtype.kind) in expected.kinds:
                rows = part if data.ndim else ()
                values = np.array(read_texts(data, part), dtype=str) if is_text else np.asarray(data[rows])
            else:
                values = np.empty(0, data.dtype)
        else:
            code, found = "array-missing", f"only {', '.join(file) or 'an empty file'}"
    except DAMAGE as error:
        code, found = "array-unreadable", str(error)
    shape = values.shape if values.ndim != 1 else (len(values), 1)
    if not code and values.dtype.kind not in expected.kinds:
        code, found = "array-type", str(values.dtype)
    elif not code and (len(shape) != 2 or expected.columns not in (None, shape[1])):
        columns = "rows and columns" if expected.columns is None else f"{expected.columns} column(s)"
        code, found = "array-shape", f"{list(values.shape)}, expected {columns}"
    if code:
        findings.add(code, [Example(None, key, found)], severity=expected.severity)
        return None
    if expected.kinds != _INTEGERS:
        return values.reshape(shape)
    if values.dtype.kind not in "iu":
        whole = np.isfinite(values) & (np.trunc(values) == values)
        found = f"{values.dtype}, {(~whole).sum()} of its numbers not whole"
        findings.add("array-type", [Example(None, key, found)])
        values = np.where(whole, values, -1)
    return values.astype(np.int64).reshape(-1 if expected.columns == 1 else shape)


def _compare_lengths(
    rows: str, values: dict[str, np.ndarray], lengths: dict[str, int], box_scale: int, findings: Findings
) -> tuple[int, bool]:
    """The rows read of the arrays that belong together, and whether they are sure to be that many.

    Arrays of another length are reported and removed from ``values``.
    """
    names = [name for name, array in _FORMATS.items() if array.rows == rows and name in values]
    if not names:
        return 0, False
    num_rows, agreed = lengths[names[0]], True
    for name in names[1:]:
        if lengths[name] != num_rows:
            severity, key = _FORMATS[name].severity, _key(name, box_scale)
            found = {key: lengths[name], _key(names[0], box_scale): num_rows}
            del values[name]
            findings.add("array-length", [Example(None, key, found)], severity=severity)
            agreed &= not _FORMATS[name].required
    return len(values[names[0]]), agreed
