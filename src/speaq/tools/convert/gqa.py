"""GQA (Hudson and Manning, CVPR 2019): ``train_sceneGraphs.json`` and ``val_sceneGraphs.json``.

A file maps the id of an image to ``{"width", "height", "objects": {id: {"name", "x", "y", "w", "h",
"relations": [{"name", "object": id}]}}}``, in pixels.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import read_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage
from speaq.tools.convert.reading import Files, Format, image_by_image


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


def _images(path: Path) -> Iterator[AnnotatedImage]:
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
        yield AnnotatedImage(
            place=place,
            id=image_id,
            file=f"{image_id}.jpg",
            width=item["width"],
            height=item["height"],
            boxes=[(each["x"], each["y"], each["x"] + each["w"], each["y"] + each["h"]) for each in objects],
            classes=[each["name"] for each in objects],
            relations=relations,
        )


FORMAT = Format(
    "gqa", "GQA: *sceneGraphs.json", Files.named("*[sS]cene[gG]raphs.json"), image_by_image(_images)
)
