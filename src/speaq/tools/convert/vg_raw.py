"""Visual Genome as it is published: ``objects.json``, ``relationships.json`` and ``image_data.json``.

Names are taken in lower case and with single spaces; classes are in the order of the alphabet. Of an object's
several names the first counts. Objects merged in a later version are found under their former ids.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired

import numpy as np
from pydantic import AliasChoices, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet, annotated_set
from speaq.tools.convert.read_json import Id, Rows, image_sizes, look_up, read_json

_FILES = ("objects.json", "relationships.json", "image_data.json")

# The first version calls both kinds of ids "id".
ImageId = Annotated[Id, Field(validation_alias=AliasChoices("image_id", "id"))]
ObjectId = Annotated[Id, Field(validation_alias=AliasChoices("object_id", "id"))]


class Image(TypedDict):
    """An entry of ``image_data.json``."""

    image_id: ImageId
    width: int
    height: int
    url: NotRequired[str | None]


class Object(TypedDict):
    """An object of an image."""

    object_id: ObjectId
    merged_object_ids: NotRequired[list[Id]]
    x: FiniteFloat
    y: FiniteFloat
    w: FiniteFloat
    h: FiniteFloat
    names: Annotated[list[str] | str, Field(validation_alias=AliasChoices("names", "name"))]


class ImageObjects(TypedDict):
    """An entry of ``objects.json``."""

    image_id: ImageId
    objects: list[Object]


class RelatedObject(TypedDict):
    """The subject or object of a relation."""

    object_id: ObjectId


class Relationship(TypedDict):
    """A relation of an image."""

    predicate: str
    subject: RelatedObject
    object: RelatedObject


class ImageRelationships(TypedDict):
    """An entry of ``relationships.json``."""

    image_id: ImageId
    relationships: list[Relationship]


_IMAGES = TypeAdapter(Rows[Image])
_OBJECTS = TypeAdapter(Rows[ImageObjects])
_RELATIONSHIPS = TypeAdapter(Rows[ImageRelationships])


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return all((source / name).is_file() for name in _FILES)


def read(source: Path) -> AnnotatedSet:
    """Read the folder; all images are for training, as the published files know no splits.

    Raises:
        SpeaqError: a file is missing or does not have this layout.
    """
    objects_path, relations_path, list_path = (source / name for name in _FILES)
    images = read_json(list_path, _IMAGES)
    ids = [image["image_id"] for image in images]
    rows = {image_id: row for row, image_id in enumerate(ids)}
    objects = _read_objects(objects_path, rows)
    relations, predicates, num_unknown = _read_relations(relations_path, rows, objects)
    if not objects.names or not predicates:
        raise SpeaqError(f"{source}: expected objects with names and relations between them, found none.")
    corners = np.array(objects.boxes, dtype=np.float64)
    corners[:, 2:] += corners[:, :2]
    data = annotated_set(
        source,
        vocabulary=Vocabulary(tuple(sorted(objects.names)), tuple(sorted(predicates))),
        ids=ids,
        files=[_file_name(image) for image in images],
        sizes=image_sizes(images),
        splits=np.zeros(len(ids), dtype=np.int32),
        box_images=np.array(objects.images, dtype=np.int64),
        boxes=corners,
        labels=_alphabetic(objects.names)[objects.labels],
        relations=np.column_stack((relations[:, :2], _alphabetic(predicates)[relations[:, 2]])),
    )
    data = data.noting("objects without a name left out", objects.num_nameless)
    return data.noting(
        "relations of objects that objects.json has not, or without predicate, left out", num_unknown
    )


@dataclass(slots=True, kw_only=True)
class _Objects:
    """The objects of all images.

    Attributes:
        images, labels: (N,) image and class of each, the class in the order of first occurrence.
        boxes: (N, 4) x, y, width and height in pixels.
        names: class by name.
        rows: row by object id, for every image.
        num_nameless: objects left out.
    """

    images: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    rows: list[dict[Id, int]]
    num_nameless: int = 0


def _read_objects(path: Path, image_rows: dict[Id, int]) -> _Objects:
    entries = read_json(path, _OBJECTS)
    objects = _Objects(rows=[{} for _ in image_rows])
    for entry, row in zip(entries, _image_rows(path, entries, image_rows), strict=True):
        found = objects.rows[row]
        for item in entry["objects"]:
            names = item["names"]
            name = _clean(names if isinstance(names, str) else next(iter(names), ""))
            if not name:
                objects.num_nameless += 1
                continue
            for object_id in (item["object_id"], *item.get("merged_object_ids", ())):
                found[object_id] = len(objects.boxes)
            objects.boxes.append((item["x"], item["y"], item["w"], item["h"]))
            objects.images.append(row)
            objects.labels.append(objects.names.setdefault(name, len(objects.names)))
    return objects


def _read_relations(
    path: Path, image_rows: dict[Id, int], objects: _Objects
) -> tuple[np.ndarray, dict[str, int], int]:
    """Rows (M, 3) of subject, object and predicate, the predicates by name, and how many cannot be used."""
    entries = read_json(path, _RELATIONSHIPS)
    predicates: dict[str, int] = {}
    found: list[tuple[int, int, int]] = []
    num_unknown = 0
    for entry, row in zip(entries, _image_rows(path, entries, image_rows), strict=True):
        rows = objects.rows[row]
        for item in entry["relationships"]:
            subject, other = rows.get(item["subject"]["object_id"]), rows.get(item["object"]["object_id"])
            predicate = _clean(item["predicate"])
            if subject is None or other is None or not predicate:
                num_unknown += 1
                continue
            found.append((subject, other, predicates.setdefault(predicate, len(predicates))))
    return np.array(found, dtype=np.int64).reshape(-1, 3), predicates, num_unknown


def _image_rows(path: Path, entries: Sequence[Mapping[str, Any]], known: dict[Id, int]) -> list[int]:
    """The image of each entry."""
    ids = [entry["image_id"] for entry in entries]
    return look_up(path, "[{}].image_id", ids, known, "the id of an image of image_data.json").tolist()


def _clean(name: str) -> str:
    return " ".join(name.lower().split())


def _alphabetic(names: dict[str, int]) -> np.ndarray:
    """The place of each class in the order of the alphabet."""
    places = np.empty(len(names), dtype=np.int64)
    places[[names[name] for name in sorted(names)]] = np.arange(len(names))
    return places


def _file_name(image: Image) -> str:
    """The file with its folder (VG_100K or VG_100K_2), as in the address of the image."""
    parts = PurePosixPath(image.get("url") or "").parts
    return "/".join(parts[-2:]) if len(parts) > 2 else f"{image['image_id']}.jpg"
