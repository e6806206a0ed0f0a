"""COCO files with ``rel_annotations`` inside, the layout of SGG-Benchmark: one file per split.

``rel_annotations`` is a list of ``{"id", "subject_id", "predicate_id", "object_id", "image_id"}``: subject
and object are ids of ``annotations``. ``rel_categories`` is a list of ``{"id", "name"}``, ids from 0, or of
names.
"""

from pathlib import Path
from typing import cast

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet
from speaq.tools.convert.coco_images import (
    Category,
    CocoContent,
    CocoFile,
    coco_content,
    join_coco_files,
    read_coco_file,
)
from speaq.tools.convert.find_files import files_with
from speaq.tools.convert.read_json import Id, Rows, class_table, look_up

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
    return bool(files_with(source, ".json", _KEY))


def read(source: Path) -> AnnotatedSet:
    """Read a file, or all such files of a folder.

    Raises:
        SpeaqError: there is none, or one does not have this layout.
    """
    paths = files_with(source, ".json", _KEY)
    if not paths:
        raise SpeaqError(f"{source}: expected JSON with '{_KEY}', one file per split, found none.")
    parts = [read_coco_file(path, _LAYOUT, alone=len(paths) == 1) for path in paths]
    splits = [part.split for part in parts]
    if len(set(splits)) < len(splits):
        names = ", ".join(path.name for path in paths)
        raise SpeaqError(f"{source}: expected one file for each of train, val and test, found {names}.")
    tables = [_predicate_names(part) for part in parts]
    used = {relation["predicate_id"] for part in parts for relation in part.content[_KEY]}
    for part, table in zip(parts, tables, strict=True):
        if table != tables[0]:
            raise SpeaqError(
                f"{part.path}: 'rel_categories' is not as in {parts[0].path}; expected the same."
            )
    predicates = class_table(parts[0].path, "rel_categories", tables[0], used)
    numbers = {number: index for index, number in enumerate(predicates)}
    return join_coco_files(
        source, parts, lambda part: _relations_of(part, numbers), list(predicates.values())
    )


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write one file per split that has images.

    Raises:
        SpeaqError: a file cannot be written.
    """
    written = []
    images = data.relation_images
    for split in np.unique(data.splits).tolist():
        rows = np.flatnonzero(data.splits[images] == split)
        content = coco_content(data, split)
        content["rel_categories"] = [
            {"id": number, "name": name} for number, name in enumerate(data.vocabulary.predicates)
        ]
        content[_KEY] = [
            {
                "id": number,
                "subject_id": s + 1,
                "predicate_id": p,
                "object_id": o + 1,
                "image_id": data.ids[image],
            }
            for number, (s, o, p), image in zip(
                rows.tolist(), data.relations[rows].tolist(), images[rows].tolist(), strict=True
            )
        ]
        written.append(out / f"{SPLITS[split]}.json")
        write_json(written[-1], content)
    return written


def _predicate_names(part: CocoFile[Content]) -> dict[Id, str]:
    names = part.content["rel_categories"]
    if all(isinstance(name, str) for name in names):
        return dict(enumerate(cast("list[str]", names)))
    return {item["id"]: item["name"] for item in cast("list[Category]", names)}


def _relations_of(part: CocoFile[Content], predicates: dict[Id, int]) -> np.ndarray:
    """The relations (M, 3) of a file, boxes counted over the file."""
    if part.annotation_ids is None:
        raise SpeaqError(
            f"{part.path}: expected an 'id' in every entry of 'annotations'; relations need them."
        )
    boxes = {name: row for row, name in enumerate(part.annotation_ids)}
    if len(boxes) < len(part.annotation_ids):
        raise SpeaqError(f"{part.path}: expected all different ids in 'annotations', found some twice.")
    annotation, category = "the id of an annotation (no crowd) of the file", "the id of a relation category"
    columns = [
        look_up(part.path, f"{_KEY}[{{}}].{key}", [row[key] for row in part.content[_KEY]], known, expected)
        for key, known, expected in (
            ("subject_id", boxes, annotation),
            ("object_id", boxes, annotation),
            ("predicate_id", predicates, category),
        )
    ]
    relations = np.column_stack(columns)
    images = part.box_images[relations[:, :2]]
    apart = np.flatnonzero(images[:, 0] != images[:, 1])
    if len(apart):
        first, second = (part.ids[image] for image in images[apart[0]])
        raise SpeaqError(
            f"{part.path}: {_KEY}[{apart[0]}]: expected two boxes of one image, found boxes of the images "
            f"{first!r} and {second!r}."
        )
    return relations
