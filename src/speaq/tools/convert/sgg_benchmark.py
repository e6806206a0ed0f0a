"""COCO files with ``rel_annotations`` inside, the layout of SGG-Benchmark: one file per split.

``rel_annotations`` is a list of ``{"id", "subject_id", "predicate_id", "object_id", "image_id"}``: subject
and object are ids of ``annotations``. ``rel_categories`` is a list of ``{"id", "name"}``, ids from 0, or of
names.
"""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Category, Id, Rows, names_by_id
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet
from speaq.tools.convert.coco_images import (
    CocoContent,
    CocoFile,
    coco_content,
    join_coco_files,
    read_coco_file,
)
from speaq.tools.convert.reading import files_with

_KEY = "rel_annotations"


class Relation(TypedDict):
    """An entry of ``rel_annotations``."""

    subject_id: Id
    object_id: Id
    predicate_id: Id


class Content(CocoContent):
    """The content of a file."""

    rel_annotations: Rows[Relation]
    rel_categories: list[str] | list[Category]


_LAYOUT = TypeAdapter(Content)


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(files_with(source, _KEY))


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read a file, or all such files of a folder.

    Raises:
        SpeaqError: there is none, or one does not have this layout.
    """
    paths = files_with(source, _KEY)
    if not paths:
        raise SpeaqError(f"{source}: expected JSON with '{_KEY}', one file per split, found none.")
    parts = [read_coco_file(path, _LAYOUT, alone=len(paths) == 1) for path in paths]
    if len({part.split for part in parts}) < len(parts):
        names = ", ".join(path.name for path in paths)
        raise SpeaqError(f"{source}: expected one file for each of train, val and test, found {names}.")
    tables = [names_by_id(part.content["rel_categories"]) for part in parts]
    for part, table in zip(parts, tables, strict=True):
        if table != tables[0]:
            raise SpeaqError(
                f"{part.path}: 'rel_categories' is not as in {parts[0].path}; expected the same."
            )
        _add_relations(part)
    return join_coco_files(source, parts, tables[0])


def write(data: AnnotatedSet, out: Path, images: Path | None = None) -> list[Path]:
    """Write one file per split that has images.

    Raises:
        SpeaqError: a file cannot be written.
    """
    relations: dict[int, list[dict[str, Any]]] = {}
    number, first = 0, 1
    for image in data.images():
        own = relations.setdefault(image.split, [])
        for s, o, p in image.relations:
            own.append(
                {
                    "id": number,
                    "subject_id": first + s,
                    "predicate_id": p,
                    "object_id": first + o,
                    "image_id": image.id,
                }
            )
            number += 1
        first += len(image.boxes)
    names = [{"id": number, "name": name} for number, name in enumerate(data.vocabulary.predicates)]
    written = []
    for split in sorted(relations):
        content = {**coco_content(data, split), "rel_categories": names, _KEY: relations[split]}
        written.append(out / f"{SPLITS[split]}.json")
        write_json(written[-1], content)
    return written


def _add_relations(part: CocoFile[Content]) -> None:
    """Add its relations to the images of a file."""
    if len(part.boxes) < sum(len(image.boxes) for image in part.images.values()):
        raise SpeaqError(
            f"{part.path}: expected an 'id' of its own in every entry of 'annotations'; relations need them."
        )
    for row, relation in enumerate(part.content[_KEY]):
        place = f"{part.path}: {_KEY}[{row}]"
        for key in ("subject_id", "object_id"):
            if relation[key] not in part.boxes:
                raise SpeaqError(
                    f"{place}.{key}: expected the id of an annotation (no crowd) of the file, found "
                    f"{relation[key]!r}."
                )
        (subject_image, subject), (object_image, object_) = (
            part.boxes[relation[key]] for key in ("subject_id", "object_id")
        )
        if subject_image != object_image:
            raise SpeaqError(
                f"{place}: expected two boxes of one image, found boxes of the images {subject_image!r} and "
                f"{object_image!r}."
            )
        part.images[subject_image].relations.append((subject, object_, relation["predicate_id"]))
