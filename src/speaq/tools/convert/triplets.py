"""Triplets with names, as language models give them: the layout of `speaq.evaluation.formats.triplets`.

The key ``source`` of an image is the source of its relations, scores are their confidences. Spellings of a
name that differ in case, hyphens, underscores or spaces are one class, named as it is found first. Sizes are
those of the image files, which are named after the image ids; images without
a file are left out.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from speaq.data.records import show
from speaq.errors import SpeaqError
from speaq.evaluation.formats.read import read_documents
from speaq.evaluation.formats.target import folded
from speaq.evaluation.formats.triplets import (
    UNITS,
    BoxScale,
    find_relations,
    find_scale,
    read_records,
    to_pixels,
)
from speaq.images import SUFFIXES
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.image_files import sized_images
from speaq.tools.convert.reading import Files, Format, files_with, read_images


def _read(source: Path, paths: list[Path], images: Path | None, box_scale: BoxScale = "auto") -> AnnotatedSet:
    find_object, find_predicate = _first_spelling(), _first_spelling()
    changes = Counter[str]()

    def images_of(path: Path) -> Iterator[AnnotatedImage]:
        records = read_records(read_documents(path)(), lambda image_id, _: image_id)
        unsized = [AnnotatedImage(place=f"{path}: image {key!r}", id=key, file=str(key)) for key in records]
        sized = sized_images(unsized, images, "this format", changes)
        there = {image.id: records[image.id] for image in sized}
        scale = box_scale
        if scale == "auto":
            scale = find_scale(path, there, {image.id: (image.width, image.height) for image in sized})
        for image in sized:
            record = there[image.id]
            if not isinstance(record.source, str | None):
                raise SpeaqError(f"{image.place}: source: expected text, found {show(record.source)}.")
            things, found = find_relations(record, find_object, find_predicate, Counter())
            if PurePosixPath(str(image.id)).suffix.lower() in SUFFIXES:
                image.id = id_of_file(str(image.id))
            boxes = np.array([box for _, box in things]).reshape(-1, 4)
            image.boxes = boxes * to_pixels(scale, image.width, image.height)
            image.classes = [name for name, _ in things]
            relations = [relation for relation in found if relation[0] != relation[1]]
            image.relations = [(s, o, predicate) for s, o, predicate, _ in relations]
            if any(score != 1 for *_, score in relations):
                image.confidences = [min(score, 1.0) for *_, score in relations]
            if record.source:
                image.sources = [record.source] * len(relations)
            changes["relations between a box and itself left out"] += len(found) - len(relations)
            changes[f"boxes in {UNITS[scale]}; --box-scale sets another unit"] += len(boxes)
            yield image

    return AnnotatedSet.from_images(source, read_images(paths, images_of), changes=changes)


def _first_spelling() -> Callable[[str], str]:
    names: dict[str, str] = {}
    return lambda name: names.setdefault(folded(name), name)


FORMAT = Format(
    "triplets",
    "triplets with names, of language models: JSON or JSON lines with 'triplets'",
    Files(
        "JSON or JSON lines with 'image_id' and 'triplets'",
        partial(files_with, text=b'"triplets"', patterns=("*.json", "*.jsonl"), size=65536),
        by_content=True,
    ),
    _read,
)
