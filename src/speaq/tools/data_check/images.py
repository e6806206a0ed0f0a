"""Checks of the image files, of duplicate images, and of evaluation images that are trained on.

I: images.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.findings import Example, Findings
from speaq.data.image_folders import SUFFIXES, ImageFolders
from speaq.data.selection import SPLITS
from speaq.data.vg_image_list import ImageList
from speaq.errors import SpeaqError
from speaq.images import read_image_file, read_image_size


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of I images.

    Attributes:
        paths: of each file, None where there is none.
        missing: (I,) bool, images without a file.
        unreadable: (I,) bool, files that were opened and are damaged or not images.
        sizes: (I, 2) int64, height and width of the files that were opened, turned as training turns them; 0
            elsewhere.
        contents: a digest of each file that was opened and has the length of another one, else None.
    """

    paths: list[Path | None]
    missing: np.ndarray
    unreadable: np.ndarray
    sizes: np.ndarray
    contents: list[bytes | None]


def read_image_files(
    folders: ImageFolders,
    listed: ImageList,
    opened: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
) -> ImageFiles:
    """Look for the files of I images by listing the folders, and open those of ``opened`` (I,) bool.

    They are decoded. ``progress`` is called with (files opened, files to open).
    """
    ids = listed.ids
    paths = [
        None if image_id is None else folders.find(image_id, name)
        for image_id, name in zip(ids, listed.file_names, strict=True)
    ]
    missing = are_none(paths)
    unreadable, sizes = np.zeros(len(ids), dtype=bool), np.zeros((len(ids), 2), dtype=np.int64)
    by_length: dict[int, list[int]] = {}
    rows = np.flatnonzero(opened & ~missing).tolist()
    for done, row in enumerate(rows, start=1):
        path = paths[row]
        assert path is not None
        try:
            listed_height, listed_width = listed.sizes[row].tolist()
            width, height = read_image_size(path, listed=(listed_width, listed_height))
            read_image_file(path)
            sizes[row] = height, width
            by_length.setdefault(path.stat().st_size, []).append(row)
        except (SpeaqError, OSError):
            unreadable[row] = True
        if progress is not None:
            progress(done, len(rows))
    contents: list[bytes | None] = [None] * len(ids)
    for alike in by_length.values():
        if len({paths[row] for row in alike}) > 1:  # one file listed twice is a mistake of the ids
            for row in alike:
                with Path(str(paths[row])).open("rb") as file:
                    contents[row] = hashlib.file_digest(file, "blake2b").digest()
    return ImageFiles(paths, missing, unreadable, sizes, contents)


def are_none(values: Sequence[Any]) -> np.ndarray:
    """Which of the values are None."""
    return np.array([value is None for value in values], dtype=bool)


def check_image_files(
    folders: ImageFolders | None,
    listed: ImageList,
    files: ImageFiles,
    left_out: np.ndarray,
    findings: Findings,
) -> None:
    """Report what is wrong with the files of images that are not ``left_out`` (I,) bool.

    Without ``folders`` they are in the rows of Parquet files.
    """
    shown = np.array(
        [path.name if path else f"{i}{SUFFIXES[0]}" for i, path in zip(listed.ids, files.paths, strict=True)]
    )
    missing = files.missing & ~are_none(listed.ids) & ~left_out
    suffixes = ", ".join(SUFFIXES)
    place = folders or "the Parquet files"
    findings.add_rows("image-missing", "image", missing, shown, suffixes=suffixes, folder=place)
    findings.add_rows("image-unreadable", "image", files.unreadable & ~left_out, shown)
    known = (files.sizes > 0).all(axis=1) & (listed.sizes > 0).all(axis=1)
    differ = known & (files.sizes != listed.sizes).any(axis=1) & ~left_out
    findings.add_rows("image-size-differs", "image", differ, np.hstack((listed.sizes, files.sizes)))
    spare = sorted(set(folders.all_files()) - set(files.paths)) if folders else []
    examples = [Example(None, path.name, "not listed") for path in spare[: findings.limit]]
    findings.add("image-not-listed", examples, count=len(spare))


def surplus(keys: Sequence[Any], split: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Which images (I,) bool to leave out so that every key occurs once among those not ``ignored`` (I,).

    One of the test split stays, else one of the validation split, else the first.
    """
    out = np.zeros(len(keys), dtype=bool)
    for rows in _groups(keys, ignored):
        kept = max(rows, key=lambda row: split[row])  # the first of the last split
        out[[row for row in rows if row != kept]] = True
    return out


def check_duplicates(
    ids: Sequence[Any], contents: Sequence[Any], split: np.ndarray, ignored: np.ndarray, findings: Findings
) -> None:
    """Report images, but for those ``ignored`` (I,) bool, with the same id or the same content of the file.

    Ids and contents are None where they are not known; ``split`` (I,) is 0 train, 1 validation, 2 test.
    """
    repeated, leaked = _repeated(_groups(ids, ignored), ids, split)
    findings.add("image-id-duplicate", repeated)
    findings.add("leak-same-id", leaked)
    # Images with the same id have the same file; that is no second mistake.
    groups = _groups(contents, ignored | surplus(ids, split, ignored))
    repeated, leaked = _repeated(groups, ids, split)
    leaked_places = {case.place for case in leaked}
    findings.add("image-same-content", [case for case in repeated if case.place not in leaked_places])
    findings.add("leak-same-content", leaked)


def _groups(keys: Sequence[Any], ignored: np.ndarray) -> list[list[int]]:
    """The rows of each key that occurs more than once; 7 and "7" are the same key, None is not one."""
    rows: dict[str, list[int]] = {}
    for row in np.flatnonzero(~(ignored | are_none(keys))).tolist():
        rows.setdefault(str(keys[row]), []).append(row)
    return [alike for alike in rows.values() if len(alike) > 1]


def _repeated(
    groups: list[list[int]], ids: Sequence[Any], split: np.ndarray
) -> tuple[list[Example], list[Example]]:
    """The images of each group but the first, and, of every group in more than one split, the first."""
    repeated, leaked = [], []
    for rows in groups:
        place = ", ".join(dict.fromkeys(f"image {ids[row]}" for row in rows))
        numbers = split[rows].tolist()
        names = [SPLITS[n] if 0 <= n < len(SPLITS) else f"split {n}" for n in numbers]
        shown = {f"row {row}": name for row, name in zip(rows, names, strict=True)}
        repeated += [Example(str(ids[row]), place, shown) for row in rows[1:]]
        if len(set(numbers)) > 1:
            leaked.append(Example(str(ids[rows[0]]), place, shown))
    return repeated, leaked
