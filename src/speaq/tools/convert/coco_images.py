"""The common part of COCO files with relations: ``images``, ``annotations`` and ``categories`` per split."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NotRequired, TypeVar

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Category, Id, Rows, read_json, split_of
from speaq.errors import SpeaqError, first_names
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet, id_of_file


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


class CocoContent(TypedDict):
    """The keys that all these files have."""

    images: Rows[Image]
    annotations: Rows[Annotation]
    categories: Rows[Category]


Content = TypeVar("Content", bound=CocoContent)


@dataclass(slots=True, kw_only=True)
class CocoFile(Generic[Content]):
    """A file; crowd regions, which stand for many objects, are left out.

    Attributes:
        path: the file.
        content: all of it.
        split: 0 train, 1 validation, 2 test.
        images: by id; the relations are yet to be added.
        boxes: image id and position in the image of each box that has an id, by it.
        num_crowds: crowd regions.
    """

    path: Path
    content: Content
    split: int
    images: dict[Any, AnnotatedImage]
    boxes: dict[Any, tuple[Any, int]]
    num_crowds: int

    @property
    def categories(self) -> dict[Any, str]:
        """Names by id."""
        return {item["id"]: item["name"] for item in self.content["categories"]}


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
    split = split_of(path, alone=alone)
    images: dict[Any, AnnotatedImage] = {}
    for row, item in enumerate(content["images"]):
        if item["id"] in images:
            raise SpeaqError(f"{path}: images[{row}].id: expected different ids, found {item['id']!r} twice.")
        images[item["id"]] = AnnotatedImage(
            place=f"{path}: image {item['id']!r}",
            id=item["id"],
            file=item["file_name"],
            width=item["width"],
            height=item["height"],
            split=split,
        )
    boxes: dict[Any, tuple[Any, int]] = {}
    num_crowds = 0
    for row, item in enumerate(content["annotations"]):
        if item.get("iscrowd"):
            num_crowds += 1
            continue
        image = images.get(item["image_id"])
        if image is None:
            raise SpeaqError(
                f"{path}: annotations[{row}].image_id: expected the id of an image of the file "
                f"({first_names(map(repr, images))}), found {item['image_id']!r}."
            )
        annotation_id = item.get("id")
        if annotation_id is not None:
            boxes[annotation_id] = (image.id, len(image.boxes))
        x, y, width, height = item["bbox"]
        image.boxes.append((x, y, x + width, y + height))
        image.classes.append(item["category_id"])
    return CocoFile(
        path=path, content=content, split=split, images=images, boxes=boxes, num_crowds=num_crowds
    )


def join_coco_files(source: Path, parts: Sequence[CocoFile[Any]], predicates: dict[Any, str]) -> AnnotatedSet:
    """The set of all splits.

    Args:
        source: where the files lie, for messages.
        parts: one per split, with the same categories; their images have relations.
        predicates: names by the key that relations have.

    Raises:
        SpeaqError: the categories of two files differ, or an annotation has an unknown one.
    """
    first = parts[0].categories
    for part in parts[1:]:
        table = part.categories
        if table != first:
            differing = next(key for key in (*first, *table) if first.get(key) != table.get(key))
            raise SpeaqError(
                f"{part.path}: category {differing!r} is {table.get(differing)!r}, but "
                f"{first.get(differing)!r} in {parts[0].path}; the files of a set need the same categories."
            )
    images = [image for part in parts for image in part.images.values()]
    renamed = len({image.id for image in images}) < len(images)
    if renamed:
        images = [replace(image, id=id_of_file(image.file)) for image in images]
    data = AnnotatedSet.from_images(source, images, first, predicates)
    data = data.noting("crowd regions left out", sum(part.num_crowds for part in parts))
    what = "images named after their files, since ids come in several files"
    return data.noting(what, len(images) * renamed)


def coco_content(data: AnnotatedSet, split: int) -> dict[str, Any]:
    """``images``, ``annotations`` and ``categories`` of a split; all ids of boxes and categories from 1.

    Boxes are written with four decimals.
    """
    images, annotations, first = [], [], 1
    for image in data.images():
        if image.split == split:
            images.append(
                {"id": image.id, "file_name": image.file, "width": image.width, "height": image.height}
            )
            sides = image.boxes[:, 2:] - image.boxes[:, :2]
            boxes = np.round(np.concatenate((image.boxes[:, :2], sides), axis=1), 4).tolist()
            areas = np.round(sides.prod(axis=1), 4).tolist()
            annotations += [
                {
                    "id": number,
                    "image_id": image.id,
                    "category_id": label + 1,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                    "segmentation": None,
                }
                for number, (label, box, area) in enumerate(
                    zip(image.classes, boxes, areas, strict=True), start=first
                )
            ]
        first += len(image.boxes)
    return {
        "info": {"description": f"scene graphs, {SPLITS[split]}"},
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": "none"}
            for number, name in enumerate(data.vocabulary.objects, start=1)
        ],
    }
