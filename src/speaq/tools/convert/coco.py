"""COCO files with ``rel.json`` beside them, the layout of RelTR and EGTR.

``train.json``, ``val.json`` and ``test.json`` are COCO detection files. ``rel.json`` is
``{"train": {"<image id>": [[subject, object, predicate], ...]}, "val": ..., "test": ..., "rel_categories":
[names]}``. Subject and object count the annotations of the image from 0, in the order of the file and without
crowd regions; the predicate is a position in ``rel_categories``, which begins with ``__background__``.
"""

from pathlib import Path
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet
from speaq.tools.convert.coco_images import CocoFile, coco_content, join_coco_files, read_coco_file
from speaq.tools.convert.entries import class_table, read_object
from speaq.tools.convert.output import write_json

_RELATIONS = "rel.json"


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return (source / _RELATIONS).is_file()


def read(source: Path) -> AnnotatedSet:
    """Read the folder.

    Raises:
        SpeaqError: a file is missing or has not this layout.
    """
    paths = [path for name in SPLITS if (path := source / f"{name}.json").is_file()]
    if not paths:
        raise SpeaqError(f"{source}: expected train.json, val.json or test.json in this folder, found none.")
    parts = [read_coco_file(path, alone=False) for path in paths]
    path = source / _RELATIONS
    relations = read_object(path, "rel_categories", *(SPLITS[part.split] for part in parts))
    rows = {part.split: _relations_of(path, relations[SPLITS[part.split]], part) for part in parts}
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


def _relations_of(path: Path, by_image: Any, part: CocoFile) -> np.ndarray:
    """The rows (T, 3) of a split, boxes counted over its file, predicates as they are."""
    name = SPLITS[part.split]
    if not isinstance(by_image, dict):
        raise SpeaqError(f"{path}: expected in '{name}' an object of lists by image id.")
    rows = {str(image_id): row for row, image_id in enumerate(part.ids)}
    of_image: list[list[int]] = [[] for _ in rows]
    for box, image in enumerate(part.box_images.tolist()):
        of_image[image].append(box)
    found: list[tuple[int, int, int]] = []
    for image_id, triplets in by_image.items():
        if image_id not in rows:
            raise SpeaqError(f"{path}: '{name}' has the image {image_id!r}, which {part.path} has not.")
        boxes = of_image[rows[image_id]]
        for triplet in triplets if isinstance(triplets, list) else [triplets]:
            match triplet:
                case [int(s), int(o), int(p)] if 0 <= s < len(boxes) and 0 <= o < len(boxes):
                    found.append((boxes[s], boxes[o], p))
                case _:
                    raise SpeaqError(
                        f"{path}: '{name}', image {image_id!r} has the relation {triplet}; expected "
                        f"[subject, object, predicate], and the image has {len(boxes)} boxes, counted from 0."
                    )
    return np.array(found, dtype=np.int64).reshape(-1, 3)


def _predicates(path: Path, names: Any, used: set[int]) -> dict[int, str]:
    """The predicate names without background by number; ``used`` are the numbers that occur."""
    if not isinstance(names, list) or not names:
        raise SpeaqError(
            f"{path}: expected a list of names in 'rel_categories', found {type(names).__name__}."
        )
    numbered = dict(enumerate(names))
    if used and min(used) > 0 and max(used) == len(names):  # from 1, without a name for the background
        numbered = dict(enumerate(names, start=1))
    table = class_table(path, "rel_categories", numbered, used)
    unknown = used - table.keys()
    if unknown:
        raise SpeaqError(
            f"{path}: a relation has the predicate {min(unknown)}; expected a position in 'rel_categories', "
            f"{min(table)} to {max(table)}."
        )
    return table
