"""GQA (Hudson and Manning, CVPR 2019): ``train_sceneGraphs.json`` and ``val_sceneGraphs.json``.

A file maps the id of an image to ``{"width", "height", "objects": {id: {"name", "x", "y", "w", "h",
"relations": [{"name", "object": id}]}}}``, in pixels.
"""

from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import read_json, split_of
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet
from speaq.tools.convert.reading import files_named

_FILES = "*[sS]cene[gG]raphs.json"


class Relation(TypedDict):
    """A relation of an object to another one."""

    name: str
    object: str


class Object(TypedDict):
    """An object of an image."""

    name: str
    x: FiniteFloat
    y: FiniteFloat
    w: FiniteFloat
    h: FiniteFloat
    relations: list[Relation]


class Image(TypedDict):
    """The scene graph of an image."""

    width: int
    height: int
    objects: dict[str, Object]


_LAYOUT = TypeAdapter(dict[str, Image])


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(files_named(source, _FILES))


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read a file, or all such files of a folder.

    Raises:
        SpeaqError: there is none, or one does not have this layout.
    """
    paths = files_named(source, _FILES)
    if not paths:
        raise SpeaqError(f"{source}: expected files {_FILES}, found none.")
    found = []
    for path in paths:
        split = split_of(path, alone=len(paths) == 1)
        for image_id, item in read_json(path, _LAYOUT).items():
            place = f"{path}: image {image_id!r}"
            positions = {object_id: position for position, object_id in enumerate(item["objects"])}
            objects = list(item["objects"].values())
            relations = []
            for subject, thing in enumerate(objects):
                for relation in thing["relations"]:
                    if relation["object"] not in positions:
                        raise SpeaqError(
                            f"{place}: expected the id of an object of the image in 'relations', found "
                            f"{relation['object']!r}."
                        )
                    relations.append((subject, positions[relation["object"]], relation["name"]))
            found.append(
                AnnotatedImage(
                    place=place,
                    id=image_id,
                    file=f"{image_id}.jpg",
                    width=item["width"],
                    height=item["height"],
                    split=split,
                    boxes=[
                        (each["x"], each["y"], each["x"] + each["w"], each["y"] + each["h"])
                        for each in objects
                    ],
                    classes=[each["name"] for each in objects],
                    relations=relations,
                )
            )
    return AnnotatedSet.from_images(source, found)
