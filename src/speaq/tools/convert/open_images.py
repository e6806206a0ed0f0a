"""The relation files of Open Images V6: CSV with one relation per line, boxes in 0..1 of the image.

``*vrd*.csv`` (one per split, with train, val or test in its name) has the columns ``ImageID``,
``LabelName1``, ``LabelName2``, ``XMin1``, ``XMax1``, ``YMin1``, ``YMax1``, likewise for box 2, and
``RelationshipLabel``.
``*class-descriptions*.csv`` gives the names of the labels. Lines with the same label and box in an image mean
the same object. Lines of the relation ``is`` give an attribute, not a second object, and are left out.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from speaq.errors import SpeaqError
from speaq.images import read_image_size
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet, annotated_set
from speaq.tools.convert.find_files import one_of
from speaq.tools.convert.image_files import find_file
from speaq.tools.convert.read_json import Box, Rows, split_of

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
_CORNERS = TypeAdapter(Rows[Box])


def recognises(source: Path) -> bool:
    """Whether this is a folder with such files."""
    return any(source.glob(_RELATIONS))


def read(source: Path, images: Path | None) -> AnnotatedSet:
    """Read the folder. Images without a file are left out, since only the file tells the size.

    Args:
        source: folder of the CSV files.
        images: folder of the image files, ``<ImageID>.jpg``.

    Raises:
        SpeaqError: a file is missing or does not have this layout, or there is no folder of images.
    """
    paths = sorted(source.glob(_RELATIONS))
    if not paths:
        raise SpeaqError(f"{source}: expected files {_RELATIONS} in this folder, found none.")
    if images is None:
        raise SpeaqError("Open Images has boxes in 0..1: name the folder of images with --images, for sizes.")
    names = _descriptions(one_of(source, _DESCRIPTIONS, "file of class names"))
    found = _Found()
    for path in paths:
        _read_relations(path, split_of(path, alone=len(paths) == 1), names, found)
    used = {label for _, label, *_ in found.boxes}
    objects = {label: name for label, name in names.items() if label in used}
    predicates = sorted({predicate for *_, predicate in found.relations})
    object_index = {label: index for index, label in enumerate(objects)}
    predicate_index = {name: index for index, name in enumerate(predicates)}

    ids = list(found.splits)
    files = [find_file(images, [f"{name}.jpg", f"{name}.png", f"{name}.jpeg"]) for name in ids]
    there = np.array([name is not None for name in files])
    if not there.any():
        raise SpeaqError(
            f"{images}: expected the images of {source}, such as {ids[0]}.jpg; found none of them."
        )
    sizes = np.array([(1, 1) if name is None else read_image_size(images / name)[::-1] for name in files])
    box_images, corners = _boxes(source, found, ids)
    data = annotated_set(
        source,
        vocabulary=Vocabulary(tuple(objects.values()), tuple(predicates)),
        ids=ids,
        files=[name or "" for name in files],
        sizes=sizes,
        splits=np.array(list(found.splits.values())),
        box_images=box_images,
        boxes=corners * sizes[box_images][:, [1, 0, 1, 0]],
        labels=np.array([object_index[label] for _, label, *_ in found.boxes]),
        relations=np.array([(s, o, predicate_index[p]) for s, o, p in found.relations]),
    )
    data = data.keep_images(there).noting("images without a file left out", int((~there).sum()))
    return data.noting("attributes (relation 'is') left out", found.num_attributes)


@dataclass(slots=True)
class _Found:
    """What was read from the lines.

    Attributes:
        splits: of every image, by id.
        boxes: row of every object, by image, label and the four numbers as written.
        relations: row of the subject, row of the object, predicate.
        num_attributes: lines that give an attribute.
    """

    splits: dict[str, int] = field(default_factory=dict)
    boxes: dict[tuple[str, ...], int] = field(default_factory=dict)
    relations: list[tuple[int, int, str]] = field(default_factory=list)
    num_attributes: int = 0


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
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
    seen: dict[str, str] = {}
    for label, name in names.items():
        if seen.setdefault(name, label) != label:
            raise SpeaqError(
                f"{path}: {seen[name]} and {label} are both {name!r}; give them different names."
            )
    return names


def _read_relations(path: Path, split: int, names: dict[str, str], found: _Found) -> None:
    """Add the lines of a file to what was found."""
    lines = _lines(path)
    heading = next(lines, [])
    missing = [name for name in _COLUMNS if name not in heading]
    if missing:
        raise SpeaqError(
            f"{path}: expected a column '{missing[0]}', found {', '.join(heading) or 'nothing'}."
        )
    columns = [heading.index(name) for name in _COLUMNS]
    for number, line in enumerate(lines, start=2):
        try:
            image, label1, *box1, label2, a, b, c, d, predicate = [line[column] for column in columns]
        except IndexError:
            raise SpeaqError(
                f"{path}: line {number}: expected {len(heading)} values, found {line}."
            ) from None
        if predicate == "is":
            found.num_attributes += 1
            continue
        for label in (label1, label2):
            if label not in names:
                raise SpeaqError(
                    f"{path}: line {number}: the label {label!r} is not in the class descriptions."
                )
        if found.splits.setdefault(image, split) != split:
            raise SpeaqError(f"{path}: line {number}: image {image} is in another split, too.")
        subject = found.boxes.setdefault((image, label1, *box1), len(found.boxes))
        other = found.boxes.setdefault((image, label2, a, b, c, d), len(found.boxes))
        found.relations.append((subject, other, predicate))


def _boxes(source: Path, found: _Found, ids: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which image (N,) each box is of, and its corners (N, 4) in 0..1."""
    rows = {name: row for row, name in enumerate(ids)}
    keys = list(found.boxes)
    try:
        corners = _CORNERS.validate_python([box for _, _, *box in keys])
    except ValidationError as error:
        image, label, *box = keys[int(error.errors()[0]["loc"][0])]
        raise SpeaqError(
            f"{source}: image {image}, {label}: expected four numbers in 0..1, found {box}."
        ) from None
    return np.array([rows[image] for image, *_ in keys], dtype=np.int64), np.array(corners).reshape(-1, 4)
