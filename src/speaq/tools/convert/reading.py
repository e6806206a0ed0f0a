"""What every format has: files that are found, and images that are read from them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import StrictInt

from speaq.data.records import split_of
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet

Triplet = tuple[StrictInt, StrictInt, StrictInt]  # subject, object, predicate


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a format.

    Attributes:
        expected: what they are, for messages.
        find: those at a path, a file or a folder; none if it does not hold the format.
        by_content: their names do not identify the format, so that files must be searched.
    """

    expected: str
    find: Callable[[Path], list[Path]]
    by_content: bool = False

    @classmethod
    def named(cls, pattern: str) -> "Files":
        """Files with such names."""
        return cls(f"files {pattern}", lambda source: files_named(source, pattern))

    @classmethod
    def with_key(cls, key: str, expected: str = "") -> "Files":
        """JSON files with this key in them."""
        text = f'"{key}"'.encode()
        find = partial(files_with, text=text, patterns=("*.json",))
        return cls(expected or f"JSON with '{key}'", find, by_content=True)


@dataclass(frozen=True, slots=True)
class Format:
    """How one format is found, read and written.

    Attributes:
        name: on the command line.
        layout: description of the files.
        files: how they are found.
        read_files: the set in such files; the arguments are the path, its files, and the folder of images,
            where it is known.
        write: writes a set to a folder and names the files; the last argument is the folder of images, where
            it is known. None where there is no exporter.
        extract_images: writes the images that are part of the files to a folder (the last argument), and
            returns the set with their names, or None if there are none.
        keeps_confidences: ``write`` writes the confidences and sources of relations.
    """

    name: str
    layout: str
    files: Files
    read_files: Callable[..., AnnotatedSet]
    write: Callable[[AnnotatedSet, Path, Path | None], list[Path]] | None = None
    extract_images: Callable[[Path, AnnotatedSet, Path], AnnotatedSet | None] | None = None
    keeps_confidences: bool = False

    def read(self, source: Path, images: Path | None = None, **options: str) -> AnnotatedSet:
        """The set in a file or a folder.

        Args:
            source: the file or folder.
            images: folder of the images, where it is known.
            options: of the format.

        Raises:
            SpeaqError: there is no file of the format, or one does not have its layout.
        """
        paths = self.files.find(source)
        if not paths:
            raise SpeaqError(f"{source}: expected {self.files.expected}, found none.")
        return self.read_files(source, paths, images, **options)


def image_by_image(
    images_of: Callable[[Path], Iterable[AnnotatedImage]],
) -> Callable[[Path, Sequence[Path], Path | None], AnnotatedSet]:
    """The ``read_files`` of a format whose files are independent and have the names of their classes."""

    def read_files(source: Path, paths: Sequence[Path], images: Path | None) -> AnnotatedSet:
        return AnnotatedSet.from_images(source, read_images(paths, images_of))

    return read_files


def read_images(
    paths: Sequence[Path], images_of: Callable[[Path], Iterable[AnnotatedImage]]
) -> list[AnnotatedImage]:
    """The images of all files; those without a split have the one in the name of their file."""
    found = []
    for path in paths:
        for image in images_of(path):
            if image.split < 0:
                image.split = split_of(path, alone=len(paths) == 1)
            found.append(image)
    return found


def files_named(source: Path, pattern: str) -> list[Path]:
    """The source itself, or the files of a folder, with such a name."""
    if source.is_dir():
        return sorted(source.glob(pattern))
    return [source] if source.match(pattern) else []


def files_with(source: Path, *, text: bytes, patterns: Sequence[str], size: int = -1) -> list[Path]:
    """Of `files_named`, those with a text in their first ``size`` bytes; by default all bytes.

    Raises:
        SpeaqError: a file cannot be read.
    """
    found = []
    for path in [path for pattern in patterns for path in files_named(source, pattern) if path.is_file()]:
        try:
            with path.open("rb") as file:
                found += [path] if text in file.read(size) else []
        except OSError as error:
            raise SpeaqError(f"{path}: cannot read this file ({error.strerror}).") from error
    return found


def one_of(source: Path, pattern: str, what: str) -> Path:
    """The one file of a folder with such a name.

    Raises:
        SpeaqError: there is none, or more than one.
    """
    found = sorted(source.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SpeaqError(
            f"{source}: expected one {what} ({pattern}) in this folder, found {names}. Put links to the "
            "files of one data set into a folder of its own."
        )
    return found[0]
