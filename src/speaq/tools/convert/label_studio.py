"""The JSON export of Label Studio: boxes (``rectanglelabels``) and relations between them.

A task has ``data`` with the address of the image, and ``annotations`` whose ``result`` lists boxes (x, y,
width and height in percent of the image) and relations (``from_id``, ``to_id``, ``labels``, ``direction``).
The first annotation that was not cancelled counts. A relation with several labels is several relations; one
without label is left out. All images are for training; tasks without a box are left out.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NotRequired
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Id, Rows, read_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.reading import Files, Format, read_images

_KEY = "rectanglelabels"


class Rectangle(TypedDict):
    """The place of a box in percent, and its labels."""

    x: NotRequired[FiniteFloat]
    y: NotRequired[FiniteFloat]
    width: NotRequired[FiniteFloat]
    height: NotRequired[FiniteFloat]
    rectanglelabels: NotRequired[list[str]]


class Result(TypedDict):
    """A box or a relation."""

    type: str
    id: NotRequired[str]
    original_width: NotRequired[int]
    original_height: NotRequired[int]
    value: NotRequired[Rectangle]
    from_id: NotRequired[str]
    to_id: NotRequired[str]
    direction: NotRequired[str]
    labels: NotRequired[list[str] | None]


class Annotation(TypedDict):
    """The work of one annotator."""

    result: list[Result]
    was_cancelled: NotRequired[bool]


class Task(TypedDict):
    """An image."""

    id: Id
    data: dict[str, Any]
    annotations: list[Annotation]


_LAYOUT = TypeAdapter(Rows[Task])


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    changes = Counter[str]()
    found = read_images(paths, lambda path: _images(path, changes))
    return AnnotatedSet.from_images(source, found, changes=changes)


def _images(path: Path, changes: Counter[str]) -> Iterator[AnnotatedImage]:
    for row, task in enumerate(read_json(path, _LAYOUT)):
        results = next((each["result"] for each in task["annotations"] if not each.get("was_cancelled")), [])
        boxes = [each for each in results if each["type"] == _KEY]
        if not boxes:
            changes["tasks without a box left out"] += 1
            continue
        place = f"{path}: [{row}]"
        name = _file_name(place, task["data"])
        image = AnnotatedImage(
            place=place,
            id=id_of_file(name),
            file=name,
            width=boxes[0].get("original_width", 0),
            height=boxes[0].get("original_height", 0),
            split=0,
        )
        image.check_size()
        positions = {}
        for item in boxes:
            value = item.get("value", {})
            labels = value.get("rectanglelabels")
            if not labels:
                raise SpeaqError(f"{place}: expected a label for every box, found a box without one.")
            x, y, width, height = (value.get(key, 0.0) / 100 for key in ("x", "y", "width", "height"))
            positions[item.get("id")] = len(image.boxes)
            image.boxes.append(
                (x * image.width, y * image.height, (x + width) * image.width, (y + height) * image.height)
            )
            image.classes.append(labels[0])
        for item in results:
            if item["type"] == "relation":
                pairs, predicates = _pairs(place, item, positions), item.get("labels") or []
                changes["relations without a label left out"] += not predicates
                image.relations += [(s, o, name) for s, o in pairs for name in predicates]
        yield image


def _pairs(place: str, relation: Result, positions: dict[str | None, int]) -> list[tuple[int, int]]:
    """The subjects and objects of a relation, which may hold in both directions."""
    subject, object_ = relation.get("from_id"), relation.get("to_id")
    if relation.get("direction") == "left":
        subject, object_ = object_, subject
    if subject not in positions or object_ not in positions:
        raise SpeaqError(
            f"{place}: expected the ids of two boxes in a relation, found {subject!r} and {object_!r}."
        )
    s, o = positions[subject], positions[object_]
    return [(s, o), (o, s)] if relation.get("direction") == "bi" else [(s, o)]


def _file_name(place: str, data: dict[str, Any]) -> str:
    """The file of an image, without the folder and the prefix that Label Studio adds to uploads."""
    address = next((value for key, value in data.items() if key in ("image", "img", "url", "ocr")), None)
    if not isinstance(address, str):
        raise SpeaqError(
            f"{place}.data: expected the address of the image under 'image', found {list(data)}."
        )
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [parts.path])[0]  # /data/local-files/?d=folder/name.jpg
    name = PurePosixPath(unquote(path)).name
    prefix, dash, rest = name.partition("-")
    is_upload = "/upload/" in path and dash and len(prefix) == 8
    return rest if is_upload else name


FORMAT = Format("label-studio", "Label Studio: JSON with 'rectanglelabels'", Files.with_key(_KEY), _read)
