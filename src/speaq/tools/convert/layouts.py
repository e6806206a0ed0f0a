"""Layouts for image generators such as GLIGEN: a caption, phrases, and boxes in 0..1 of the image.

A file ``*layout*.json`` is a list of ``{"image", "width", "height", "caption", "phrases": [names], "boxes":
[xyxy], "relations": [[subject, predicate, object]], "split"}``; subject and object are positions in
``phrases``.
"""

from pathlib import Path
from typing import Literal, NotRequired

import numpy as np
from pydantic import StrictInt, TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Box, Id, Rows, read_json, split_of
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.reading import files_named

_FILES = "*layout*.json"


class Layout(TypedDict):
    """The layout of an image."""

    image: str
    id: NotRequired[Id]
    width: StrictInt
    height: StrictInt
    caption: NotRequired[str]
    phrases: list[str]
    boxes: list[Box]
    relations: NotRequired[list[tuple[StrictInt, str, StrictInt]]]
    split: NotRequired[Literal["train", "val", "test"]]


_LAYOUT = TypeAdapter(Rows[Layout])


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(files_named(source, _FILES))


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read a file, or all such files of a folder.

    Raises:
        SpeaqError: there is none, or one does not have this layout.
    """
    paths = files_named(source, _FILES)
    if not paths:
        raise SpeaqError(f"{source}: expected files {_FILES}, found none.")
    found = []
    for path in paths:
        for row, item in enumerate(read_json(path, _LAYOUT)):
            if len(item["phrases"]) != len(item["boxes"]):
                raise SpeaqError(
                    f"{path}: [{row}]: expected a box for each phrase, found {len(item['phrases'])} phrases "
                    f"and {len(item['boxes'])} boxes."
                )
            split = SPLITS.index(item["split"]) if "split" in item else split_of(path, alone=len(paths) == 1)
            size = np.array([item["width"], item["height"]] * 2)
            found.append(
                AnnotatedImage(
                    place=f"{path}: [{row}]",
                    id=item.get("id", id_of_file(item["image"])),
                    file=item["image"],
                    width=item["width"],
                    height=item["height"],
                    split=split,
                    boxes=np.array(item["boxes"], dtype=np.float64).reshape(-1, 4) * size,
                    classes=item["phrases"],
                    relations=[(s, o, p) for s, p, o in item.get("relations", ())],
                )
            )
    return AnnotatedSet.from_images(source, found)


def write(data: AnnotatedSet, out: Path, images: Path | None = None) -> list[Path]:
    """Write ``layouts.json``; the caption lists the relations, and boxes have eight decimals.

    Raises:
        SpeaqError: the file cannot be written.
    """
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
