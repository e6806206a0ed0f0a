"""VRD (Lu et al., ECCV 2016): ``annotations_train.json``, ``annotations_test.json`` and lists of names.

An annotation file maps the name of an image to its relations ``{"subject": {"category", "bbox"}, "predicate",
"object": ...}``; a box is (y1, y2, x1, x2) in pixels, and boxes with the same category and place are one
object. ``objects.json`` and ``predicates.json`` are lists of names, by number from 0. Sizes are those of the
image files.
"""

from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Rows, read_json, split_of
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.image_files import sized_images

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


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return any(source.glob(_ANNOTATIONS)) and (source / "predicates.json").is_file()


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read the folder. Images without a file are left out, since only the file tells the size.

    Raises:
        SpeaqError: a file is missing or does not have this layout, or there is no folder of images.
    """
    objects = read_json(source / "objects.json", _NAMES)
    predicates = read_json(source / "predicates.json", _NAMES)
    found = []
    for path in sorted(source.glob(_ANNOTATIONS)):
        split = split_of(path, alone=False)
        for name, relations in read_json(path, _LAYOUT).items():
            image = AnnotatedImage(
                place=f"{path}: {name}",
                id=id_of_file(name),
                file=name,
                width=0,
                height=0,
                split=split,
            )
            _add_relations(image, relations)
            found.append(image)
    if not found:
        raise SpeaqError(f"{source}: expected images in {_ANNOTATIONS}, found none.")
    sized, num_missing = sized_images(found, images, "VRD")
    data = AnnotatedSet.from_images(source, sized, dict(enumerate(objects)), dict(enumerate(predicates)))
    return data.noting("images without a file left out", num_missing)


def _add_relations(image: AnnotatedImage, relations: list[Relation]) -> None:
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
