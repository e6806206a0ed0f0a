"""The JSON export of Label Studio: boxes (``rectanglelabels``) and relations between them.

A task has ``data`` with the address of the image, and ``annotations`` whose ``result`` lists boxes (x, y,
width and height in percent of the image) and relations (``from_id``, ``to_id``, ``labels``, ``direction``).
The first annotation that was not cancelled counts. A relation with several labels is several relations; one
without label is left out.
"""

from pathlib import Path, PurePosixPath
from typing import Any, NotRequired
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Id, Rows, read_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.reading import files_with

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


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(files_with(source, _KEY))


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read a file, or all such files of a folder; all images are for training.

    Tasks without a box are left out.

    Raises:
        SpeaqError: there is none, or one does not have this layout.
    """
    paths = files_with(source, _KEY)
    if not paths:
        raise SpeaqError(f"{source}: expected JSON with '{_KEY}', found none.")
    found, num_without_box, num_unlabelled = [], 0, 0
    for path in paths:
        for row, task in enumerate(read_json(path, _LAYOUT)):
            results = next(
                (each["result"] for each in task["annotations"] if not each.get("was_cancelled")), []
            )
            boxes = [each for each in results if each["type"] == _KEY]
            if not boxes:
                num_without_box += 1
                continue
            place = f"{path}: [{row}]"
            name = _file_name(place, task["data"])
            image = AnnotatedImage(
                place=place,
                id=id_of_file(name),
                file=name,
                width=boxes[0].get("original_width", 0),
                height=boxes[0].get("original_height", 0),
            )
            num_unlabelled += _add_results(
                image, boxes, [each for each in results if each["type"] == "relation"]
            )
            found.append(image)
    data = AnnotatedSet.from_images(source, found)
    data = data.noting("tasks without a box left out", num_without_box)
    return data.noting("relations without a label left out", num_unlabelled)


def _add_results(image: AnnotatedImage, boxes: list[Result], relations: list[Result]) -> int:
    """Add boxes and relations to an image; returns the number of relations without a label."""
    positions = {}
    for item in boxes:
        value = item.get("value", {})
        labels = value.get("rectanglelabels")
        if not labels:
            raise SpeaqError(f"{image.place}: expected a label for every box, found a box without one.")
        x, y, width, height = (value.get(key, 0.0) / 100 for key in ("x", "y", "width", "height"))
        positions[item.get("id")] = len(image.boxes)
        image.boxes.append(
            (x * image.width, y * image.height, (x + width) * image.width, (y + height) * image.height)
        )
        image.classes.append(labels[0])
    num_unlabelled = 0
    for item in relations:
        subject, object_ = item.get("from_id"), item.get("to_id")
        if item.get("direction") == "left":
            subject, object_ = object_, subject
        if subject not in positions or object_ not in positions:
            raise SpeaqError(
                f"{image.place}: expected the ids of two boxes in a relation, found {subject!r} and "
                f"{object_!r}."
            )
        pairs = [(subject, object_)]
        if item.get("direction") == "bi":
            pairs.append((object_, subject))
        predicates = item.get("labels") or []
        num_unlabelled += not predicates
        image.relations += [(positions[s], positions[o], name) for s, o in pairs for name in predicates]
    return num_unlabelled


def _file_name(place: str, data: dict[str, Any]) -> str:
    """The file of an image, without the folder and the prefix that Label Studio adds to uploads."""
    address = next((value for key, value in data.items() if key in ("image", "img", "url", "ocr")), None)
    if not isinstance(address, str):
        raise SpeaqError(
            f"{place}.data: expected the address of the image under 'image', found {list(data)}."
        )
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [parts.path])[
        0
    ]  # local files: /data/local-files/?d=folder/name.jpg
    name = PurePosixPath(unquote(path)).name
    prefix, dash, rest = name.partition("-")
    is_upload = "/upload/" in path and dash and len(prefix) == 8
    return rest if is_upload else name
