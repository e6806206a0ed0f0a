"""Many images in, files out: which images, where the results of each go, and which are there already."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from speaq.errors import SpeaqError
from speaq.images import image_files, is_one_image, is_pattern, split_pattern
from speaq.scene_graph import SceneGraph

LINES_FILE = "predictions.jsonl"
_IMAGE_OF_LINE = re.compile(r'.*?"image": ("(?:[^"\\]|\\.)*")')


def read_list(file: Path) -> list[Path]:
    """The paths in a text file, one per line.

    Raises:
        SpeaqError: the file cannot be read, or holds none.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SpeaqError(f"{file}: cannot read this list of images: {error}") from error
    paths = [Path(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise SpeaqError(f"{file}: no path in this list; expected one image per line")
    return paths


def place_images(arguments: Sequence[str], listed: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The images, and under which name below ``folder`` the results of each are written.

    The folders of the images are mirrored below the one that all arguments share. The name is that of the
    image without its ending; where two would be equal (a.jpg and a.png), with it.

    Args:
        arguments: files, folders and patterns. What lies in ``folder`` is not found in a folder around it:
            results are no images.
        listed: more files, which may be missing, and folders.
        folder: of the results.

    Raises:
        SpeaqError: an argument leads nowhere, or results would lie among the images.
    """
    for argument in arguments:
        if is_one_image(argument) and not Path(argument).is_file():
            raise SpeaqError(f"{argument}: there is no such image file")
    output = _absolute(folder)
    images: dict[Path, Path] = {}  # as given, by absolute path
    roots = []
    for source in (*arguments, *listed):
        root = _absolute(_root(source))
        roots.append(root)
        for image in [Path(source)] if is_one_image(source) else image_files(source):
            absolute = _absolute(image)
            if root in output.parents and output in absolute.parents:
                continue
            if absolute.parent == output:
                raise SpeaqError(
                    f"--output-dir {folder}: {image} is in this folder; write to another one, so that "
                    "results and images are not mixed up"
                )
            images.setdefault(absolute, image)
    if not images:
        raise SpeaqError("no images: name files, folders or patterns, or give a list with --list")
    base = os.path.commonpath(roots)
    return _named({image: absolute.relative_to(base) for absolute, image in images.items()})


def _root(source: str | Path) -> Path:
    """The folder of a file, a folder itself, or the folder that a pattern begins with."""
    if isinstance(source, str) and is_pattern(source):
        return split_pattern(source)[0]
    return Path(source).parent if is_one_image(source) else Path(source)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (links stay as they are)


def _named(relative: dict[Path, Path]) -> dict[Path, Path]:
    """Names without endings, where they differ (on systems, too, for which "A" is "a")."""
    times: dict[str, int] = {}
    for place in relative.values():
        key = str(place.with_suffix("")).casefold()
        times[key] = times.get(key, 0) + 1
    alone = {key for key, count in times.items() if count == 1}
    names = {
        image: place.with_suffix("") if str(place.with_suffix("")).casefold() in alone else place
        for image, place in relative.items()
    }
    taken: dict[str, Path] = {}
    for image, place in names.items():
        other = taken.setdefault(str(place).casefold(), image)
        if other != image:
            raise SpeaqError(
                f"{other} and {image}: the results of both would be written to {place}.json; rename one"
            )
    return names


@dataclass(kw_only=True)
class Results:
    """Where the scene graphs of many images are written: use it as ``with results.opened():``.

    A file is there whole or not at all, the picture before the JSON: an image is done when its JSON is there,
    is not older than the image, and so is its picture, where pictures are wanted. In ``predictions.jsonl`` it
    is done when its line is there whole.

    Attributes:
        folder: of all results.
        places: the name below it of each image.
        lines: all graphs in one file, one per line, instead of a JSON file for each.
        picture: kind of the pictures; None for none.
        top, score: what is drawn; see :meth:`SceneGraph.draw`.
        keep: relations of each image in the JSON, the best ones; None for all.
        resume: keep what is there already.
    """

    folder: Path
    places: dict[Path, Path]
    lines: bool = False
    picture: Literal["png", "svg", "jpg"] | None = "png"
    top: int = 10
    score: float = 0.0
    keep: int | None = None
    resume: bool = False
    _file: IO[str] | None = field(default=None, init=False, repr=False)

    @contextmanager
    def opened(self) -> Iterator[list[Path]]:
        """The images that are still to be done."""
        images = list(self.places)
        if self.lines:
            path = self.folder / LINES_FILE
            done = _lines_in(path) if self.resume else set()
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a" if self.resume else "w", encoding="utf-8") as self._file:
                    yield [image for image in images if str(image) not in done]
            finally:
                self._file = None
        else:
            yield [image for image in images if not (self.resume and self._is_done(image))]

    def write(self, image: Path, graph: SceneGraph) -> None:
        """Write the results of one image.

        Raises:
            SpeaqError: a file cannot be written.
        """
        if self.picture:
            graph.draw(self._path(image, self.picture), top=self.top, score=self.score)
        kept = graph if self.keep is None else graph.filter(top=self.keep)
        if self._file is None:
            kept.to_json(self._path(image, "json"))
        else:
            self._file.write(kept.to_json().replace("\n", "") + "\n")  # in JSON no text holds a line end
            self._file.flush()

    def _path(self, image: Path, ending: str) -> Path:
        return self.folder / f"{self.places[image]}.{ending}"

    def _is_done(self, image: Path) -> bool:
        try:
            changed = image.stat().st_mtime
            endings = ["json", *([self.picture] if self.picture else [])]
            return all(self._path(image, ending).stat().st_mtime >= changed for ending in endings)
        except OSError:
            return False


def _lines_in(path: Path) -> set[str]:
    """The images of the whole lines of a file; half a line at its end is cut off.

    Raises:
        SpeaqError: the file is there, but cannot be read.
    """
    if not path.exists():
        return set()
    images, size = set(), 0
    try:
        with path.open("rb+") as file:
            for line in file:
                match = _IMAGE_OF_LINE.match(line[:20_000].decode("utf-8", errors="replace"))
                if not line.endswith(b"\n") or match is None:
                    break
                images.add(json.loads(match[1]))
                size += len(line)
            file.truncate(size)
    except (OSError, ValueError) as error:
        raise SpeaqError(f"{path}: cannot continue this file: {error}") from error
    return images


def summarise(done: int, kept: int, unreadable: Iterable[Path]) -> str:
    """A line on how it went, such as "198 of 200 images; 2 could not be read: a.jpg, b.jpg"."""
    failed = list(unreadable)
    text = f"{done + kept} of {done + kept + len(failed)} images"
    if kept:
        text += f" ({kept} were there already)"
    if failed:
        names = ", ".join(str(path) for path in failed[:5]) + (", ..." if len(failed) > 5 else "")
        text += f"; {len(failed)} could not be read: {names}"
    return text
