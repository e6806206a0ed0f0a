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

from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet, annotated_set, round_boxes
from speaq.tools.convert.find_files import files_with
from speaq.tools.convert.read_json import (
    Box,
    Id,
    Rows,
    Triplet,
    class_table,
    image_sizes,
    look_up,
    number_triplets,
    read_json,
)

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


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder with one."""
    return bool(files_with(source, ".json", _KEY))


def read(source: Path) -> AnnotatedSet:
    """Read a file, or the only such file of a folder.

    Raises:
        SpeaqError: there is none, or more than one, or it does not have this layout.
    """
    paths = files_with(source, ".json", _KEY)
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise SpeaqError(
            f"{source}: expected one JSON file with '{_KEY}', found {names}. Name the file itself."
        )
    path = paths[0]
    content = read_json(path, _LAYOUT)
    images = content["data"]
    names = content["thing_classes"] + content.get("stuff_classes", [])
    objects = class_table(
        path, "thing_classes and stuff_classes", dict(enumerate(names)), set(range(len(names)))
    )
    names = content[_KEY]
    predicates = class_table(path, _KEY, dict(enumerate(names)), set(range(len(names))))
    ids = [image["image_id"] for image in images]
    splits = np.zeros(len(ids), dtype=np.int32)
    for split, listed in ((1, content.get("val_image_ids", [])), (2, content.get("test_image_ids", []))):
        splits[np.isin(np.array(ids, dtype=str), np.array(listed, dtype=str))] = split
    box_images = np.repeat(np.arange(len(images)), [len(image["annotations"]) for image in images])
    annotations = [item for image in images for item in image["annotations"]]
    return annotated_set(
        path,
        vocabulary=Vocabulary(tuple(objects.values()), tuple(predicates.values())),
        ids=ids,
        files=[image["file_name"] for image in images],
        sizes=image_sizes(images),
        splits=splits,
        box_images=box_images,
        boxes=_boxes(annotations),
        labels=look_up(
            path,
            "category_id of annotation {} (counted over all images)",
            [item["category_id"] for item in annotations],
            {number: number for number in objects},
            "the number of a class",
        ),
        relations=_relations(path, images, box_images, len(predicates)),
    )


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write ``psg.json``: all classes are things, and there are no masks (``pan_seg_file_name`` is empty).

    Boxes have four decimals.

    Raises:
        SpeaqError: the file cannot be written.
    """
    boxes, offsets = round_boxes(data.boxes), data.box_offsets.tolist()
    relations, relation_offsets = data.local_relations.tolist(), data.relation_offsets.tolist()
    areas = np.prod(data.boxes[:, 2:] - data.boxes[:, :2], axis=1).astype(np.int64).tolist()
    labels = data.labels.tolist()
    images = []
    for row, (height, width) in enumerate(data.sizes.tolist()):
        own = range(offsets[row], offsets[row + 1])
        images.append(
            {
                "file_name": data.files[row],
                "image_id": data.ids[row],
                "height": height,
                "width": width,
                "pan_seg_file_name": "",
                "annotations": [
                    {"bbox": boxes[box], "bbox_mode": 0, "category_id": labels[box]} for box in own
                ],
                "segments_info": [
                    {
                        "id": box - own.start + 1,
                        "category_id": labels[box],
                        "iscrowd": 0,
                        "isthing": 1,
                        "area": areas[box],
                    }
                    for box in own
                ],
                "relations": relations[relation_offsets[row] : relation_offsets[row + 1]],
            }
        )
    content: dict[str, Any] = {
        "data": images,
        "thing_classes": list(data.vocabulary.objects),
        "stuff_classes": [],
        _KEY: list(data.vocabulary.predicates),
        "test_image_ids": [data.ids[row] for row in np.flatnonzero(data.splits == 2)],
        "val_image_ids": [data.ids[row] for row in np.flatnonzero(data.splits == 1)],
    }
    write_json(out / "psg.json", content)
    return [out / "psg.json"]


def _boxes(annotations: list[Annotation]) -> np.ndarray:
    """The boxes (N, 4), xyxy."""
    boxes = np.array([item["bbox"] for item in annotations], dtype=np.float64).reshape(-1, 4)
    xywh = np.array([item.get("bbox_mode", 0) for item in annotations], dtype=np.int64) == 1
    boxes[xywh, 2:] += boxes[xywh, :2]
    return boxes


def _relations(path: Path, images: list[Image], box_images: np.ndarray, num_predicates: int) -> np.ndarray:
    """The relations (M, 3), boxes counted over all images."""
    names = [f"data[{row}].relations" for row in range(len(images))]
    triplets = [image["relations"] for image in images]
    relations = number_triplets(path, names, triplets, range(len(images)), box_images)
    unknown = relations[(relations[:, 2] < 0) | (relations[:, 2] >= num_predicates), 2]
    if len(unknown):
        raise SpeaqError(
            f"{path}: a relation has the predicate {unknown[0]}; expected a position in '{_KEY}', 0 to "
            f"{num_predicates - 1}."
        )
    return relations
