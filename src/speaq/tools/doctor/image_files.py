"""Checks of the image files.

I: images.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speaq.data.findings import Example, Findings
from speaq.data.vg_image_list import ImageList
from speaq.data.visual_genome import SUFFIXES
from speaq.errors import SpeaqError
from speaq.images import read_image_size


@dataclass(frozen=True, slots=True)
class ImageFiles:
    """The files of I images.

    Attributes:
        names: name of each file within the folder, None where there is none.
        unreadable: (I,) bool, files that were opened and are not images.
        sizes: (I, 2) int64, height and width of the files that were opened, 0 elsewhere.
        contents: a digest of each file that was opened and has the length of another one, else None.
    """

    names: list[str | None]
    unreadable: np.ndarray
    sizes: np.ndarray
    contents: list[bytes | None]

    @property
    def missing(self) -> np.ndarray:
        """(I,) bool, images without a file."""
        return np.array([name is None for name in self.names], dtype=bool)


def read_image_files(
    folder: Path,
    ids: Sequence[int | str | None],
    opened: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
) -> ImageFiles:
    """Look for the files by listing the folder, and open some of them.

    Args:
        folder: of the images.
        ids: of I images.
        opened: (I,) bool, whose files to open: headers, and contents where lengths agree.
        progress: called with (files opened, files to open).
    """
    listings: dict[str, set[str]] = {}
    names = [None if image_id is None else _find(folder, str(image_id), listings) for image_id in ids]
    rows = [row for row in np.flatnonzero(opened).tolist() if names[row] is not None]
    unreadable, sizes = np.zeros(len(ids), dtype=bool), np.zeros((len(ids), 2), dtype=np.int64)
    by_length: dict[int, list[int]] = {}
    for done, row in enumerate(rows, start=1):
        path = folder / str(names[row])
        try:
            width, height = read_image_size(path)
            sizes[row] = height, width
            by_length.setdefault(path.stat().st_size, []).append(row)
        except (SpeaqError, OSError):
            unreadable[row] = True
        if progress is not None:
            progress(done, len(rows))
    contents: list[bytes | None] = [None] * len(ids)
    for alike in by_length.values():
        if len({names[row] for row in alike}) > 1:  # one file listed twice is a mistake of the ids
            for row in alike:
                with (folder / str(names[row])).open("rb") as file:
                    contents[row] = hashlib.file_digest(file, "blake2b").digest()
    return ImageFiles(names, unreadable, sizes, contents)


def check_image_files(
    folder: Path, listed: ImageList, files: ImageFiles, left_out: np.ndarray, findings: Findings
) -> None:
    """Report what is wrong with the files of images that are not ``left_out`` (I,) bool."""
    shown = np.array(
        [name or f"{image}{SUFFIXES[0]}" for name, image in zip(files.names, listed.ids, strict=True)]
    )
    named = np.array([image is not None for image in listed.ids], dtype=bool)
    missing = files.missing & named & ~left_out
    suffixes = ", ".join(SUFFIXES)
    findings.add_rows("image-missing", "image", missing, shown, suffixes=suffixes, folder=folder)
    findings.add_rows("image-unreadable", "image", files.unreadable & ~left_out, shown)
    known = (files.sizes > 0).all(axis=1) & (listed.sizes > 0).all(axis=1)
    differ = known & (files.sizes != listed.sizes).any(axis=1) & ~left_out
    findings.add_rows("image-size-differs", "image", differ, np.hstack((listed.sizes, files.sizes)))
    spare = sorted({name for name in os.listdir(folder) if name.endswith(SUFFIXES)} - set(files.names))  # noqa: PTH208
    examples = [Example(None, name, "not listed") for name in spare[: findings.limit]]
    findings.add("image-not-listed", examples, count=len(spare))


def _find(folder: Path, image_id: str, listings: dict[str, set[str]]) -> str | None:
    """The name of an image's file; every folder is listed once, which is faster than to ask for each file."""
    parent = image_id.rpartition("/")[0]
    if parent not in listings:
        try:
            prefix = f"{parent}/" if parent else ""
            listings[parent] = {prefix + name for name in os.listdir(folder / parent)}  # noqa: PTH208
        except (OSError, ValueError):
            listings[parent] = set()
    return next((name for suffix in SUFFIXES if (name := image_id + suffix) in listings[parent]), None)
