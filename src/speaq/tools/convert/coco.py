"""COCO files with ``rel.json`` beside them, the layout of RelTR and EGTR.

``train.json``, ``val.json`` and ``test.json`` are COCO detection files. ``rel.json`` is
``{"train": {"<image id>": [[subject, object, predicate], ...]}, "val": ..., "test": ..., "rel_categories":
[names]}``. Subject and object count the annotations of the image from 0, in the order of the file and without
crowd regions; the predicate is a position in ``rel_categories``, which begins with ``__background__``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from speaq.data.records import Rows, read_json
from speaq.data.vg_writer import write_json
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet
from speaq.tools.convert.coco_images import CocoContent, coco_content, join_coco_files, read_coco_file
from speaq.tools.convert.reading import Triplet

Relations = Mapping[str, Rows[Triplet]]


class RelationFile(TypedDict):
    """The content of ``rel.json``."""

    train: NotRequired[Relations]
    val: NotRequired[Relations]
    test: NotRequired[Relations]
    rel_categories: list[str]


_COCO_LAYOUT = TypeAdapter(CocoContent)
_RELATIONS_LAYOUT = TypeAdapter(RelationFile)
_RELATIONS = "rel.json"


def recognises(source: Path) -> bool:
    """Whether this is such a folder."""
    return (source / _RELATIONS).is_file()


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read the folder.

    Raises:
        SpeaqError: a file is missing or does not have this layout.
    """
    paths = [path for name in SPLITS if (path := source / f"{name}.json").is_file()]
    if not paths:
        raise SpeaqError(f"{source}: expected train.json, val.json or test.json in this folder, found none.")
    parts = [read_coco_file(path, _COCO_LAYOUT, alone=False) for path in paths]
    path = source / _RELATIONS
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
    return join_coco_files(source, parts, dict(enumerate(names, start=start)))


def write(data: AnnotatedSet, out: Path, images: Path | None = None) -> list[Path]:
    """Write the four files; all three splits are written, empty ones too, and every image has its relations.

    Raises:
        SpeaqError: a file cannot be written.
    """
    relations: dict[str, Any] = {name: {} for name in SPLITS}
    for image in data.images():
        triplets = [[s, o, p + 1] for s, o, p in image.relations]
        relations[SPLITS[image.split]][str(image.id)] = triplets
    relations["rel_categories"] = ["__background__", *data.vocabulary.predicates]
    for split, name in enumerate(SPLITS):
        write_json(out / f"{name}.json", coco_content(data, split))
    write_json(out / _RELATIONS, relations)
    return [out / f"{name}.json" for name in (*SPLITS, "rel")]
