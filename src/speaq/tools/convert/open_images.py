"""The relation files of Open Images V6: CSV with one relation per line, boxes in 0..1 of the image.

``*vrd*.csv`` (one per split, with train, val or test in its name) has the columns ``ImageID``,
``LabelName1``, ``LabelName2``, ``XMin1``, ``XMax1``, ``YMin1``, ``YMax1``, likewise for box 2, and
``RelationshipLabel``.
``*class-descriptions*.csv`` gives the names of the labels. Lines with the same label and box in an image mean
the same object. Lines of the relation ``is`` give an attribute, not a second object, and are left out, and so
are images without a file, since only the file (``<ImageID>.jpg``) tells the size.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from speaq.data.records import split_of
from speaq.errors import SpeaqError
from speaq.files import regular
from speaq.images import read_image_size
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet
from speaq.tools.convert.image_files import find_file
from speaq.tools.convert.reading import Files, Format, one_of

_RELATIONS = "*vrd*.csv"
_DESCRIPTIONS = "*class-descriptions*.csv"
_BOX = ("XMin", "YMin", "XMax", "YMax")
_COLUMNS = (
    "ImageID",
    "LabelName1",
    *(f"{side}1" for side in _BOX),
    "LabelName2",
    *(f"{side}2" for side in _BOX),
    "RelationshipLabel",
)
_CORNERS = TypeAdapter(list[FiniteFloat])


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    if images is None:
        raise SpeaqError("Open Images has boxes in 0..1: name the folder of images with --images, for sizes.")
    names = _descriptions(one_of(source, _DESCRIPTIONS, "file of class names"))
    found: dict[str, AnnotatedImage] = {}
    num_attributes = sum(
        _read_relations(path, split_of(path, alone=len(paths) == 1), names, found) for path in paths
    )
    if not found:
        raise SpeaqError(f"{source}: expected relations between two boxes in {_RELATIONS}, found none.")
    there = []
    for image in found.values():
        name = find_file(images, [f"{image.id}{suffix}" for suffix in (".jpg", ".png", ".jpeg")])
        if name is not None:
            image.file = name
            image.width, image.height = read_image_size(images / name)
            image.boxes = np.array(image.boxes) * np.array([image.width, image.height] * 2)
            there.append(image)
    if not there:
        raise SpeaqError(
            f"{images}: expected the images of {source}, such as {next(iter(found))}.jpg; found none of them."
        )
    used = {label for image in found.values() for label in image.classes}
    objects = {label: name for label, name in names.items() if label in used}
    predicates = sorted({predicate for image in found.values() for *_, predicate in image.relations})
    changes = {
        "images without a file left out": len(found) - len(there),
        "attributes (relation 'is') left out": num_attributes,
    }
    return AnnotatedSet.from_images(
        source, there, objects, {name: name for name in predicates}, changes=changes
    )


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with regular(path).open(newline="", encoding="utf-8-sig") as file:
            yield from csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise SpeaqError(f"{path}: cannot read this CSV file ({error}).") from error


def _descriptions(path: Path) -> dict[str, str]:
    """Names by label, such as ``/m/01g317``; a heading is passed over."""
    names: dict[str, str] = {}
    for number, line in enumerate(_lines(path), start=1):
        if len(line) != 2:
            raise SpeaqError(f"{path}: line {number}: expected a label and a name, found {line}.")
        if number > 1 or line[0].startswith("/"):
            names[line[0]] = line[1]
    return names


def _read_relations(path: Path, split: int, names: dict[str, str], images: dict[str, AnnotatedImage]) -> int:
    """Add the boxes, in 0..1, and relations of a file to the images; returns the number of attributes."""
    lines = _lines(path)
    heading = next(lines, [])
    missing = [name for name in _COLUMNS if name not in heading]
    if missing:
        raise SpeaqError(
            f"{path}: expected a column '{missing[0]}', found {', '.join(heading) or 'nothing'}."
        )
    columns = [heading.index(name) for name in _COLUMNS]
    boxes: dict[tuple[str, ...], int] = {}  # position in its image, by image, label and coordinates
    num_attributes = 0
    for number, line in enumerate(lines, start=2):
        place = f"{path}: line {number}"
        if len(line) < len(heading):
            raise SpeaqError(f"{place}: expected {len(heading)} values, found {line}.")
        image_id, label1, *box1, label2, a, b, c, d, predicate = [line[column] for column in columns]
        if predicate == "is":
            num_attributes += 1
            continue
        image = images.setdefault(
            image_id, AnnotatedImage(place=path.name, id=image_id, file="", split=split)
        )
        if image.split != split:
            raise SpeaqError(f"{place}: image {image_id} is in another split, too.")
        pair = []
        for label, box in ((label1, box1), (label2, [a, b, c, d])):
            if label not in names:
                raise SpeaqError(f"{place}: the label {label!r} is not in the class descriptions.")
            key = (image_id, label, *box)
            if key not in boxes:
                boxes[key] = len(image.boxes)
                try:
                    image.boxes.append(_CORNERS.validate_python(box))
                except ValidationError:
                    raise SpeaqError(
                        f"{place}: image {image_id}, {label}: expected four numbers in 0..1, found {box}."
                    ) from None
                image.classes.append(label)
            pair.append(boxes[key])
        image.relations.append((*pair, predicate))
    return num_attributes


FORMAT = Format(
    "openimages",
    "Open Images V6: *vrd*.csv and *class-descriptions*.csv",
    Files(f"files {_RELATIONS} in this folder", lambda source: sorted(source.glob(_RELATIONS))),
    _read,
)
