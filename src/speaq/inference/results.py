"""Write the scene graphs of many images to files, and resume where a run was interrupted."""

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speaq.errors import SpeaqError
from speaq.files import regular
from speaq.images import image_files, is_one_image, is_pattern, split_pattern
from speaq.scene_graph import SceneGraph

LINES_FILE = "predictions.jsonl"
_IMAGE_OF_LINE = re.compile(r'.*?"image": ("(?:[^"\\]|\\.)*")')


def read_list(file: Path) -> list[Path]:
    """Read a text file with one path per line.

    Raises:
        SpeaqError: the file cannot be read, or has no path.
    """
    try:
        lines = regular(file).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SpeaqError(f"{file}: cannot read this list of images: {error}") from error
    paths = [Path(line.strip()) for line in lines if line.strip()]
    if not paths:
        raise SpeaqError(f"{file}: no path in this list; expected one image per line")
    return paths


def result_paths(sources: Sequence[str | Path], folder: Path) -> dict[Path, Path]:
    """Map each image to the path of its results, relative to ``folder`` and without suffix.

    The results mirror the folders of the images below their common parent. Images whose names differ in the
    suffix alone (a.jpg and a.png) keep it in the names of their results.

    Args:
        sources: files, folders and patterns. Where they contain ``folder``, the files in it are skipped.
            Files given as ``Path`` may be missing.
        folder: output folder.

    Raises:
        SpeaqError: a file given as text does not exist, there is no image, or one is directly in ``folder``.
    """
    output = _absolute(folder)
    images: dict[Path, Path] = {}  # as given, by absolute path
    roots = []
    for source in sources:
        if is_one_image(source):
            root, files = Path(source).parent, [Path(source)]
            if isinstance(source, str) and not files[0].is_file():
                raise SpeaqError(f"{source}: there is no such image file")
        else:
            root = split_pattern(str(source))[0] if is_pattern(source) else Path(source)
            files = image_files(source)
        root = _absolute(root)
        roots.append(root)
        for image in files:
            absolute = _absolute(image)
            if root in output.parents and output in absolute.parents:
                continue
            if absolute.parent == output:
                raise SpeaqError(
                    f"--output-dir {folder}: {image} is in this folder; choose another output folder, "
                    "so that results are not taken for images"
                )
            images.setdefault(absolute, image)
    if not images:
        raise SpeaqError("no images: name files, folders or patterns, or pass a list with --list")
    base = os.path.commonpath(roots)
    return _result_names({image: absolute.relative_to(base) for absolute, image in images.items()})


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (symbolic links are not resolved)


def _result_names(relative: dict[Path, Path]) -> dict[Path, Path]:
    """The paths without suffix where that is unique, ignoring case as some file systems do, else with it."""
    times = Counter(str(path.with_suffix("")).casefold() for path in relative.values())
    names, images = {}, {}
    for image, path in relative.items():
        stem = path.with_suffix("")
        names[image] = name = stem if times[str(stem).casefold()] == 1 else path
        other = images.setdefault(str(name).casefold(), image)
        if other != image:
            raise SpeaqError(
                f"{other} and {image}: the results of both would be written to {name}.json; rename one"
            )
    return names


@dataclass(kw_only=True)
class Results:
    """Writes scene graphs as JSON files and drawings, atomically and the drawing before the JSON.

    An image is done if its JSON file, and its drawing unless ``picture`` is None, exist and are not older
    than the image; with ``lines``, if ``predictions.jsonl`` has its complete line.

    Attributes:
        folder: output folder.
        paths: path of the results of each image, relative to ``folder`` and without suffix.
        lines: write one ``predictions.jsonl`` with a line per image instead of a JSON file per image.
        picture: file format of the drawings; None for no drawings.
        top, score: which relations are drawn; see :meth:`SceneGraph.draw`.
        keep: maximum number of relations per image in the JSON, best first; None for all.
        resume: skip images that are done, and append to ``predictions.jsonl``.
    """

    folder: Path
    paths: dict[Path, Path]
    lines: bool = False
    picture: Literal["png", "svg", "jpg"] | None = "png"
    top: int = 10
    score: float = 0.0
    keep: int | None = None
    resume: bool = False

    def start(self) -> list[Path]:
        """Start ``predictions.jsonl`` if there is to be one, and return the images that are not done yet.

        Raises:
            SpeaqError: the file to append to cannot be read.
        """
        images = list(self.paths)
        if not self.lines:
            return [image for image in images if not (self.resume and self._is_done(image))]
        path = self.folder / LINES_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a" if self.resume else "w").close()
        done = _lines_in(path)
        return [image for image in images if str(image) not in done]

    def write(self, image: Path, graph: SceneGraph) -> None:
        """Write the JSON and the drawing of one image.

        Raises:
            SpeaqError: a file cannot be written.
        """
        if self.picture:
            graph.draw(self._path(image, self.picture), top=self.top, score=self.score)
        if self.lines:
            with (self.folder / LINES_FILE).open("a", encoding="utf-8") as file:
                file.write(json_line(graph, self.keep))
        else:
            _kept(graph, self.keep).to_json(self._path(image, "json"))

    def _path(self, image: Path, suffix: str) -> Path:
        return self.folder / f"{self.paths[image]}.{suffix}"

    def _is_done(self, image: Path) -> bool:
        try:
            changed = image.stat().st_mtime
            suffixes = ["json", self.picture] if self.picture else ["json"]
            return all(self._path(image, suffix).stat().st_mtime >= changed for suffix in suffixes)
        except OSError:
            return False


def json_line(graph: SceneGraph, keep: int | None = None) -> str:
    """The line of a graph in JSON lines, with its best ``keep`` relations."""
    return _kept(graph, keep).to_json().replace("\n", "") + "\n"  # JSON strings escape line ends


def _kept(graph: SceneGraph, keep: int | None) -> SceneGraph:
    return graph if keep is None else graph.filter(top=keep)


def _lines_in(path: Path) -> set[str]:
    """The images of all complete lines of a file; an incomplete line at its end is removed."""
    images, size = set(), 0
    try:
        with regular(path).open("rb+") as file:
            for line in file:
                match = _IMAGE_OF_LINE.match(line[:20_000].decode("utf-8", errors="replace"))
                if not line.endswith(b"\n") or match is None:
                    break
                images.add(json.loads(match[1]))  # names of files may have any characters
                size += len(line)
            file.truncate(size)
    except (OSError, ValueError) as error:
        raise SpeaqError(f"{path}: cannot continue this file: {error}") from error
    return images
