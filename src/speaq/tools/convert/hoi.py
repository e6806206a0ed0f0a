"""Human-object interactions (HICO-DET, V-COCO) in the JSON layout of PPDM and QPIC.

A file, with train or test in its name, is a list of ``{"file_name", "annotations": [{"bbox", "category_id"}],
"hoi_annotation": [{"subject_id", "object_id", "category_id"}]}``; boxes are xyxy in pixels, subject and
object are positions in ``annotations``, and an object of -1, an interaction without object, is left out. The
files have no names: ``objects.txt`` and ``verbs.txt`` beside them have one ``number name`` per line. Sizes
are those of the image files.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Rows, read_json
from speaq.errors import SpeaqError
from speaq.files import regular
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet
from speaq.tools.convert.image_files import sized_images
from speaq.tools.convert.reading import Files, Format, read_images

_NUMBER = re.compile("[0-9]{1,9}")


class Annotation(TypedDict):
    """A box of an image."""

    bbox: Box
    category_id: int  # or a number as text


class Interaction(TypedDict):
    """An interaction of a person with an object."""

    subject_id: int
    object_id: int
    category_id: int


class Image(TypedDict):
    """An entry of the file."""

    file_name: str
    annotations: list[Annotation]
    hoi_annotation: list[Interaction]


_LAYOUT = TypeAdapter(Rows[Image])


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    objects, verbs = _names(paths[0].with_name("objects.txt")), _names(paths[0].with_name("verbs.txt"))
    changes = Counter[str]()
    found = read_images(paths, lambda path: _images(path, changes))
    sized = sized_images(found, images, "HICO-DET", changes)
    return AnnotatedSet.from_images(source, sized, objects, verbs, changes=changes)


def _images(path: Path, changes: Counter[str]) -> Iterator[AnnotatedImage]:
    for row, item in enumerate(read_json(path, _LAYOUT)):
        interactions = [each for each in item["hoi_annotation"] if each["object_id"] >= 0]
        changes["interactions without object left out"] += len(item["hoi_annotation"]) - len(interactions)
        yield AnnotatedImage(
            place=f"{path}: [{row}]",
            id=Path(item["file_name"]).stem,
            file=item["file_name"],
            boxes=[each["bbox"] for each in item["annotations"]],
            classes=[each["category_id"] for each in item["annotations"]],
            relations=[(each["subject_id"], each["object_id"], each["category_id"]) for each in interactions],
        )


def _names(path: Path) -> dict[int, str]:
    """Names by number, from lines of ``number name``; other lines are headings."""
    try:
        lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise SpeaqError(
            f"{path}: cannot read this file ({error}); the annotations have no names: write 'number name' on "
            "each line, with the numbers of the annotations."
        ) from error
    parts = (line.split(maxsplit=1) for line in lines)
    return {int(part[0]): part[1].strip() for part in parts if len(part) == 2 and _NUMBER.fullmatch(part[0])}


FORMAT = Format(
    "hoi",
    "HICO-DET and V-COCO: JSON with 'hoi_annotation', and objects.txt and verbs.txt",
    Files.with_key("hoi_annotation"),
    _read,
)
