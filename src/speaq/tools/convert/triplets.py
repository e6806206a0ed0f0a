"""Triplets with names, as language models give them: the layout of `speaq.evaluation.formats.triplets`.

The key ``source`` of an image is the source of its relations, scores are their confidences. Spellings of a
name that differ in case, hyphens, underscores or spaces are one class, named as it is found first. Sizes are
those of the image files, which are named after the image ids.
"""

from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np

from speaq.data.records import show, split_of
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
from speaq.files import regular
from speaq.images import SUFFIXES
from speaq.tools.convert.annotated import AnnotatedImage, AnnotatedSet, id_of_file
from speaq.tools.convert.image_files import sized_images
from speaq.tools.convert.reading import files_named

_HEAD = 65536  # bytes of a file in which the key "triplets" is looked for


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(_files(source))


def read(source: Path, images: Path | None = None, *, box_scale: BoxScale = "auto") -> AnnotatedSet:
    """Read a file, or all such files of a folder. Images without a file are left out.

    Args:
        source: JSON or JSON lines.
        images: folder of the images.
        box_scale: unit of the boxes; see `speaq.evaluation.formats.triplets.read`.

    Raises:
        SpeaqError: a file does not have this layout, or there is no folder of images.
    """
    paths = _files(source)
    if not paths:
        raise SpeaqError(f"{source}: expected JSON or JSON lines with 'image_id' and 'triplets', found none.")
    objects, predicates = dict[str, str](), dict[str, str]()  # names as first found, by folded name

    def find_object(name: str) -> str:
        return objects.setdefault(folded(name), name)

    def find_predicate(name: str) -> str:
        return predicates.setdefault(folded(name), name)

    found, num_missing, num_own, units = [], 0, 0, Counter[str]()
    for path in paths:
        split = split_of(path, alone=len(paths) == 1)
        records = read_records(read_documents(path)(), lambda image_id, _: image_id)
        unsized = [
            AnnotatedImage(
                place=f"{path}: image {key!r}", id=key, file=str(key), width=0, height=0, split=split
            )
            for key in records
        ]
        sized, missing = sized_images(unsized, images, "this format")
        num_missing += missing
        there = {image.id: records[image.id] for image in sized}
        scale = box_scale
        if scale == "auto":
            scale = find_scale(path, there, {image.id: (image.width, image.height) for image in sized})
        for image in sized:
            record = there[image.id]
            if not isinstance(record.source, str | None):
                raise SpeaqError(f"{image.place}: source: expected text, found {show(record.source)}.")
            things, relations = find_relations(record, find_object, find_predicate, Counter())
            if PurePosixPath(str(image.id)).suffix.lower() in SUFFIXES:
                image.id = id_of_file(str(image.id))
            boxes = np.array([box for _, box in things]).reshape(-1, 4)
            image.boxes = boxes * to_pixels(scale, image.width, image.height)
            image.classes = [name for name, _ in things]
            num_relations = len(relations)
            relations = [relation for relation in relations if relation[0] != relation[1]]
            num_own += num_relations - len(relations)
            image.relations = [(s, o, predicate) for s, o, predicate, _ in relations]
            if any(score != 1 for *_, score in relations):
                image.confidences = [min(score, 1.0) for *_, score in relations]
            if record.source:
                image.sources = [record.source] * len(relations)
            units[UNITS[scale]] += len(boxes)
        found += sized
    data = AnnotatedSet.from_images(source, found)
    data = data.noting("relations between a box and itself left out", num_own)
    for unit, count in units.items():
        data = data.noting(f"boxes in {unit}; --box-scale sets another unit", count)
    return data.noting("images without a file left out", num_missing)


def _files(source: Path) -> list[Path]:
    paths = [path for pattern in ("*.json", "*.jsonl") for path in files_named(source, pattern)]
    return [path for path in paths if _has_triplets(path)]


def _has_triplets(path: Path) -> bool:
    try:
        with regular(path).open("rb") as file:
            return b'"triplets"' in file.read(_HEAD)
    except OSError:
        return False
