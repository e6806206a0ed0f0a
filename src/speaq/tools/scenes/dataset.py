"""Many generated scenes on disk, in the Visual Genome scene graph format."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
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
from speaq.files import parse_json, regular, replacing
from speaq.structures import Vocabulary
from speaq.tools.scenes.kinds import KINDS
from speaq.tools.scenes.scene import check_options, class_names, generate_scene

_RECORD = "generator.json"
_VERSION = 1  # of the images: raised when the same settings begin to give different ones
_NAMES = {  # by style: of the images, the annotations, the image list and the dictionary
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
_CHUNK = 50  # images that a process draws between two progress reports

Annotation = tuple[np.ndarray, np.ndarray, np.ndarray]  # boxes, labels and relations as in `Scene`


@dataclass(frozen=True, slots=True)
class GeneratedDataset:
    """The paths of a generated dataset: of its folder, images, annotations, image list and dictionary."""

    folder: Path
    images: Path
    attribute_h5: Path
    image_data: Path
    mapping_dictionary: Path

    @property
    def settings(self) -> dict[str, Path]:
        """The paths by the keys of a dataset's section in the configuration."""
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
    """Write a dataset, unless the folder already contains exactly this one.

    Validation images come first, then test images, then training images, so that the number of training
    images does not change the others. The two styles never show the same scene.

    Args:
        folder: output folder, created if it does not exist. The same call continues an interrupted run.
        num_images: number of training images.
        num_val: number of validation images.
        num_test: number of test images.
        image_size: side of the square images, or (width, height), in pixels.
        num_classes: number of object classes; a larger vocabulary begins with the smaller one.
        num_predicates: number of predicates; the same applies.
        style: "photo" (textured, shaded, noisy; files named as Visual Genome's) or "flat" (clean colours;
            files named as a synthetic set's).
        seed: of the random scenes.
        image_ids: "int" or "string"; by default integers for "photo", names as ``scene_000000`` for "flat".
        workers: number of processes. A script that uses more than one must guard its own start with
            ``if __name__ == "__main__":``.
        progress: called with (number of images done, number of all images).

    Raises:
        SpeaqError: an option is out of range, the folder holds other files, or a file cannot be written.
    """
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    options: dict[str, Any] = {
        "image_size": size,
        "num_classes": num_classes,
        "num_predicates": num_predicates,
        "style": style,
        "seed": seed,
    }
    check_options(**options)
    counts = {"num_images": num_images, "num_val": num_val, "num_test": num_test}
    for name, number in (counts | {"workers": workers}).items():
        low = int(name in ("num_images", "workers"))
        if number < low:
            raise SpeaqError(f"{name}: expected at least {low}, found {number}.")
    image_ids = image_ids or ("int" if style == "photo" else "string")
    if image_ids not in ("int", "string"):
        raise SpeaqError(f"image_ids: expected 'int' or 'string', found {image_ids!r}.")
    files = GeneratedDataset(Path(folder), *(Path(folder, name) for name in _NAMES[style]))
    numbers = range(sum(counts.values()))
    ids = [f"scene_{i:06d}" if image_ids == "string" else _FIRST_ID + i for i in numbers]
    record = {"version": _VERSION, **counts, **options, "image_ids": image_ids}
    if not _is_complete(files, record, ids):
        write_json(files.folder / _RECORD, {**record, "complete": False})
        annotations = _draw_images(files.images, ids, options, workers, progress)
        split = np.repeat((1, 2, 0), (num_val, num_test, num_images))
        _write_annotations(files.attribute_h5, annotations, split, size)
        write_json(files.image_data, _image_list(ids, size))
        vocabulary = Vocabulary(*class_names(num_classes, num_predicates))
        attributes = [kind.attribute for kind in KINDS[:num_classes]]
        write_dictionary(files.mapping_dictionary, vocabulary, attributes=attributes)
        write_json(files.folder / _RECORD, {**record, "complete": True})
    return files


def _is_complete(files: GeneratedDataset, expected: dict[str, Any], ids: Sequence[int | str]) -> bool:
    """Whether the folder contains exactly this dataset already.

    Raises:
        SpeaqError: it contains something else.
    """
    folder, record = files.folder, files.folder / _RECORD
    if folder.exists() and not folder.is_dir():
        raise SpeaqError(f"{folder}: expected a folder for the generated dataset, found a file.")
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if not record.exists():
        raise SpeaqError(
            f"{folder}: this folder holds other files and would be mixed with the generated dataset. "
            "Name a new or an empty folder."
        )
    try:
        found = parse_json(regular(record).read_text(encoding="utf-8"))
        complete = found.pop("complete")
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise SpeaqError(f"{record}: cannot read this record ({error}). Delete the folder.") from error
    expected = {**expected, "image_size": list(expected["image_size"])}
    if found != expected:
        differences = ", ".join(
            f"{key} {found.get(key)!r} instead of {value!r}"
            for key, value in expected.items()
            if found.get(key) != value
        )
        raise SpeaqError(
            f"{folder}: this folder holds another generated dataset ({differences}). "
            "Name another folder or delete this one."
        )
    return (
        complete
        and all(path.exists() for path in files.settings.values())
        and {path.name for path in files.images.iterdir()} >= {f"{image_id}.jpg" for image_id in ids}
    )


def _draw_images(
    folder: Path,
    ids: Sequence[int | str],
    options: dict[str, Any],
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[Annotation]:
    """Draw and write the images, in ``workers`` processes."""
    workers = min(workers, -(-len(ids) // _CHUNK))
    draw = partial(_draw_image, folder=folder, options=options)
    annotations: list[Annotation] = []
    # Fresh processes: a fork of a process that has threads, as torch's, may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) if workers > 1 else nullcontext() as pool:
        drawn = pool.map(draw, enumerate(ids), chunksize=_CHUNK) if pool else map(draw, enumerate(ids))
        try:
            for annotation in drawn:
                annotations.append(annotation)
                finished = len(annotations) == len(ids)
                if progress is not None and (finished or len(annotations) % _CHUNK == 0):
                    progress(len(annotations), len(ids))
        except BrokenProcessPool as error:
            raise SpeaqError(
                f"The {workers} drawing processes could not start or were stopped. Guard the start of your "
                "script with 'if __name__ == \"__main__\":', or ask for workers=1."
            ) from error
    return annotations


def _draw_image(numbered_id: tuple[int, int | str], folder: Path, options: dict[str, Any]) -> Annotation:
    """Draw and write one image."""
    index, image_id = numbered_id
    scene = generate_scene(index=index, **options)
    with replacing(folder / f"{image_id}.jpg") as path:
        scene.image.save(path, quality=92, subsampling=0)
    return scene.boxes, scene.labels, scene.relations


def _write_annotations(
    path: Path, annotations: list[Annotation], split: np.ndarray, size: tuple[int, int]
) -> None:
    boxes, labels, relations = (np.concatenate(parts) for parts in zip(*annotations, strict=True))
    box_ranges = Ranges.of_counts(np.array([len(labels) for _, labels, _ in annotations]))
    relation_ranges = Ranges.of_counts(np.array([len(relations) for _, _, relations in annotations]))
    first_boxes = np.repeat(box_ranges.first, relation_ranges.count)[:, None]
    attributes = np.zeros((len(labels), 10), dtype=np.int64)
    attributes[:, 0] = labels + 1  # attribute i is the colour of class i
    write_annotations(
        path,
        split=split,
        box_ranges=box_ranges,
        relation_ranges=relation_ranges,
        boxes={side: scaled_boxes(boxes, size, side) for side in (1024, 512)},
        labels=labels,
        pairs=relations[:, :2] + first_boxes,
        predicates=relations[:, 2],
        attributes=attributes,
    )


def _image_list(ids: Sequence[int | str], size: tuple[int, int]) -> list[dict[str, Any]]:
    """The entries with the keys that the list of a real (integers) and of a synthetic set (strings) has."""
    return [
        {"width": size[0], "height": size[1], "url": f"{image_id}.jpg", "image_id": image_id}
        | ({"coco_id": None, "flickr_id": None} if isinstance(image_id, int) else {})
        for image_id in ids
    ]
