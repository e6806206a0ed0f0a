"""The plain format of this project: one image per line of JSON (docs/dataset_jsonl.md)."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, NotRequired

import numpy as np
from pydantic import Field, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet, annotated_set, round_boxes
from speaq.tools.convert.read_json import Box, Id, T, describe_error, image_sizes, number_triplets, split_of

_FORMAT = "speaq-dataset"
_VERSION = 1


class Object(TypedDict):
    """An entry of ``objects``; the box is x1, y1, x2, y2."""

    name: str
    box: Box


class ImageLine(TypedDict):
    """The line of an image; a relation is subject, predicate, object."""

    image: Annotated[str, Field(min_length=1)]
    id: NotRequired[Id]
    width: StrictInt
    height: StrictInt
    split: NotRequired[Literal["train", "val", "test"]]
    objects: list[Object]
    relations: NotRequired[list[tuple[StrictInt, str, StrictInt]]]


class Heading(TypedDict):
    """A line with the class names."""

    version: Literal[1]
    objects: list[str]
    predicates: list[str]


_IMAGE_LINE = TypeAdapter(ImageLine)
_HEADING = TypeAdapter(Heading)


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(_paths(source))


def read(source: Path) -> AnnotatedSet:
    """Read a file, or all ``*.jsonl`` of a folder.

    Raises:
        SpeaqError: there is none, or a line does not have this layout.
    """
    paths = _paths(source)
    if not paths:
        raise SpeaqError(f"{source}: expected files *.jsonl, found none.")
    vocabulary: Vocabulary | None = None
    lines: list[ImageLine] = []
    splits: list[int] = []
    for path in paths:
        for number, text in _lines(path):
            where = f"{path}: line {number}"
            if '"format"' in text and _is_heading(text):
                heading = _parse_heading(where, text)
                if vocabulary not in (None, heading):
                    raise SpeaqError(f"{where}: the classes differ from those of an earlier heading.")
                vocabulary = heading
                continue
            line = _parse_image(where, text)
            splits.append(
                SPLITS.index(line["split"]) if "split" in line else split_of(path, alone=len(paths) == 1)
            )
            lines.append(line)
    return _join_lines(source, lines, splits, vocabulary)


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write ``annotations.jsonl``, with a heading of the class names. Boxes have four decimals.

    Raises:
        SpeaqError: the file cannot be written.
    """
    path = out / "annotations.jsonl"
    objects, predicates = data.vocabulary.objects, data.vocabulary.predicates
    boxes, offsets, labels = round_boxes(data.boxes), data.box_offsets.tolist(), data.labels.tolist()
    relations, relation_offsets = data.local_relations.tolist(), data.relation_offsets.tolist()
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        heading = {"format": _FORMAT, "version": _VERSION, "objects": objects, "predicates": predicates}
        file.write(json.dumps(heading, ensure_ascii=False) + "\n")
        for row, (height, width) in enumerate(data.sizes.tolist()):
            own = range(offsets[row], offsets[row + 1])
            line = {
                "image": data.files[row],
                "id": data.ids[row],
                "width": width,
                "height": height,
                "split": SPLITS[data.splits[row]],
                "objects": [{"name": objects[labels[box]], "box": boxes[box]} for box in own],
                "relations": [
                    [s, predicates[p], o]
                    for s, o, p in relations[relation_offsets[row] : relation_offsets[row + 1]]
                ],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [path]


def _join_lines(
    source: Path, lines: list[ImageLine], splits: list[int], vocabulary: Vocabulary | None
) -> AnnotatedSet:
    """The set of all lines; without a heading, the classes are those that occur, in alphabetical order."""
    names = [item["name"] for line in lines for item in line["objects"]]
    predicates = [predicate for line in lines for _, predicate, _ in line.get("relations", ())]
    if vocabulary is None:
        vocabulary = Vocabulary(tuple(sorted(set(names))), tuple(sorted(set(predicates))))
    object_numbers = _numbers(source, "object", set(names), vocabulary.objects)
    numbers = _numbers(source, "predicate", set(predicates), vocabulary.predicates)
    triplets = [[(s, o, numbers[p]) for s, p, o in line.get("relations", ())] for line in lines]
    files = [line["image"] for line in lines]
    box_images = np.repeat(np.arange(len(lines)), [len(line["objects"]) for line in lines])
    relations = number_triplets(source, files, triplets, range(len(lines)), box_images)
    boxes = [item["box"] for line in lines for item in line["objects"]]
    return annotated_set(
        source,
        vocabulary=vocabulary,
        ids=[line.get("id", PurePosixPath(line["image"]).with_suffix("").as_posix()) for line in lines],
        files=files,
        sizes=image_sizes(lines),
        splits=np.array(splits, dtype=np.int32),
        box_images=box_images,
        boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4),
        labels=np.array([object_numbers[name] for name in names], dtype=np.int64),
        relations=relations,
    )


def _numbers(source: Path, what: str, used: set[str], names: tuple[str, ...]) -> dict[str, int]:
    """The number of each class, which all used ones must have."""
    unknown = used.difference(names)
    if unknown:
        raise SpeaqError(f"{source}: the {what} {min(unknown)!r} is not among those of the heading.")
    return {name: number for number, name in enumerate(names)}


def _paths(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob("*.jsonl"))
    return [source] if source.suffix == ".jsonl" else []


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file that are not empty, with their numbers."""
    try:
        with path.open(encoding="utf-8") as file:
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
        line = json.loads(text)
    except ValueError:
        return False
    return isinstance(line, dict) and line.get("format") == _FORMAT


def _parse_heading(where: str, text: str) -> Vocabulary:
    heading = _parse(where, text, _HEADING)
    for key in ("objects", "predicates"):
        if len(set(heading[key])) < len(heading[key]):
            raise SpeaqError(f"{where}: expected different names in '{key}', found some twice.")
    return Vocabulary(tuple(heading["objects"]), tuple(heading["predicates"]))


def _parse_image(where: str, text: str) -> ImageLine:
    line = _parse(where, text, _IMAGE_LINE)
    last = len(line["objects"]) - 1
    for subject, predicate, other in line.get("relations", ()):
        if not (0 <= subject <= last and 0 <= other <= last):
            raise SpeaqError(
                f"{where}: relations: expected [subject, predicate, object] with objects 0 to {last}, found "
                f"{[subject, predicate, other]}."
            )
    return line
