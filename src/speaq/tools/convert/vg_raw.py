"""Visual Genome as it is published: ``objects.json``, ``relationships.json`` and ``image_data.json``.

Names are taken in lower case and with single spaces; classes are in the order of the alphabet. Of an object's
several names the first counts. Objects merged in a later version are found under their former ids. All
images are for training, as the published files know no splits.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired

from pydantic import AliasChoices, Field, FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Id, Rows, T, read_json
from speaq.errors import SpeaqError, first_names
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet
from speaq.tools.convert.reading import Files, Format

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


def _find(source: Path) -> list[Path]:
    paths = [source / name for name in _FILES]
    return paths if all(path.is_file() for path in paths) else []


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    objects_path, relations_path, list_path = paths
    found = {
        item["image_id"]: AnnotatedImage(
            place=f"{list_path}: image {item['image_id']!r}",
            id=item["image_id"],
            file=_file_name(item),
            width=item["width"],
            height=item["height"],
            split=0,
        )
        for item in read_json(list_path, _IMAGES)
    }
    boxes: dict[Id, dict[Id, int]] = {image_id: {} for image_id in found}  # by image and object id
    num_nameless, num_unknown = 0, 0
    for image, entry in _entries(objects_path, _OBJECTS, found):
        for item in entry["objects"]:
            names = item["names"]
            name = _clean(names if isinstance(names, str) else next(iter(names), ""))
            if not name:
                num_nameless += 1
                continue
            for object_id in (item["object_id"], *item.get("merged_object_ids", ())):
                boxes[image.id][object_id] = len(image.boxes)
            image.boxes.append((item["x"], item["y"], item["x"] + item["w"], item["y"] + item["h"]))
            image.classes.append(name)
    for image, entry in _entries(relations_path, _RELATIONSHIPS, found):
        for item in entry["relationships"]:
            subject, object_ = (
                boxes[image.id].get(item[role]["object_id"]) for role in ("subject", "object")
            )
            predicate = _clean(item["predicate"])
            if subject is None or object_ is None or not predicate:
                num_unknown += 1
            else:
                image.relations.append((subject, object_, predicate))
    changes = {
        "objects without a name left out": num_nameless,
        "relations of objects that objects.json has not, or without predicate, left out": num_unknown,
    }
    return AnnotatedSet.from_images(source, list(found.values()), changes=changes)


def _entries(
    path: Path, layout: TypeAdapter[list[T]], images: dict[Any, AnnotatedImage]
) -> Iterator[tuple[AnnotatedImage, T]]:
    """The entries of a file with their images."""
    for row, entry in enumerate(read_json(path, layout)):
        image_id = entry["image_id"]  # pyright: ignore[reportIndexIssue]
        if image_id not in images:
            raise SpeaqError(
                f"{path}: [{row}].image_id: expected the id of an image of image_data.json "
                f"({first_names(images)}), found {image_id!r}."
            )
        yield images[image_id], entry


def _clean(name: str) -> str:
    return " ".join(name.lower().split())


def _file_name(image: Image) -> str:
    """The file with its folder (VG_100K or VG_100K_2), as in the address of the image."""
    parts = PurePosixPath(image.get("url") or "").parts
    return "/".join(parts[-2:]) if len(parts) > 2 else f"{image['image_id']}.jpg"


FORMAT = Format(
    "vg-raw",
    "Visual Genome as published: objects.json, relationships.json, image_data.json",
    Files("a folder with objects.json, relationships.json and image_data.json", _find),
    _read,
)
