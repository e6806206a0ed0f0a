"""The scenes of CLEVR (Johnson et al., CVPR 2017): ``CLEVR_train_scenes.json``, ``CLEVR_val_scenes.json``.

A class is colour, material and shape, such as "red metal cube". ``relationships["left"][i]`` lists the
objects that are left of object i. The files have no boxes, only each object's centre in pixels and its
distance: a box here is the square around a sphere of the object's radius (0.7 for large and 0.35 for small
ones) that a camera with the focal length of the original scenes (35 mm on a sensor of 32 mm) sees there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import FiniteFloat, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Rows, read_json
from speaq.tools.convert.annotated import AnnotatedImage
from speaq.tools.convert.reading import Files, Format, image_by_image

_WIDTH, _HEIGHT = 480, 320
_FOCAL_LENGTH = 35 / 32 * _WIDTH  # in pixels
_RADIUS = {"large": 0.7, "small": 0.35}


class Object(TypedDict):
    """An object of a scene; the third of the pixel coordinates is the distance from the camera."""

    color: str
    material: str
    shape: str
    size: Literal["large", "small"]
    pixel_coords: tuple[FiniteFloat, FiniteFloat, FiniteFloat]


class Scene(TypedDict):
    """The scene of an image."""

    image_filename: str
    objects: list[Object]
    relationships: dict[str, list[list[int]]]


class Content(TypedDict):
    """The content of a file."""

    scenes: Rows[Scene]


_LAYOUT = TypeAdapter(Content)


def _images(path: Path) -> Iterator[AnnotatedImage]:
    for row, scene in enumerate(read_json(path, _LAYOUT)["scenes"]):
        yield AnnotatedImage(
            place=f"{path}: scenes[{row}]",
            id=Path(scene["image_filename"]).stem,
            file=scene["image_filename"],
            width=_WIDTH,
            height=_HEIGHT,
            boxes=[_box(item) for item in scene["objects"]],
            classes=[f"{item['color']} {item['material']} {item['shape']}" for item in scene["objects"]],
            relations=[
                (subject, object_, predicate)
                for predicate, lists in scene["relationships"].items()
                for object_, subjects in enumerate(lists)
                for subject in subjects
            ],
        )


def _box(item: Object) -> tuple[float, float, float, float]:
    x, y, distance = item["pixel_coords"]
    half = _FOCAL_LENGTH * _RADIUS[item["size"]] / max(distance, 1e-3)
    return x - half, y - half, x + half, y + half


FORMAT = Format("clevr", "CLEVR: *_scenes.json", Files.named("*_scenes.json"), image_by_image(_images))
