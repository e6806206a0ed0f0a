"""COCO files with ``rel.json`` beside them, the layout of RelTR and EGTR.

``train.json``, ``val.json`` and ``test.json`` are COCO detection files. ``rel.json`` is
``{"train": {"<image id>": [[subject, object, predicate], ...]}, "val": ..., "test": ..., "rel_categories":
[names]}``. Subject and object count the annotations of the image from 0, in the order of the file and without
crowd regions; the predicate is a position in ``rel_categories``, which begins with ``__background__``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet
from speaq.tools.convert.coco_images import (
    COCO_LAYOUT,
    CocoFile,
    coco_content,
    join_coco_files,
    read_coco_file,
)
from speaq.tools.convert.read_json import Rows, Triplet, class_table, number_triplets, read_json

Relations = Mapping[str, Rows[Triplet]]


class RelationFile(TypedDict):
    """The content of ``rel.json``."""

    train: NotRequired[Relations]
    val: NotRequired[Relations]
    test: NotRequired[Relations]
    rel_categories: list[str]


_LAYOUT = TypeAdapter(RelationFile)
_RELATIONS = "rel.json"


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return (source / _RELATIONS).is_file()


def read(source: Path) -> AnnotatedSet:
    """Read the folder.

    Raises:
        SpeaqError: a file is missing or does not have this layout.
    """
    paths = [path for name in SPLITS if (path := source / f"{name}.json").is_file()]
    if not paths:
        raise SpeaqError(f"{source}: expected train.json, val.json or test.json in this folder, found none.")
    parts = [read_coco_file(path, COCO_LAYOUT, alone=False) for path in paths]
    path = source / _RELATIONS
    relations = read_json(path, _LAYOUT)
    rows = {part.split: _relations_of(path, relations, part) for part in parts}
    used = set(np.concatenate(list(rows.values()))[:, 2].tolist())
    predicates = _predicates(path, relations["rel_categories"], used)
    places = {number: place for place, number in enumerate(predicates)}
    for of_split in rows.values():
        of_split[:, 2] = [places[number] for number in of_split[:, 2].tolist()]
    return join_coco_files(source, parts, lambda part: rows[part.split], list(predicates.values()))


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write the four files; all three splits are written, empty ones too, and every image has its relations.

    Raises:
        SpeaqError: a file cannot be written.
    """
    offsets, relations = data.relation_offsets, (data.local_relations + np.array([0, 0, 1])).tolist()
    content: dict[str, Any] = {}
    for split, name in enumerate(SPLITS):
        content[name] = {
            str(data.ids[row]): relations[offsets[row] : offsets[row + 1]]
            for row in np.flatnonzero(data.splits == split)
        }
        write_json(out / f"{name}.json", coco_content(data, split))
    content["rel_categories"] = ["__background__", *data.vocabulary.predicates]
    write_json(out / _RELATIONS, content)
    return [out / f"{name}.json" for name in (*SPLITS, "rel")]


def _relations_of(path: Path, relations: RelationFile, part: CocoFile) -> np.ndarray:
    """The relations (M, 3) of a split, boxes counted over its file, predicates as in the file."""
    name = SPLITS[part.split]
    by_image = relations.get(name)
    if by_image is None:
        raise SpeaqError(
            f"{path}: expected the key '{name}', since there is {part.path.name}; it is missing."
        )
    rows = {str(image_id): row for row, image_id in enumerate(part.ids)}
    unknown = next((image_id for image_id in by_image if image_id not in rows), None)
    if unknown is not None:
        raise SpeaqError(f"{path}: {name}: expected ids of images of {part.path}, found {unknown!r}.")
    return number_triplets(
        path,
        [f"{name}.{image_id}" for image_id in by_image],
        list(by_image.values()),
        [rows[image_id] for image_id in by_image],
        part.box_images,
    )


def _predicates(path: Path, names: list[str], used: set[int]) -> dict[int, str]:
    """The predicate names without background by number; ``used`` are the numbers that occur."""
    first = 0
    if used and min(used) > 0 and max(used) == len(names):  # from 1, without a name for the background
        first = 1
    table = class_table(path, "rel_categories", dict(enumerate(names, start=first)), used)
    unknown = used - table.keys()
    if unknown:
        raise SpeaqError(
            f"{path}: a relation has the predicate {min(unknown)}; expected a position in 'rel_categories', "
            f"{min(table)} to {max(table)}."
        )
    return table
