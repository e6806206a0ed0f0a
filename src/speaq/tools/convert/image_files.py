"""Finds image files, and makes links to them under the names that training looks for."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from speaq.data.image_folders import SUFFIXES
from speaq.errors import SpeaqError
from speaq.images import SUFFIXES as IMAGE_SUFFIXES
from speaq.images import read_image_size
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet


def guess_folder(source: Path) -> Path | None:
    """The only folder of images beside the annotations, if there is one."""
    folder = source if source.is_dir() else source.parent
    found = [path for path in sorted(folder.iterdir()) if path.is_dir() and _has_images(path)]
    return found[0] if len(found) == 1 else None


def find_file(folder: Path, names: Sequence[str]) -> str | None:
    """The first of these names that is a file of the folder."""
    return next((name for name in names if name and os.path.isfile(folder / name)), None)  # noqa: PTH113


def sized_images(
    found: Sequence[AnnotatedImage], folder: Path | None, what: str, changes: Counter[str]
) -> list[AnnotatedImage]:
    """The images that have a file in a folder (or below it), with their sizes.

    Args:
        found: images without sizes; the names of their files may lack the suffix.
        folder: of the image files.
        what: name of the format, for messages.
        changes: the number of images without a file is added to it.

    Raises:
        SpeaqError: there is no folder, or none of the images is in it.
    """
    if folder is None:
        raise SpeaqError(f"{what} has no sizes of images: name the folder of images with --images.")
    paths = [path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES]
    files = {path.stem: path for path in paths} | {path.name: path for path in paths}
    there = []
    for image in found:
        path = files.get(PurePosixPath(image.file).name)
        if path is not None:
            image.file = path.relative_to(folder).as_posix()
            image.width, image.height = read_image_size(path)
            there.append(image)
    if found and not there:
        raise SpeaqError(f"{folder}: expected images such as {found[0].file}, found none of them.")
    changes["images without a file left out"] += len(found) - len(there)
    return there


def find_images(data: AnnotatedSet, folder: Path) -> tuple[AnnotatedSet, int]:
    """The set with the names of the files as they are found, and how many images have no file.

    A file is looked for under its name, with and without the folders in it, and under the id of its image.
    """
    names = [
        find_file(folder, [name, PurePosixPath(name).name, *(f"{image_id}{suffix}" for suffix in SUFFIXES)])
        for image_id, name in zip(data.ids, data.files, strict=True)
    ]
    files = [found or name for found, name in zip(names, data.files, strict=True)]
    return replace(data, files=files), names.count(None)


def count_other_names(data: AnnotatedSet) -> int:
    """How many files are not named after their image's id, as training looks for them."""
    return sum(
        name not in {f"{image_id}{suffix}" for suffix in SUFFIXES}
        for image_id, name in zip(data.ids, data.files, strict=True)
    )


def link_images(data: AnnotatedSet, folder: Path, links: Path) -> AnnotatedSet:
    """Make links ``<image_id>.<ending>`` to all image files.

    Args:
        data: the set, its files as found in ``folder``.
        folder: of the image files.
        links: folder for the links; links of an earlier run are replaced.

    Returns:
        The set with the names of the links.

    Raises:
        SpeaqError: a link cannot be made, or a file is in its place.
    """
    names = []
    for image_id, name in zip(data.ids, data.files, strict=True):
        suffix = PurePosixPath(name).suffix.lower()
        link = links / f"{image_id}{suffix if suffix in SUFFIXES else SUFFIXES[0]}"
        names.append(link.relative_to(links).as_posix())
        target = (folder / name).resolve()
        if not os.path.isfile(target):  # noqa: PTH113 (False for names that no file can have)
            continue
        try:
            if link.exists() and not link.is_symlink():
                raise SpeaqError(
                    f"{link}: expected no file here, where a link should be. Name another folder."
                )
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        except OSError as error:
            raise SpeaqError(f"{link}: cannot make this link ({error}).") from error
    return replace(data, files=names)


def _has_images(folder: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in folder.iterdir())
