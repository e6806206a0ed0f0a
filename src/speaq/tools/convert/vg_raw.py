"""Visual Genome as it is published: ``objects.json``, ``relationships.json`` and ``image_data.json``.

Names are taken in lower case and with single spaces; classes are in the order of the alphabet. Of an object's
several names the first counts. Objects merged in a later version are found under their former ids.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet, annotated_set
from speaq.tools.convert.entries import Entries, four_numbers, read_json

_FILES = ("objects.json", "relationships.json", "image_data.json")


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return all((source / name).is_file() for name in _FILES)


def read(source: Path) -> AnnotatedSet:
    """Read the folder; all images are for training, as the published files know no splits.

    Raises:
        SpeaqError: a file is missing or has not this layout.
    """
    objects_path, relations_path, list_path = (source / name for name in _FILES)
    images = Entries(list_path, "entries", read_json(list_path))
    ids = _image_ids(images)
    rows = {image_id: row for row, image_id in enumerate(ids)}
    objects = _read_objects(objects_path, rows)
    relations, predicates, num_unknown = _read_relations(relations_path, rows, objects)
    if not objects.names or not predicates:
        raise SpeaqError(f"{source}: expected objects with names and relations between them, found none.")
    data = annotated_set(
        source,
        vocabulary=Vocabulary(tuple(sorted(objects.names)), tuple(sorted(predicates))),
        ids=ids,
        files=[_file_name(entry, image_id) for entry, image_id in zip(images.items, ids, strict=True)],
        sizes=images.sizes(),
        splits=np.zeros(len(ids), dtype=np.int32),
        box_images=np.array(objects.images, dtype=np.int64),
        boxes=objects.corners,
        labels=_alphabetic(objects.names)[objects.labels],
        relations=np.column_stack((relations[:, :2], _alphabetic(predicates)[relations[:, 2]])),
    )
    data = data.noting("objects without a name left out", objects.num_nameless)
    return data.noting(
        "relations of objects that objects.json has not, or without predicate, left out", num_unknown
    )


@dataclass(slots=True)
class _Objects:
    """The objects of all images.

    Attributes:
        images, labels: (M,) image and class of each, the class in the order of first occurrence.
        corners: (M, 4) xyxy in pixels.
        names: class by name.
        rows: row by object id, for every image.
        num_nameless: objects left out.
    """

    images: list[int]
    labels: list[int]
    corners: np.ndarray
    names: dict[str, int]
    rows: list[dict[Any, int]]
    num_nameless: int


def _read_objects(path: Path, image_rows: dict[int, int]) -> _Objects:
    entries = Entries(path, "entries", read_json(path))
    objects = _Objects([], [], np.empty((0, 4)), {}, [{} for _ in image_rows], 0)
    boxes: list[tuple[float, ...]] = []
    for number, image_id in enumerate(_image_ids(entries)):
        row = image_rows.get(image_id)
        if row is None:
            raise entries.error(number, f"is of image {image_id!r}, which image_data.json has not.")
        found = objects.rows[row]
        try:
            for item in entries.items[number]["objects"]:
                name = _clean(_name(item))
                if not name:
                    objects.num_nameless += 1
                    continue
                for object_id in (_object_id(item), *item.get("merged_object_ids", ())):
                    found[object_id] = len(boxes)
                boxes.append((item["x"], item["y"], item["w"], item["h"]))
                objects.images.append(row)
                objects.labels.append(objects.names.setdefault(name, len(objects.names)))
        except (KeyError, TypeError, AttributeError) as error:
            raise entries.error(
                number,
                f"(image {image_id}): expected objects with object_id, x, y, w, h and names ({error!r}).",
            ) from None
    corners = four_numbers(boxes)
    if corners is None:
        bad = next(row for row, box in enumerate(boxes) if four_numbers([box]) is None)
        image_id = list(image_rows)[objects.images[bad]]
        raise SpeaqError(f"{path}: image {image_id}: expected numbers for x, y, w, h; found {boxes[bad]}.")
    corners[:, 2:] += corners[:, :2]
    objects.corners = corners
    return objects


def _read_relations(
    path: Path, image_rows: dict[int, int], objects: _Objects
) -> tuple[np.ndarray, dict[str, int], int]:
    """Rows (T, 3) of subject, object and predicate, the predicates by name, and how many cannot be used."""
    entries = Entries(path, "entries", read_json(path))
    predicates: dict[str, int] = {}
    found: list[tuple[int, int, int]] = []
    num_unknown = 0
    for number, image_id in enumerate(_image_ids(entries)):
        row = image_rows.get(image_id)
        if row is None:
            raise entries.error(number, f"is of image {image_id!r}, which image_data.json has not.")
        rows = objects.rows[row]
        try:
            for item in entries.items[number]["relationships"]:
                subject, other = rows.get(_object_id(item["subject"])), rows.get(_object_id(item["object"]))
                predicate = _clean(item["predicate"])
                if subject is None or other is None or not predicate:
                    num_unknown += 1
                    continue
                found.append((subject, other, predicates.setdefault(predicate, len(predicates))))
        except (KeyError, TypeError, AttributeError) as error:
            raise entries.error(
                number,
                f"(image {image_id}): expected relationships with predicate, and subject and object with "
                f"object_id ({error!r}).",
            ) from None
    return np.array(found, dtype=np.int64).reshape(-1, 3), predicates, num_unknown


def _image_ids(entries: Entries) -> list[Any]:
    """The ids; the first version calls them ``id``."""
    first = entries.items[0] if entries.items else {}
    return entries.ids(
        "id" if isinstance(first, dict) and "image_id" not in first and "id" in first else "image_id"
    )


def _object_id(item: dict[str, Any]) -> Any:
    return item["object_id"] if "object_id" in item else item["id"]


def _name(item: dict[str, Any]) -> str:
    """The first name."""
    names = item["names"] if "names" in item else item["name"]
    return names if isinstance(names, str) else next(iter(names), "")


def _clean(name: str) -> str:
    return " ".join(name.lower().split())


def _alphabetic(names: dict[str, int]) -> np.ndarray:
    """The place of each class in the order of the alphabet."""
    places = np.empty(len(names), dtype=np.int64)
    places[[names[name] for name in sorted(names)]] = np.arange(len(names))
    return places


def _file_name(entry: dict[str, Any], image_id: Any) -> str:
    """The file with its folder (VG_100K or VG_100K_2), which the address of the image tells."""
    parts = PurePosixPath(str(entry.get("url") or "")).parts
    return "/".join(parts[-2:]) if len(parts) > 2 else f"{image_id}.jpg"
