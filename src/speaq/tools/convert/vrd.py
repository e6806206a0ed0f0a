"""VRD (Lu et al., ECCV 2016): ``annotations_train.json``, ``annotations_test.json`` and lists of names.

An annotation file maps the name of an image to its relations ``{"subject": {"category", "bbox"}, "predicate",
"object": ...}``; a box is (y1, y2, x1, x2) in pixels, and boxes with the same category and place are one
object. ``objects.json`` and ``predicates.json`` are lists of names, by number from 0. Sizes are those of the
image files, and images without a file are left out.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Rows, read_json, split_of
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.image_files import sized_images
from speaq.tools.convert.reading import Files, Format, read_images

_ANNOTATIONS = "annotations_*.json"


class Object(TypedDict):
    """The subject or object of a relation."""

    category: int
    bbox: Box


class Relation(TypedDict):
    """A relation of an image."""

    subject: Object
    predicate: int
    object: Object


_LAYOUT = TypeAdapter(dict[str, Rows[Relation]])
_NAMES = TypeAdapter(list[str])


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    objects = dict(enumerate(read_json(source / "objects.json", _NAMES)))
    predicates = dict(enumerate(read_json(source / "predicates.json", _NAMES)))
    found = read_images(paths, _images)
    if not found:
        raise SpeaqError(f"{source}: expected images in {_ANNOTATIONS}, found none.")
    changes = Counter[str]()
    sized = sized_images(found, images, "VRD", changes)
    return AnnotatedSet.from_images(source, sized, objects, predicates, changes=changes)


def _images(path: Path) -> Iterator[AnnotatedImage]:
    split = split_of(path, alone=False)
    for name, relations in read_json(path, _LAYOUT).items():
        image = AnnotatedImage(place=f"{path}: {name}", id=id_of_file(name), file=name, split=split)
        positions: dict[tuple[float, ...], int] = {}
        for relation in relations:
            pair = []
            for item in (relation["subject"], relation["object"]):
                y1, y2, x1, x2 = item["bbox"]
                key = (item["category"], x1, y1, x2, y2)
                if key not in positions:
                    positions[key] = len(image.boxes)
                    image.boxes.append((x1, y1, x2, y2))
                    image.classes.append(item["category"])
                pair.append(positions[key])
            image.relations.append((pair[0], pair[1], relation["predicate"]))
        yield image


def _find(source: Path) -> list[Path]:
    return sorted(source.glob(_ANNOTATIONS)) if (source / "predicates.json").is_file() else []


FORMAT = Format(
    "vrd",
    "VRD: annotations_train.json, annotations_test.json, objects.json, predicates.json",
    Files(f"{_ANNOTATIONS} and predicates.json in this folder", _find),
    _read,
)
