"""Many generated scenes on disk, in the Visual Genome scene graph format.

Shape letters: see `speaq.structures`; N boxes and M relations of all images.
"""

import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import (
    scaled_boxes,
    write_annotations,
    write_dictionary,
    write_json,
)
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.scenes.kinds import KINDS
from speaq.tools.scenes.scene import check_options, class_names, generate_scene

_RECORD = "generator.json"
_VERSION = 1  # of the pictures: raised when the same settings begin to give other ones
_NAMES = {
    "photo": ("VG_100K", "VG-SGG-with-attri.h5", "image_data.json", "VG-SGG-dicts-with-attri.json"),
    "flat": (
        "synthetic_images",
        "synthetic-SGG-with-attri.h5",
        "synthetic_image_data.json",
        "synthetic-SGG-dicts-with-attri.json",
    ),
}
# Beyond the ids of the four images that readers of Visual Genome drop.
_FIRST_ID = 10_001
_SPLITS = {"train": 0, "val": 1, "test": 2}
_CHUNK = 50  # images that a process draws between two signs of progress

# Index and id of some images; boxes, labels and relations of one, as in `Scene`.
Chunk = list[tuple[int, int | str]]
Annotations = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedDataset:
    """The paths of a generated data set, named as in the configuration.

    Attributes:
        folder: everything is in here.
        images: the folder of pictures.
        attribute_h5: the annotations.
        image_data: the list of images.
        mapping_dictionary: the names of classes and predicates.
    """

    folder: Path
    images: Path
    attribute_h5: Path
    image_data: Path
    mapping_dictionary: Path

    @property
    def settings(self) -> dict[str, Path]:
        """The paths by the keys of a data set's section in the configuration."""
        return {
            "IMAGES": self.images,
            "IMAGE_DATA": self.image_data,
            "MAPPING_DICTIONARY": self.mapping_dictionary,
            "VG_ATTRIBUTE_H5": self.attribute_h5,
        }


def generate_dataset(
    folder: str | Path,
    *,
    num_images: int = 3000,
    num_val: int = 300,
    num_test: int = 300,
    image_size: int | tuple[int, int] = 128,
    num_classes: int = 10,
    num_predicates: int = 9,
    style: str = "photo",
    seed: int = 0,
    image_ids: str | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> GeneratedDataset:
    """Write a data set, unless the folder already contains exactly this one.

    The rows are first the validation images, then the test images, then the training images, so that more
    training images leave the others as they are. The two styles never show the same scene: each has its own
    series.

    Args:
        folder: output folder, created if it does not exist. The same call continues an interrupted run.
        num_images: number of training images.
        num_val: number of validation images.
        num_test: number of test images.
        image_size: side of the square pictures, or (width, height), in pixels.
        num_classes: number of object classes; a larger vocabulary begins with the smaller one.
        num_predicates: number of predicates; the same applies.
        style: "photo" (textured, shaded, noisy; files named as Visual Genome's) or "flat" (clean colours;
            files named as a synthetic set's).
        seed: seed of the random scenes.
        image_ids: "int" or "string"; by default integers for "photo", names as ``scene_000000`` for "flat".
        workers: number of processes. A script that uses more than one must guard its own start with
            ``if __name__ == "__main__":``.
        progress: called with (number of images done, number of all images).

    Raises:
        SpeaqError: an option is out of range, the folder holds something else, or a file cannot be written.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    check_options(
        image_size=size, num_classes=num_classes, num_predicates=num_predicates, style=style, seed=seed
    )
    for what, number, low in (
        ("num_images", num_images, 1),
        ("num_val", num_val, 0),
        ("num_test", num_test, 0),
        ("workers", workers, 1),
    ):
        if number < low:
            raise SpeaqError(f"{what}: expected at least {low}, found {number}.")
    image_ids = image_ids or ("int" if style == "photo" else "string")
    if image_ids not in ("int", "string"):
        raise SpeaqError(f"image_ids: expected 'int' or 'string', found {image_ids!r}.")
    folder = Path(folder)
    options: dict[str, Any] = {
        "image_size": size,
        "num_classes": num_classes,
        "num_predicates": num_predicates,
        "style": style,
        "seed": seed,
    }
    counts = {"num_images": num_images, "num_val": num_val, "num_test": num_test}
    settings = {"version": _VERSION, **counts, **options, "image_size": list(size), "image_ids": image_ids}
    images, attribute_h5, image_data, mapping_dictionary = (folder / name for name in _NAMES[style])
    files = GeneratedDataset(
        folder=folder,
        images=images,
        attribute_h5=attribute_h5,
        image_data=image_data,
        mapping_dictionary=mapping_dictionary,
    )
    total = num_val + num_test + num_images
    ids = [f"scene_{i:06d}" if image_ids == "string" else _FIRST_ID + i for i in range(total)]
    if _is_there(files, settings, ids):
        return files

    write_json(folder / _RECORD, {**settings, "complete": False})
    draw = partial(_draw_images, folder=files.images, options=options)
    chunks = [list(enumerate(ids))[i : i + _CHUNK] for i in range(0, total, _CHUNK)]
    scenes: list[Annotations] = []
    for drawn in _spread(draw, chunks, workers):
        scenes += drawn
        if progress is not None:
            progress(len(scenes), total)
    splits = np.repeat([_SPLITS[name] for name in ("val", "test", "train")], (num_val, num_test, num_images))
    _write_annotations(files.attribute_h5, scenes, splits, size)
    write_json(files.image_data, _image_list(ids, size))
    write_dictionary(
        files.mapping_dictionary,
        Vocabulary(*class_names(num_classes, num_predicates)),
        attributes=[kind.attribute for kind in KINDS[:num_classes]],
    )
    write_json(folder / _RECORD, {**settings, "complete": True})
    return files


def _is_there(files: GeneratedDataset, settings: dict[str, Any], ids: Sequence[int | str]) -> bool:
    """Whether the folder holds exactly this data set already.

    Raises:
        SpeaqError: it holds something else.
    """
    folder, record = files.folder, files.folder / _RECORD
    if folder.exists() and not folder.is_dir():
        raise SpeaqError(f"{folder}: expected a folder for the generated data set, found a file.")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not record.exists():
        raise SpeaqError(
            f"{folder}: this folder holds other files and would be mixed with the generated data set. "
            "Name a new or an empty folder."
        )
    try:
        found = json.loads(record.read_text(encoding="utf-8-sig"))
        complete = found.pop("complete")
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise SpeaqError(f"{record}: cannot read this record ({error}). Delete the folder.") from error
    if found != settings:
        differences = ", ".join(
            f"{key} {found.get(key)!r} instead of {value!r}"
            for key, value in settings.items()
            if found.get(key) != value
        )
        raise SpeaqError(
            f"{folder}: this folder holds another generated data set ({differences}). "
            "Name another folder or delete this one."
        )
    written = {path.name for path in files.images.iterdir()} if files.images.is_dir() else set()
    others = (files.attribute_h5, files.image_data, files.mapping_dictionary)
    return complete and all(path.exists() for path in others) and written >= {f"{name}.jpg" for name in ids}


def _draw_images(chunk: Chunk, folder: Path, options: dict[str, Any]) -> list[Annotations]:
    """Draw and write some images, given as (index, id)."""
    annotations = []
    for index, image_id in chunk:
        scene = generate_scene(index=index, **options)
        with replacing(folder / f"{image_id}.jpg") as path:
            scene.image.save(path, quality=92, subsampling=0)
        annotations.append((scene.boxes, scene.labels, scene.relations))
    return annotations


def _spread(
    draw: Callable[[Chunk], list[Annotations]], chunks: list[Chunk], workers: int
) -> Iterator[list[Annotations]]:
    """``draw`` of every chunk, in order, in ``workers`` processes."""
    workers = min(workers, len(chunks))
    if workers == 1:
        yield from map(draw, chunks)
        return
    # Fresh processes: a copy of one that has threads, as torch's, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            yield from pool.map(draw, chunks)
        except BrokenProcessPool as error:
            raise SpeaqError(
                f"The {workers} drawing processes could not start or were stopped. Guard the start of your "
                "script with 'if __name__ == \"__main__\":', or ask for workers=1."
            ) from error


def _write_annotations(
    path: Path, annotations: list[Annotations], splits: np.ndarray, size: tuple[int, int]
) -> None:
    boxes, labels, relations = (list(parts) for parts in zip(*annotations, strict=True))
    box_ranges, relation_ranges = (
        Ranges.of_counts(np.array([len(part) for part in parts])) for parts in (boxes, relations)
    )
    first_boxes = np.repeat(box_ranges.first, relation_ranges.count)[:, None]
    all_labels, all_relations = np.concatenate(labels), np.concatenate(relations)
    attributes = np.zeros((len(all_labels), 10), dtype=np.int64)
    attributes[:, 0] = all_labels + 1  # attribute i is the colour of class i
    write_annotations(
        path,
        split=splits,
        box_ranges=box_ranges,
        relation_ranges=relation_ranges,
        boxes={side: scaled_boxes(np.concatenate(boxes), size, side) for side in (1024, 512)},
        labels=all_labels,
        pairs=all_relations[:, :2] + first_boxes,
        predicates=all_relations[:, 2],
        attributes=attributes,
    )


def _image_list(ids: Sequence[int | str], size: tuple[int, int]) -> list[dict[str, Any]]:
    # The keys that the list of a real (integers) and of a synthetic set (strings) have.
    return [
        {"width": size[0], "height": size[1], "url": f"{image_id}.jpg", "image_id": image_id}
        | ({"coco_id": None, "flickr_id": None} if isinstance(image_id, int) else {})
        for image_id in ids
    ]
