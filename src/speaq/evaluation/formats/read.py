"""Recognise the format of a file of predictions and read it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.evaluation.formats import coco, graph_lines, triplets
from speaq.evaluation.formats.loaded import LoadedPredictions
from speaq.evaluation.formats.target import Target
from speaq.evaluation.formats.triplets import BoxScale
from speaq.files import parse_json, regular

_HDF5 = b"\x89HDF\r\n\x1a\n"


def is_saved_by_evaluation(path: Path) -> bool:
    """Whether a file has predictions as HDF5, as an evaluation saves them.

    Raises:
        SpeaqError: the file cannot be read.
    """
    try:
        with regular(path).open("rb") as file:
            return file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror})") from error


def read_predictions(path: Path, target: Target, *, box_scale: BoxScale = "auto") -> LoadedPredictions:
    """Read predictions in one of the text formats for the images of a data set.

    ``box_scale`` is the unit of the boxes of triplets; see `speaq.evaluation.formats.triplets.read`.

    Raises:
        SpeaqError: the file cannot be read, is none of the formats, or does not fit the data set. The message
            has the line or position, the key, what was expected and what was found.
    """
    documents = read_documents(path)
    first = next(documents(), ("", None))[1]
    keys = first if isinstance(first, dict) else {}
    if "detections" in keys and "relations" in keys:
        return coco.read(path, first, target)
    if "triplets" in keys:
        return triplets.read(path, documents(), target, box_scale=box_scale)
    if keys.get("format") == "speaq-scene-graph":
        return graph_lines.read(path, documents(), target)
    found = f"an object with the keys {', '.join(map(repr, first))}" if isinstance(first, dict) else "none"
    raise SpeaqError(
        f"{path}: expected predictions saved by an evaluation (HDF5), scene graphs as JSON lines, an object "
        f"with detections and relations, or objects with image_id and triplets; found {found}. "
        "docs/evaluation.md describes the formats"
    )


def read_documents(path: Path) -> Callable[[], Iterator[tuple[str, Any]]]:
    """A function that gives the place and content of each document: of a list, of lines, or one object.

    Raises:
        SpeaqError: the file cannot be read; the function raises it for a line that is not JSON.
    """
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror})") from error
    except ValueError as error:
        raise SpeaqError(f"{path}: expected HDF5 or text in UTF-8 ({error})") from error
    try:
        whole = parse_json(text)
    except ValueError as error:
        if not text.lstrip().startswith("{") or "\n" not in text.strip():
            raise SpeaqError(f"{path}: expected JSON or JSON lines ({error})") from error
        return lambda: _lines(path, text)
    if isinstance(whole, list):
        return lambda: ((f"{path}: [{index}]", item) for index, item in enumerate(whole))
    place = str(path) if "\n" in text.strip() else f"{path}, line 1"
    return lambda: iter([(place, whole)])


def _lines(path: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield f"{path}, line {number}", parse_json(line)
            except ValueError as error:
                raise SpeaqError(
                    f"{path}, line {number}: expected one JSON object per line ({error})"
                ) from error
