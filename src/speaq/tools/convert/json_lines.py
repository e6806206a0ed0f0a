"""The plain format of this project: one image per line of JSON (docs/dataset_jsonl.md)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NotRequired

import numpy as np
from pydantic import Field, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speaq.data.records import Box, Id, T, describe_error
from speaq.errors import SpeaqError
from speaq.files import parse_json, regular, replacing
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.reading import Files, Format, read_images

_FORMAT = "speaq-dataset"
_VERSION = 1


class Object(TypedDict):
    """An entry of ``objects``; the box is x1, y1, x2, y2."""

    name: str
    box: Box


class Line(TypedDict):
    """What the line of an image and a layout have; a relation is subject, predicate, object."""

    image: Annotated[str, Field(min_length=1)]
    id: NotRequired[Id]
    width: StrictInt
    height: StrictInt
    split: NotRequired[Literal["train", "val", "test"]]
    relations: NotRequired[list[tuple[StrictInt, str, StrictInt]]]


class ImageLine(Line):
    """The line of an image."""

    objects: list[Object]
    confidences: NotRequired[list[Annotated[float, Field(ge=0, le=1)]]]
    sources: NotRequired[list[str]]


class Heading(TypedDict):
    """A line with the class names."""

    version: Literal[1]
    objects: list[str]
    predicates: list[str]


_IMAGE_LINE = TypeAdapter(ImageLine)
_HEADING = TypeAdapter(Heading)


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    """Without a heading, the classes are those that occur, in alphabetical order."""
    headings: list[Heading] = []
    found = read_images(paths, lambda path: _images(path, headings))
    if not headings:
        return AnnotatedSet.from_images(source, found)
    tables = ({name: name for name in headings[0][key]} for key in ("objects", "predicates"))
    return AnnotatedSet.from_images(source, found, *tables)


def _images(path: Path, headings: list[Heading]) -> Iterator[AnnotatedImage]:
    """The images of a file; its headings are added to those of earlier files."""
    for number, text in _lines(path):
        place = f"{path}: line {number}"
        if '"format"' in text and _is_heading(text):
            headings.append(_parse(place, text, _HEADING))
            if headings[-1] != headings[0]:
                raise SpeaqError(f"{place}: the classes differ from those of an earlier heading.")
            continue
        line = _parse(place, text, _IMAGE_LINE)
        image = image_of_line(place, line)
        image.boxes = [item["box"] for item in line["objects"]]
        image.classes = [item["name"] for item in line["objects"]]
        image.confidences, image.sources = line.get("confidences", []), line.get("sources", [])
        yield image


def image_of_line(place: str, line: Line) -> AnnotatedImage:
    """The image of a line or a layout, without its boxes."""
    return AnnotatedImage(
        place=place,
        id=line.get("id", id_of_file(line["image"])),
        file=line["image"],
        width=line["width"],
        height=line["height"],
        split=SPLITS.index(line["split"]) if "split" in line else -1,
        relations=[(s, o, p) for s, p, o in line.get("relations", ())],
    )


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write ``annotations.jsonl``, with a heading of the class names. Boxes have four decimals."""
    path = out / "annotations.jsonl"
    objects, predicates = data.vocabulary.objects, data.vocabulary.predicates
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        heading = {"format": _FORMAT, "version": _VERSION, "objects": objects, "predicates": predicates}
        file.write(json.dumps(heading, ensure_ascii=False) + "\n")
        for image in data.images():
            boxes = np.round(image.boxes, 4).tolist()
            line = {
                "image": image.file,
                "id": image.id,
                "width": image.width,
                "height": image.height,
                "split": SPLITS[image.split],
                "objects": [
                    {"name": objects[label], "box": box}
                    for label, box in zip(image.classes, boxes, strict=True)
                ],
                "relations": [[s, predicates[p], o] for s, o, p in image.relations],
            }
            if image.confidences:
                line["confidences"] = image.confidences
            if image.sources:
                line["sources"] = image.sources
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [path]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not empty, with their numbers."""
    try:
        with regular(path).open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield number, text
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise SpeaqError(f"{path}: expected text in UTF-8 ({error}).") from error


def _parse(where: str, text: str, layout: TypeAdapter[T]) -> T:
    try:
        return layout.validate_json(text)
    except ValidationError as error:
        raise SpeaqError(f"{where}: {describe_error(error)}") from None


def _is_heading(text: str) -> bool:
    try:
        line = parse_json(text)
    except ValueError:
        return False
    return isinstance(line, dict) and line.get("format") == _FORMAT


FORMAT = Format(
    "jsonl",
    "one image per line: *.jsonl",
    Files.named("*.jsonl"),
    _read,
    _write,
    keeps_confidences=True,
)
