"""Reading the image list of a Visual Genome data set: ids and sizes of the images.

I: entries of the list, or rows of the annotations.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.array_blocks import ArrayBlocks, Arrays, Texts
from speaq.data.findings import Example, Findings, FirstError
from speaq.data.vg_json import iterate_json, read_json, unreadable
from speaq.files import is_inside

# The published image list has these four images more than the published annotations have rows.
UNANNOTATED_IDS = (1592, 1722, 4616, 4617)


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images of a data set, in the order of the list.

    Attributes:
        entries: I JSON values, as they are in the file.
        ids: I ids, None where an entry has no valid one.
        sizes: (I, 2) int64, height and width in pixels, 0 where they are not known.
        rows: (I,) int64, the row of each image in its files; None if they have none.
    """

    entries: list[Any]
    ids: list[Any]
    sizes: np.ndarray
    rows: np.ndarray | None = None

    @property
    def file_names(self) -> list[str | None]:
        """The ``file_name`` of each entry, where it has one."""
        names = [entry.get("file_name") if isinstance(entry, dict) else None for entry in self.entries]
        return [name if isinstance(name, str) else None for name in names]

    def columns(self) -> dict[str, Any]:
        """Ids, all integers (I,) int64 or all texts, file names (empty where unknown), sizes and rows."""
        are_texts = bool(self.ids) and isinstance(self.ids[0], str)
        rows = {} if self.rows is None else {"rows": self.rows}
        return rows | {
            "ids": self.ids if are_texts else np.array(self.ids, np.int64),
            "file_names": [name or "" for name in self.file_names],
            "sizes": self.sizes.astype(np.int32),
        }

    @classmethod
    def of_columns(cls, arrays: Arrays, rows: np.ndarray) -> "ImageList":
        """The images of these rows of `columns` that were stored by `ArrayBlocks`."""
        ids, names, chosen = arrays["ids"], arrays["file_names"], rows.tolist()
        ids = [ids[i] for i in chosen] if isinstance(ids, Texts) else ids[rows].tolist()
        entries = [{"file_name": names[i]} for i in chosen]
        return cls(entries, ids, arrays["sizes"][rows].astype(np.int64))

    def select(self, rows: np.ndarray) -> "ImageList":
        """The images with these indices."""
        chosen = rows.tolist()
        places = None if self.rows is None else self.rows[rows]
        return ImageList(
            [self.entries[i] for i in chosen], [self.ids[i] for i in chosen], self.sizes[rows], places
        )

    def are_among(self, ids: Sequence[int | str]) -> np.ndarray:
        """Which of the images (I,) bool have one of ``ids``; 7, "7" and "7.jpg" name the same image."""
        names = {str(name).removesuffix(".jpg") for name in ids}
        if not names:
            return np.zeros(len(self.ids), dtype=bool)
        return np.array([str(image_id) in names for image_id in self.ids], dtype=bool)


def load_image_list(path: Path, *, num_rows: int, left_out: Sequence[int | str]) -> ImageList:
    """Read the images of the ``num_rows`` rows of the annotations from a sound list.

    It is a JSON list of objects with ``image_id`` (integers or strings), ``width`` and ``height``. The ids
    ``left_out`` may be in the list without a row.

    Raises:
        SpeaqError: the file is missing or malformed, or has another number of images.
    """
    findings = FirstError(path)
    images = read_image_list(path, findings)
    images = images and align_images(images, num_rows, left_out, findings)
    assert images is not None
    return images


def image_list_blocks(
    path: Path, size: int, *, num_rows: int, left_out: Sequence[int | str]
) -> Iterator[ImageList]:
    """`load_image_list` in blocks of ``size`` images, without all entries in memory.

    Raises:
        SpeaqError: as there.
    """
    findings, columns, total = FirstError(path), ArrayBlocks(), 0
    candidates = ((), UNANNOTATED_IDS, left_out)
    absent: list[list[np.ndarray]] = [[] for _ in candidates]
    kinds = set()
    try:
        entries = iterate_json(path)
        while part := list(islice(entries, size)):
            images = _parse(part, findings, total)
            kinds.add(type(images.ids[0]))
            if len(kinds) > 1:
                example = Example(images.ids[0], f"entry {total}", images.ids[0])
                findings.add("image-id-mixed", [example])
            for name, values in images.columns().items():
                columns.append(name, values)
            for ids, found in zip(candidates, absent, strict=True):
                found.append(images.are_among(ids))
            total += len(part)
    except (OSError, ValueError) as error:
        findings.add("image-list-unreadable", [unreadable(path, error)])
    for flags in map(np.concatenate, absent):
        if total - flags.sum() == num_rows:
            rows, arrays = np.flatnonzero(~flags), columns.arrays()
            for start in range(0, num_rows, size):
                yield ImageList.of_columns(arrays, rows[start : start + size])
            return
    example = Example(None, "images", {"image list": total, "annotations": num_rows})
    findings.add("image-list-length", [example], unannotated=", ".join(map(str, UNANNOTATED_IDS)))


def read_image_list(path: Path, findings: Findings) -> ImageList | None:
    """Read as much of the list as possible, and report its mistakes; None where it cannot be read at all."""
    entries = read_json(path, list, "image-list-unreadable", findings)
    return None if entries is None else _parse(entries, findings)


def _parse(entries: list[Any], findings: Findings, start: int = 0) -> ImageList:
    """The images of a part of the list, whose first entry has the number ``start``."""
    codes = (
        "image-entry",
        "image-id-missing",
        "image-id-type",
        "image-id-path",
        "image-id-mixed",
        "image-size",
    )
    cases: dict[str, list[Example]] = {code: [] for code in codes}
    ids: list[Any] = []
    sizes: list[tuple[int, int]] = []
    for number, entry in enumerate(entries, start):
        code, found = _id_problem(entry)
        if code:
            cases[code].append(Example(None, f"entry {number}", found))
        ids.append(None if code else entry["image_id"])
        members = entry if isinstance(entry, dict) else {}
        height, width = members.get("height"), members.get("width")
        if type(height) is int and type(width) is int and 0 < height < 2**31 and 0 < width < 2**31:
            sizes.append((height, width))
            continue
        sizes.append((0, 0))
        if members:
            found = {"width": width, "height": height}
            cases["image-size"].append(Example(members.get("image_id"), f"entry {number}", found))
    kinds = [[i for i, image_id in enumerate(ids) if isinstance(image_id, kind)] for kind in (int, str)]
    cases["image-id-mixed"] = [Example(ids[i], f"entry {start + i}", ids[i]) for i in min(kinds, key=len)]
    for code, examples in cases.items():
        findings.add(code, examples)
    return ImageList(entries, ids, np.array(sizes, dtype=np.int64))


def _id_problem(entry: Any) -> tuple[str, Any]:
    """Code of what is wrong with the id of an entry and what was found; an empty code for a sound id."""
    if not isinstance(entry, dict):
        return "image-entry", entry
    if "image_id" not in entry:
        return "image-id-missing", ", ".join(map(str, entry)) or "an empty object"
    image_id = entry["image_id"]
    if not (isinstance(image_id, str) or (type(image_id) is int and abs(image_id) < 2**63)):
        return "image-id-type", image_id
    if isinstance(image_id, str) and not is_inside(image_id):
        return "image-id-path", image_id
    return "", None


def align_images(
    images: ImageList, num_rows: int, left_out: Sequence[int | str], findings: Findings
) -> ImageList | None:
    """The images of the annotation rows, in order; None where the list has another number of images.

    The published list is longer than the published annotations by the four images of `UNANNOTATED_IDS`;
    other data sets may have such images too and name them (``left_out``).
    """
    for surplus in ((), UNANNOTATED_IDS, left_out):
        absent = images.are_among(surplus)
        if len(absent) - absent.sum() == num_rows:
            rows = np.flatnonzero(absent).tolist()
            examples = [Example(images.ids[i], f"entry {i}", "no row") for i in rows]
            findings.add("image-list-unannotated", examples)
            return images.select(np.flatnonzero(~absent)) if examples else images
    example = Example(None, "images", {"image list": len(images.ids), "annotations": num_rows})
    findings.add("image-list-length", [example], unannotated=", ".join(map(str, UNANNOTATED_IDS)))
    return None
