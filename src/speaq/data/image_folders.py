"""Finds the image files of a data set by the ids of its images."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from speaq.errors import SpeaqError, first_names

SUFFIXES = (".jpg", ".png", ".jpeg", ".webp", ".bmp")
"""Endings of image files, in upper or lower case; of several files of an image the first ending counts."""

_SIBLINGS = ("VG_100K", "VG_100K_2")  # the two archives of Visual Genome's images


class ImageFolders:
    """One or several folders of image files, named ``<image id><ending>`` or as the image list says.

    A folder is listed once, which is faster than to ask for every file. The images of Visual Genome come in
    two archives: beside a folder VG_100K, a folder VG_100K_2 is searched too, and the other way round.

    Args:
        folders: in the order in which they are searched.

    Attributes:
        are_listed: False to ask for every file instead, which takes no memory for the names; endings are then
            in lower or in upper case.

    Raises:
        SpeaqError: a folder does not exist.
    """

    def __init__(self, folders: str | Path | Sequence[str | Path]):
        self.are_listed = True
        given = [folders] if isinstance(folders, str | Path) else folders
        self.folders = [Path(folder) for folder in given]
        for folder in self.folders:
            if not folder.is_dir():
                raise SpeaqError(f"{folder}: there is no such folder of images. Check the path.")
        self.folders += [sibling for sibling in self._siblings() if sibling not in self.folders]
        self._listings: dict[Path, dict[str, str]] = {}

    def __str__(self) -> str:
        return ", ".join(map(str, self.folders))

    def find(self, image_id: int | str, file_name: str | None = None) -> Path | None:
        """The file of an image; None if there is none.

        Args:
            image_id: the file is ``<image id><ending>``, unless there is one with the other name.
            file_name: another name, with its ending and within the folders; others are ignored.
        """
        stem, suffix = os.path.splitext(file_name or "")  # noqa: PTH122
        if file_name and not file_name.startswith("/") and ".." not in file_name.split("/"):
            found = self._find(stem, (suffix.lower(),))
            if found is not None:
                return found
        return self._find(str(image_id), SUFFIXES)

    def _find(self, stem: str, suffixes: Sequence[str]) -> Path | None:
        parent, _, name = _normalized(stem).rpartition("/")
        for folder in self.folders:
            if not self.are_listed:
                ends = [end for suffix in suffixes for end in (suffix, suffix.upper())]
                files = (folder / f"{form}{end}" for end in ends for form in _forms(stem))
                if (file := next(filter(os.path.isfile, files), None)) is not None:  # never raises
                    return file
                continue
            listing = self._listing(folder / parent if parent else folder)
            for suffix in suffixes:
                if name + suffix in listing:
                    return folder / parent / listing[name + suffix]
        return None

    def find_all(
        self, image_ids: Sequence[int | str], file_names: Sequence[str | None] | None = None
    ) -> list[Path]:
        """The files of images, which may have other names than their ids: see `find`.

        Raises:
            SpeaqError: some have none; the message names the first ones.
        """
        names = file_names or [None] * len(image_ids)
        files = [self.find(image_id, name) for image_id, name in zip(image_ids, names, strict=True)]
        missing = [image_id for image_id, file in zip(image_ids, files, strict=True) if file is None]
        if missing:
            shown = first_names(missing)
            raise SpeaqError(
                f"{self}: {len(missing):,} of {len(image_ids):,} images have no file ({shown}); expected "
                f"{missing[0]}{SUFFIXES[0]}, or an ending of {', '.join(SUFFIXES[1:])}. Add the files, or "
                "name the ids under CORRUPTED_IMAGES."
            )
        return [file for file in files if file is not None]

    def all_files(self) -> Iterator[Path]:
        """The image files in the folders, without those in folders below."""
        for folder in self.folders:
            yield from (folder / name for name in self._listing(folder).values())

    def _siblings(self) -> Iterator[Path]:
        for folder in self.folders:
            if folder.name in _SIBLINGS:
                yield from (sibling for name in _SIBLINGS if (sibling := folder.with_name(name)).is_dir())

    def _listing(self, folder: Path) -> dict[str, str]:
        """Names of the image files of a folder, by the name with its ending in lower case."""
        if folder not in self._listings:
            names: dict[str, str] = {}
            try:
                found = sorted(os.listdir(folder))  # noqa: PTH208 (a Path per file is slow)
            except (OSError, ValueError):
                found = []
            for name in found:  # a.jpg replaces a.JPG
                stem, suffix = os.path.splitext(name)  # noqa: PTH122
                if suffix.lower() in SUFFIXES:
                    names[_normalized(stem) + suffix.lower()] = name
            self._listings[folder] = names
        return self._listings[folder]


def _forms(name: str) -> list[str]:
    """The name with its characters composed and decomposed."""
    return [name] if name.isascii() else [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]


def _normalized(name: str) -> str:
    """The name with composed characters; some systems store file names decomposed."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
