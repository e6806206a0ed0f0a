"""Reading the image list of a Visual Genome data set: ids and sizes of the images.

I: entries of the list, or rows of the annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from speaq.data.findings import Example, Findings, FirstError
from speaq.data.vg_json import read_json

# The published image list has these four images more than the published annotations have rows.
UNANNOTATED_IDS = (1592, 1722, 4616, 4617)


@dataclass(frozen=True, slots=True)
class ImageList:
    """The images of a data set, in the order of the list.

    Attributes:
        entries: I JSON values, as they are in the file.
        ids: I ids, None where an entry has no usable one.
        sizes: (I, 2) int64, height and width in pixels, 0 where they are not known.
    """

    entries: list[Any]
    ids: list[Any]
    sizes: np.ndarray

    def select(self, rows: np.ndarray) -> "ImageList":
        """The images with these indices."""
        chosen = rows.tolist()
        return ImageList([self.entries[i] for i in chosen], [self.ids[i] for i in chosen], self.sizes[rows])

    def are_among(self, ids: Sequence[int | str]) -> np.ndarray:
        """Which of the images (I,) bool have one of ``ids``; 7, "7" and "7.jpg" name the same image."""
        names = {str(name).removesuffix(".jpg") for name in ids}
        if not names:
            return np.zeros(len(self.ids), dtype=bool)
        return np.array([str(image_id) in names for image_id in self.ids], dtype=bool)


def load_image_list(path: Path, *, num_rows: int, left_out: Sequence[int | str]) -> ImageList:
    """Read the images of the annotation rows from a sound list.

    Args:
        path: a JSON list of objects with ``image_id``, ``width`` and ``height``.
        num_rows: rows of the annotations.
        left_out: ids that may be in the list without a row, besides the published four.

    Returns:
        A list of ``num_rows`` images; the ids are integers or strings.

    Raises:
        SpeaqError: the file is missing or malformed, or has another number of images.
    """
    findings = FirstError(path)
    images = read_image_list(path, findings)
    images = images and align_images(images, num_rows, left_out, findings)
    assert images is not None
    return images


def read_image_list(path: Path, findings: Findings) -> ImageList | None:
    """Read as much of the list as possible, and report its mistakes; None where it cannot be read at all."""
    entries, problem = read_json(path, findings)
    if not isinstance(entries, list) or not entries:
        example = Example(None, path.name, problem or f"it holds {entries!r:.60}")
        findings.add("image-list-unreadable", [example])
        return None
    malformed = [Example(None, f"entry {i}", x) for i, x in enumerate(entries) if not isinstance(x, dict)]
    findings.add("image-entry", malformed)
    return ImageList(entries, _read_ids(entries, findings), _read_sizes(entries, findings))


def _read_ids(entries: list[Any], findings: Findings) -> list[Any]:
    examples: dict[str, list[Example]] = {"image-id-missing": [], "image-id-type": [], "image-id-path": []}
    ids: list[Any] = []
    for number, entry in enumerate(entries):
        image_id, code = None, ""
        if isinstance(entry, dict):
            found = image_id = entry.get("image_id")
            if "image_id" not in entry:
                code, found = "image-id-missing", ", ".join(map(str, entry)) or "an empty object"
            elif not (isinstance(image_id, str) or (type(image_id) is int and abs(image_id) < 2**63)):
                code = "image-id-type"
            elif isinstance(image_id, str) and _leaves_folder(image_id):
                code = "image-id-path"
            if code:
                examples[code].append(Example(None, f"entry {number}", found))
        ids.append(None if code else image_id)
    for code, cases in examples.items():
        findings.add(code, cases)
    kinds = [[i for i, image_id in enumerate(ids) if isinstance(image_id, kind)] for kind in (int, str)]
    rarer = min(kinds, key=len)
    findings.add("image-id-mixed", [Example(ids[i], f"entry {i}", ids[i]) for i in rarer])
    return ids


def _leaves_folder(name: str) -> bool:
    if not any(sign in name for sign in ("/", "\\", "..")):  # a path is slow to make
        return False
    return PurePath(name).is_absolute() or ".." in PurePath(name).parts


def _read_sizes(entries: list[Any], findings: Findings) -> np.ndarray:
    """Heights and widths (I, 2), 0 where one of the two is not a positive integer."""
    sides: list[int] = []
    examples = []
    for number, entry in enumerate(entries):
        height, width = (entry.get("height"), entry.get("width")) if isinstance(entry, dict) else (0, 0)
        if type(height) is int and type(width) is int and 0 < height < 2**31 and 0 < width < 2**31:
            sides += (height, width)
            continue
        sides += (0, 0)
        if isinstance(entry, dict) and entry:
            found = {key: entry.get(key) for key in ("width", "height")}
            examples.append(Example(entry.get("image_id"), f"entry {number}", found))
    findings.add("image-size", examples)
    return np.array(sides, dtype=np.int64).reshape(-1, 2)


def align_images(
    images: ImageList, num_rows: int, left_out: Sequence[int | str], findings: Findings
) -> ImageList | None:
    """The images of the annotation rows, in order; None where the list has another number of images.

    The published list is longer than the published annotations by the four images of `UNANNOTATED_IDS`;
    other data sets may have such images too and name them.

    Args:
        images: the whole list.
        num_rows: rows of the annotations.
        left_out: ids that may be in the list without a row, besides the published four.
        findings: to report to.
    """
    for surplus in ((), UNANNOTATED_IDS, left_out):
        absent = images.are_among(surplus)
        if len(absent) - absent.sum() == num_rows:
            examples = [
                Example(images.ids[i], f"entry {i}", "no row") for i in np.flatnonzero(absent).tolist()
            ]
            findings.add("image-list-unannotated", examples)
            return images.select(np.flatnonzero(~absent)) if examples else images
    example = Example(None, "images", {"image list": len(images.ids), "annotations": num_rows})
    fields = {"unannotated": ", ".join(map(str, UNANNOTATED_IDS))}
    findings.add("image-list-length", [example], fields=fields)
    return None
