"""Layouts for image generators such as GLIGEN: a caption, phrases, and boxes in 0..1 of the image.

A file ``*layout*.json`` is a list of ``{"image", "width", "height", "caption", "phrases": [names], "boxes":
[xyxy], "relations": [[subject, predicate, object]], "split"}``; subject and object are positions in
``phrases``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NotRequired

import numpy as np
from pydantic import TypeAdapter

from speaq.data.records import Box, Rows, read_json
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet
from speaq.tools.convert.json_lines import Line, image_of_line
from speaq.tools.convert.reading import Files, Format, image_by_image


class Layout(Line):
    """The layout of an image."""

    caption: NotRequired[str]
    phrases: list[str]
    boxes: list[Box]


_LAYOUT = TypeAdapter(Rows[Layout])


def _images(path: Path) -> Iterator[AnnotatedImage]:
    for row, item in enumerate(read_json(path, _LAYOUT)):
        place = f"{path}: [{row}]"
        if len(item["phrases"]) != len(item["boxes"]):
            raise SpeaqError(
                f"{place}: expected a box for each phrase, found {len(item['phrases'])} phrases and "
                f"{len(item['boxes'])} boxes."
            )
        image = image_of_line(place, item)
        image.check_size()
        size = np.array([image.width, image.height] * 2)
        image.boxes = np.array(item["boxes"], dtype=np.float64).reshape(-1, 4) * size
        image.classes = item["phrases"]
        yield image


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write ``layouts.json``; the caption lists the relations, and boxes have eight decimals."""
    objects, predicates = data.vocabulary.objects, data.vocabulary.predicates
    layouts = []
    for image in data.images():
        phrases = [objects[label] for label in image.classes]
        relations = [[s, predicates[p], o] for s, o, p in image.relations]
        sentences = [f"{phrases[s]} {predicates[p]} {phrases[o]}" for s, o, p in image.relations]
        size = np.array([image.width, image.height] * 2)
        layouts.append(
            {
                "image": image.file,
                "id": image.id,
                "width": image.width,
                "height": image.height,
                "caption": ", ".join(dict.fromkeys(sentences or phrases)),
                "phrases": phrases,
                "boxes": np.round(image.boxes / size, 8).tolist(),
                "relations": relations,
                "split": SPLITS[image.split],
            }
        )
    write_json(out / "layouts.json", layouts)
    return [out / "layouts.json"]


FORMAT = Format(
    "layout",
    "layouts for GLIGEN: *layout*.json",
    Files.named("*layout*.json"),
    image_by_image(_images),
    _write,
)
