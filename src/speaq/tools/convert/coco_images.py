"""The common part of COCO files with relations: ``images``, ``annotations`` and ``categories`` per split.

I: images, N: boxes, M: relations, of one file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Generic, NotRequired, TypeVar

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet, annotated_set, round_boxes
from speaq.tools.convert.read_json import (
    Box,
    Id,
    Rows,
    class_table,
    image_sizes,
    look_up,
    read_json,
    split_of,
)


class Image(TypedDict):
    """An entry of ``images``."""

    id: Id
    file_name: str
    width: int
    height: int


class Annotation(TypedDict):
    """An entry of ``annotations``; the box is x, y, width and height."""

    id: NotRequired[Id | None]
    image_id: Id
    category_id: Id
    bbox: Box
    iscrowd: NotRequired[int | bool | None]


class Category(TypedDict):
    """An entry of ``categories``."""

    id: Id
    name: str


class CocoContent(TypedDict):
    """The keys that all these files have."""

    images: Rows[Image]
    annotations: Rows[Annotation]
    categories: Rows[Category]


Content = TypeVar("Content", bound=CocoContent)
COCO_LAYOUT = TypeAdapter(CocoContent)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoFile(Generic[Content]):
    """The images and boxes of one file, crowd regions left out.

    Attributes:
        path: the file.
        content: all of it.
        split: 0 train, 1 validation, 2 test.
        ids: I image ids.
        files: I names of image files.
        sizes: (I, 2) int64, height and width.
        box_images: (N,) int64, which image a box is of.
        boxes: (N, 4) float64, xyxy in pixels.
        categories: N category ids.
        annotation_ids: N ids; None if an annotation has no id.
        num_crowds: regions that stand for many objects, left out.
    """

    path: Path
    content: Content
    split: int
    ids: list[Any]
    files: list[str]
    sizes: np.ndarray
    box_images: np.ndarray
    boxes: np.ndarray
    categories: list[Any]
    annotation_ids: list[Any] | None
    num_crowds: int


def read_coco_file(path: Path, layout: TypeAdapter[Content], *, alone: bool) -> CocoFile[Content]:
    """Read a file.

    Args:
        path: the file, with the split in its name.
        layout: of the file.
        alone: it is the only file of the set.

    Raises:
        SpeaqError: the file cannot be read, or does not have this layout.
    """
    content = read_json(path, layout)
    images, annotations = (
        content["images"],
        [item for item in content["annotations"] if not item.get("iscrowd")],
    )
    ids = [image["id"] for image in images]
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) < len(ids):
        twice = next(row for row, name in enumerate(ids) if rows[name] != row)
        raise SpeaqError(f"{path}: images[{twice}].id: expected different ids, found {ids[twice]!r} twice.")
    corners = np.array([item["bbox"] for item in annotations], dtype=np.float64).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    box_images = [item["image_id"] for item in annotations]
    annotation_ids = [item.get("id") for item in annotations]
    return CocoFile(
        path=path,
        content=content,
        split=split_of(path, alone=alone),
        ids=ids,
        files=[image["file_name"] for image in images],
        sizes=image_sizes(images),
        box_images=look_up(
            path, "annotations[{}].image_id", box_images, rows, "the id of an image of the file"
        ),
        boxes=corners,
        categories=[item["category_id"] for item in annotations],
        annotation_ids=None if None in annotation_ids else annotation_ids,
        num_crowds=len(content["annotations"]) - len(annotations),
    )


def join_coco_files(
    source: Path,
    parts: Sequence[CocoFile],
    relations: Callable[[CocoFile], np.ndarray],
    predicates: Sequence[str],
) -> AnnotatedSet:
    """The set of all splits.

    Args:
        source: where the files lie, for messages.
        parts: one per split, with the same categories.
        relations: the rows (subject, object, predicate from 0) of a file, boxes counted over the file.
        predicates: their names.

    Raises:
        SpeaqError: the categories of two files differ, or an annotation has an unknown one.
    """
    tables = [{item["id"]: item["name"] for item in part.content["categories"]} for part in parts]
    used = {category for part in parts for category in part.categories}
    for part, table in zip(parts, tables, strict=True):
        if table != tables[0]:
            differing = next(key for key in (*tables[0], *table) if tables[0].get(key) != table.get(key))
            raise SpeaqError(
                f"{part.path}: category {differing!r} is {table.get(differing)!r}, but "
                f"{tables[0].get(differing)!r} in {parts[0].path}; the files of a set need the "
                "same categories."
            )
    objects = class_table(parts[0].path, "categories", tables[0], used)
    numbers = {number: index for index, number in enumerate(objects)}
    what = "the id of a category"
    labels = [
        look_up(part.path, "annotations[{}].category_id", part.categories, numbers, what) for part in parts
    ]
    first_image = np.cumsum([0, *(len(part.ids) for part in parts)])
    first_box = np.cumsum([0, *(len(part.boxes) for part in parts)])
    rows = [
        relations(part) + np.array([first, first, 0])
        for part, first in zip(parts, first_box[:-1], strict=True)
    ]
    ids = [name for part in parts for name in part.ids]
    files = [name for part in parts for name in part.files]
    renamed = len(set(ids)) < len(ids)
    joined = annotated_set(
        source,
        vocabulary=Vocabulary(tuple(objects.values()), tuple(predicates)),
        ids=[str(PurePosixPath(name).with_suffix("")) for name in files] if renamed else ids,
        files=files,
        sizes=np.concatenate([part.sizes for part in parts]),
        splits=np.repeat([part.split for part in parts], [len(part.ids) for part in parts]),
        box_images=np.concatenate(
            [part.box_images + first for part, first in zip(parts, first_image[:-1], strict=True)]
        ),
        boxes=np.concatenate([part.boxes for part in parts]),
        labels=np.concatenate(labels),
        relations=np.concatenate(rows),
    )
    joined = joined.noting("crowd regions left out", sum(part.num_crowds for part in parts))
    return joined.noting(
        "images named after their files, since ids come in several files", len(ids) * renamed
    )


def coco_content(data: AnnotatedSet, split: int) -> dict[str, Any]:
    """``images``, ``annotations`` and ``categories`` of a split; all ids of boxes and categories from 1.

    Boxes are written with four decimals.
    """
    images = np.flatnonzero(data.splits == split)
    boxes = np.flatnonzero(data.splits[data.box_images] == split)
    corners = data.boxes[boxes]
    sides = corners[:, 2:] - corners[:, :2]
    rows = zip(
        (boxes + 1).tolist(),
        data.box_images[boxes].tolist(),
        data.labels[boxes].tolist(),
        round_boxes(np.concatenate((corners[:, :2], sides), axis=1)),
        np.round(sides.prod(axis=1), 4).tolist(),
        strict=True,
    )
    return {
        "info": {"description": f"scene graphs, {SPLITS[split]}"},
        "images": [
            {
                "id": data.ids[row],
                "file_name": data.files[row],
                "width": int(data.sizes[row, 1]),
                "height": int(data.sizes[row, 0]),
            }
            for row in images
        ],
        "annotations": [
            {
                "id": number,
                "image_id": data.ids[image],
                "category_id": label + 1,
                "bbox": box,
                "area": area,
                "iscrowd": 0,
                "segmentation": None,
            }
            for number, image, label, box, area in rows
        ],
        "categories": [
            {"id": number, "name": name, "supercategory": "none"}
            for number, name in enumerate(data.vocabulary.objects, start=1)
        ],
    }
