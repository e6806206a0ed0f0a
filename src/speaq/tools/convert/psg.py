"""The JSON file of Panoptic Scene Graph (PSG); of its segments, only the boxes are used.

``data`` is a list of images with ``file_name``, ``image_id``, ``height``, ``width``, ``annotations``
(``bbox``, ``bbox_mode`` 0 for xyxy or 1 for xywh, ``category_id``), ``segments_info`` and ``relations``
([subject, object, predicate] from 0). Categories count through ``thing_classes`` and then ``stuff_classes``.
Images of ``test_image_ids`` are for testing; ``val_image_ids``, which this project adds, are for validation.
"""

from pathlib import Path
from typing import Any, Literal, NotRequired

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Id, Rows, read_json
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet
from speaq.tools.convert.reading import Files, Format, Triplet

_KEY = "predicate_classes"


class Annotation(TypedDict):
    """An entry of ``annotations`` of an image."""

    bbox: Box
    bbox_mode: NotRequired[Literal[0, 1]]
    category_id: int


class Image(TypedDict):
    """An entry of ``data``."""

    image_id: Id
    file_name: str
    width: int
    height: int
    annotations: Rows[Annotation]
    relations: Rows[Triplet]


class Content(TypedDict):
    """The content of the file."""

    data: Rows[Image]
    thing_classes: list[str]
    stuff_classes: NotRequired[list[str]]
    predicate_classes: list[str]
    val_image_ids: NotRequired[list[Id]]
    test_image_ids: NotRequired[list[Id]]


_LAYOUT = TypeAdapter(Content)


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise SpeaqError(
            f"{source}: expected one JSON file with '{_KEY}', found {names}. Name the file itself."
        )
    path = paths[0]
    content = read_json(path, _LAYOUT)
    splits = {str(image_id): 1 for image_id in content.get("val_image_ids", ())}
    splits |= {str(image_id): 2 for image_id in content.get("test_image_ids", ())}
    found = []
    for row, item in enumerate(content["data"]):
        boxes = np.array([each["bbox"] for each in item["annotations"]], dtype=np.float64).reshape(-1, 4)
        xywh = np.array([each.get("bbox_mode") == 1 for each in item["annotations"]], dtype=bool)
        boxes[xywh, 2:] += boxes[xywh, :2]
        found.append(
            AnnotatedImage(
                place=f"{path}: data[{row}]",
                id=item["image_id"],
                file=item["file_name"],
                width=item["width"],
                height=item["height"],
                split=splits.get(str(item["image_id"]), 0),
                boxes=boxes,
                classes=[each["category_id"] for each in item["annotations"]],
                relations=item["relations"],
            )
        )
    objects = content["thing_classes"] + content.get("stuff_classes", [])
    return AnnotatedSet.from_images(path, found, dict(enumerate(objects)), dict(enumerate(content[_KEY])))


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write ``psg.json``: all classes are things, there are no masks, and boxes have four decimals."""
    entries = []
    for image in data.images():
        areas = np.prod(image.boxes[:, 2:] - image.boxes[:, :2], axis=1).astype(np.int64).tolist()
        boxes = np.round(image.boxes, 4).tolist()
        entries.append(
            {
                "file_name": image.file,
                "image_id": image.id,
                "height": image.height,
                "width": image.width,
                "pan_seg_file_name": "",
                "annotations": [
                    {"bbox": box, "bbox_mode": 0, "category_id": label}
                    for box, label in zip(boxes, image.classes, strict=True)
                ],
                "segments_info": [
                    {"id": number, "category_id": label, "iscrowd": 0, "isthing": 1, "area": area}
                    for number, (label, area) in enumerate(zip(image.classes, areas, strict=True), start=1)
                ],
                "relations": image.relations,
            }
        )
    content: dict[str, Any] = {
        "data": entries,
        "thing_classes": list(data.vocabulary.objects),
        "stuff_classes": [],
        _KEY: list(data.vocabulary.predicates),
        "test_image_ids": [image.id for image in data.images() if image.split == 2],
        "val_image_ids": [image.id for image in data.images() if image.split == 1],
    }
    write_json(out / "psg.json", content)
    return [out / "psg.json"]


FORMAT = Format(
    "psg",
    "Panoptic Scene Graph: JSON with 'predicate_classes'",
    Files.with_key(_KEY, f"one JSON file with '{_KEY}'"),
    _read,
    _write,
)
