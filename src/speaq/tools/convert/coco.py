"""COCO files with relations: ``images``, ``annotations`` and ``categories``, one file per split.

RelTR and EGTR have ``train.json``, ``val.json`` and ``test.json``, and beside them ``rel.json``: ``{"train":
{"<image id>": [[subject, object, predicate], ...]}, "val": ..., "test": ..., "rel_categories": [names]}``.
Subject and object count the annotations of the image from 0, in the order of the file and without crowd
regions; the predicate is a position in ``rel_categories``, which begins with ``__background__``.

SGG-Benchmark has the relations in each file: ``rel_annotations`` is a list of ``{"id", "subject_id",
"predicate_id", "object_id", "image_id"}``: subject and object are ids of ``annotations``. ``rel_categories``
is a list of ``{"id", "name"}``, ids from 0, or of names.

Crowd regions, which stand for many objects, are left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Category, Id, Rows, names_by_id, read_json, split_of
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError, first_names
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.reading import Files, Format, Triplet

_RELATIONS = "rel.json"
_KEY = "rel_annotations"


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


class Content(TypedDict):
    """The keys that all these files have."""

    images: Rows[Image]
    annotations: Rows[Annotation]
    categories: Rows[Category]


class Relation(TypedDict):
    """An entry of ``rel_annotations``."""

    subject_id: Id
    object_id: Id
    predicate_id: Id


class ContentWithRelations(Content):
    """A file of SGG-Benchmark."""

    rel_annotations: Rows[Relation]
    rel_categories: list[str] | list[Category]


class RelationFile(TypedDict):
    """The content of ``rel.json``."""

    train: NotRequired[Mapping[str, Rows[Triplet]]]
    val: NotRequired[Mapping[str, Rows[Triplet]]]
    test: NotRequired[Mapping[str, Rows[Triplet]]]
    rel_categories: list[str]


_LAYOUT = TypeAdapter(Content)
_LAYOUT_WITH_RELATIONS = TypeAdapter(ContentWithRelations)
_RELATIONS_LAYOUT = TypeAdapter(RelationFile)


@dataclass(slots=True, kw_only=True)
class _Part:
    """A file: its images by id, and the image and position of each box with an id, by it."""

    path: Path
    split: int
    content: Any
    images: dict[Any, AnnotatedImage] = field(default_factory=dict)
    boxes: dict[Any, tuple[AnnotatedImage, int]] = field(default_factory=dict)
    num_crowds: int = 0

    @property
    def categories(self) -> dict[Any, str]:
        return names_by_id(self.content["categories"])


def _read_part(path: Path, layout: TypeAdapter[Any], *, alone: bool = False) -> _Part:
    """The images and boxes of a file; relations are yet to be added."""
    part = _Part(path=path, split=split_of(path, alone=alone), content=read_json(path, layout))
    for row, item in enumerate(part.content["images"]):
        if item["id"] in part.images:
            raise SpeaqError(f"{path}: images[{row}].id: expected different ids, found {item['id']!r} twice.")
        part.images[item["id"]] = AnnotatedImage(
            place=f"{path}: image {item['id']!r}",
            id=item["id"],
            file=item["file_name"],
            width=item["width"],
            height=item["height"],
            split=part.split,
        )
    for row, item in enumerate(part.content["annotations"]):
        if item.get("iscrowd"):
            part.num_crowds += 1
            continue
        image = part.images.get(item["image_id"])
        if image is None:
            raise SpeaqError(
                f"{path}: annotations[{row}].image_id: expected the id of an image of the file "
                f"({first_names(map(repr, part.images))}), found {item['image_id']!r}."
            )
        if item.get("id") is not None:
            part.boxes[item["id"]] = image, len(image.boxes)
        x, y, width, height = item["bbox"]
        image.boxes.append((x, y, x + width, y + height))
        image.classes.append(item["category_id"])
    return part


def _join(source: Path, parts: Sequence[_Part], predicates: dict[Any, str]) -> AnnotatedSet:
    """The set of all files, whose images have relations by now."""
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
    changes = {"crowd regions left out": sum(part.num_crowds for part in parts)}
    if len({image.id for image in images}) < len(images):
        images = [replace(image, id=id_of_file(image.file)) for image in images]
        changes["images named after their files, since ids come in several files"] = len(images)
    return AnnotatedSet.from_images(source, images, first, predicates, changes=changes)


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    path, *split_paths = paths
    if not split_paths:
        raise SpeaqError(f"{source}: expected train.json, val.json or test.json in this folder, found none.")
    parts = [_read_part(path, _LAYOUT) for path in split_paths]
    relations = read_json(path, _RELATIONS_LAYOUT)
    used: set[int] = set()
    for part in parts:
        name = SPLITS[part.split]
        by_image = relations.get(name)
        if by_image is None:
            raise SpeaqError(
                f"{path}: expected the key '{name}', since there is {part.path.name}; it is missing."
            )
        by_id = {str(image_id): image for image_id, image in part.images.items()}
        for image_id, triplets in by_image.items():
            image = by_id.get(image_id)
            if image is None:
                raise SpeaqError(
                    f"{path}: {name}: expected ids of images of {part.path}, found {image_id!r}."
                )
            image.relations_place = f"{path}: {name}.{image_id}"
            image.relations = triplets
            used.update(predicate for *_, predicate in triplets)
    names = relations["rel_categories"]
    # Some files count predicates from 1 without a name for the background.
    start = 1 if used and min(used) > 0 and max(used) == len(names) else 0
    return _join(source, parts, dict(enumerate(names, start=start)))


def _read_sgg_benchmark(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    parts = [_read_part(path, _LAYOUT_WITH_RELATIONS, alone=len(paths) == 1) for path in paths]
    if len({part.split for part in parts}) < len(parts):
        names = ", ".join(path.name for path in paths)
        raise SpeaqError(f"{source}: expected one file for each of train, val and test, found {names}.")
    tables = [names_by_id(part.content["rel_categories"]) for part in parts]
    for part, table in zip(parts, tables, strict=True):
        if table != tables[0]:
            raise SpeaqError(
                f"{part.path}: 'rel_categories' is not as in {parts[0].path}; expected the same."
            )
        if len(part.boxes) < sum(len(image.boxes) for image in part.images.values()):
            raise SpeaqError(
                f"{part.path}: expected an 'id' of its own in every entry of 'annotations'; relations need "
                "them."
            )
        for row, relation in enumerate(part.content[_KEY]):
            _add_relation(f"{part.path}: {_KEY}[{row}]", part, relation)
    return _join(source, parts, tables[0])


def _add_relation(place: str, part: _Part, relation: Relation) -> None:
    for key in ("subject_id", "object_id"):
        if relation[key] not in part.boxes:
            raise SpeaqError(
                f"{place}.{key}: expected the id of an annotation (no crowd) of the file, found "
                f"{relation[key]!r}."
            )
    image, subject = part.boxes[relation["subject_id"]]
    other, object_ = part.boxes[relation["object_id"]]
    if image is not other:
        raise SpeaqError(
            f"{place}: expected two boxes of one image, found boxes of the images {image.id!r} and "
            f"{other.id!r}."
        )
    image.relations.append((subject, object_, relation["predicate_id"]))


def _content(data: AnnotatedSet, split: int) -> dict[str, Any]:
    """``images``, ``annotations`` and ``categories`` of a split; all ids of boxes and categories from 1.

    Boxes are written with four decimals.
    """
    images, annotations, first = [], [], 1
    for image in data.images():
        if image.split == split:
            images.append(
                {"id": image.id, "file_name": image.file, "width": image.width, "height": image.height}
            )
            areas = np.round(np.prod(image.boxes[:, 2:] - image.boxes[:, :2], axis=1), 4).tolist()
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
                    zip(image.classes, image.rounded_xywh(), areas, strict=True), start=first
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


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write the four files; empty splits are written, too, and every image has its relations."""
    relations: dict[str, Any] = {name: {} for name in SPLITS}
    for image in data.images():
        triplets = [[s, o, p + 1] for s, o, p in image.relations]
        relations[SPLITS[image.split]][str(image.id)] = triplets
    relations["rel_categories"] = ["__background__", *data.vocabulary.predicates]
    for split, name in enumerate(SPLITS):
        write_json(out / f"{name}.json", _content(data, split))
    write_json(out / _RELATIONS, relations)
    return [out / f"{name}.json" for name in (*SPLITS, "rel")]


def _write_sgg_benchmark(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write one file per split that has images."""
    relations: dict[int, list[dict[str, Any]]] = {}
    number, first = 0, 1
    for image in data.images():
        own = relations.setdefault(image.split, [])
        for s, o, p in image.relations:
            ends = {"subject_id": first + s, "predicate_id": p, "object_id": first + o}
            own.append({"id": number, **ends, "image_id": image.id})
            number += 1
        first += len(image.boxes)
    names = [{"id": number, "name": name} for number, name in enumerate(data.vocabulary.predicates)]
    written = []
    for split in sorted(relations):
        content = {**_content(data, split), "rel_categories": names, _KEY: relations[split]}
        written.append(out / f"{SPLITS[split]}.json")
        write_json(written[-1], content)
    return written


def _find(source: Path) -> list[Path]:
    paths = [source / name for name in (_RELATIONS, *(f"{name}.json" for name in SPLITS))]
    return [path for path in paths if path.is_file()] if paths[0].is_file() else []


FORMAT = Format(
    "coco",
    "RelTR and EGTR: train.json, val.json, test.json and rel.json",
    Files("rel.json in this folder, and train.json, val.json or test.json", _find),
    _read,
    _write,
)
SGG_BENCHMARK = Format(
    "sgg-benchmark",
    "COCO JSON with 'rel_annotations', one file per split",
    Files.with_key(_KEY, f"JSON with '{_KEY}', one file per split"),
    _read_sgg_benchmark,
    _write_sgg_benchmark,
)
