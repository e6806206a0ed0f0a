"""The JSON file of Panoptic Scene Graph (PSG); of its segments, only the boxes are used.

``data`` is a list of images with ``file_name``, ``image_id``, ``height``, ``width``, ``annotations``
(``bbox``, ``bbox_mode`` 0 for xyxy or 1 for xywh, ``category_id``), ``segments_info`` and ``relations``
([subject, object, predicate] from 0). Categories count through ``thing_classes`` and then ``stuff_classes``.
Images of ``test_image_ids`` are for testing; ``val_image_ids``, which this project adds, are for validation.
"""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import AnnotatedSet, annotated_set
from speaq.tools.convert.entries import Entries, class_table, read_object
from speaq.tools.convert.find_files import files_with
from speaq.tools.convert.output import round_boxes, write_json

_KEY = "predicate_classes"


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder with one."""
    return bool(files_with(source, ".json", _KEY))


def read(source: Path) -> AnnotatedSet:
    """Read a file, or the only such file of a folder.

    Raises:
        SpeaqError: there is none, or more than one, or it has not this layout.
    """
    paths = files_with(source, ".json", _KEY)
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise SpeaqError(
            f"{source}: expected one JSON file with '{_KEY}', found {names}. Name the file itself."
        )
    path = paths[0]
    content = read_object(path, "data", "thing_classes", _KEY)
    images = Entries(path, "data", content["data"])
    ids = images.ids("image_id")
    per_image = [_list(images, number, value) for number, value in enumerate(images.column("annotations"))]
    counts = [len(annotations) for annotations in per_image]
    annotations = Entries(path, "annotations of data", list(chain.from_iterable(per_image)))
    boxes = annotations.boxes("bbox")
    modes = np.array([item.get("bbox_mode", 0) for item in annotations.items])
    bad = np.flatnonzero((modes != 0) & (modes != 1))
    if len(bad):
        raise annotations.error(
            bad[0], f"has the 'bbox_mode' {modes[bad[0]]}; expected 0 (xyxy) or 1 (xywh)."
        )
    boxes[modes == 1, 2:] += boxes[modes == 1, :2]
    for key in ("thing_classes", "stuff_classes", _KEY, "val_image_ids", "test_image_ids"):
        if not isinstance(content.setdefault(key, []), list):
            raise SpeaqError(f"{path}: expected a list '{key}', found {type(content[key]).__name__}.")
    classes = dict(enumerate(content["thing_classes"] + content["stuff_classes"]))
    objects = class_table(path, "thing_classes and stuff_classes", classes, set(classes))
    predicates = dict(enumerate(content[_KEY]))
    splits = np.zeros(len(ids), dtype=np.int32)
    for split, key in ((1, "val_image_ids"), (2, "test_image_ids")):
        splits[np.isin(np.array(ids, dtype=str), np.array(content[key], dtype=str))] = split
    return annotated_set(
        path,
        vocabulary=Vocabulary(
            tuple(objects.values()),
            tuple(class_table(path, _KEY, predicates, set(predicates)).values()),
        ),
        ids=ids,
        files=images.texts("file_name"),
        sizes=images.sizes(),
        splits=splits,
        box_images=np.repeat(np.arange(len(ids)), counts),
        boxes=boxes,
        labels=annotations.indices("category_id", {n: n for n in objects}, "the number of a class"),
        relations=_relations(images, counts, len(predicates)),
    )


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write ``psg.json``: all classes are things, and there are no masks (``pan_seg_file_name`` is empty).

    Boxes have four decimals.

    Raises:
        SpeaqError: the file cannot be written.
    """
    boxes, offsets = round_boxes(data.boxes), data.box_offsets.tolist()
    relations, relation_offsets = data.local_relations.tolist(), data.relation_offsets.tolist()
    areas = np.prod(data.boxes[:, 2:] - data.boxes[:, :2], axis=1).astype(np.int64).tolist()
    labels = data.labels.tolist()
    images = []
    for row, (height, width) in enumerate(data.sizes.tolist()):
        own = range(offsets[row], offsets[row + 1])
        images.append(
            {
                "file_name": data.files[row],
                "image_id": data.ids[row],
                "height": height,
                "width": width,
                "pan_seg_file_name": "",
                "annotations": [
                    {"bbox": boxes[box], "bbox_mode": 0, "category_id": labels[box]} for box in own
                ],
                "segments_info": [
                    {
                        "id": box - own.start + 1,
                        "category_id": labels[box],
                        "iscrowd": 0,
                        "isthing": 1,
                        "area": areas[box],
                    }
                    for box in own
                ],
                "relations": relations[relation_offsets[row] : relation_offsets[row + 1]],
            }
        )
    content: dict[str, Any] = {
        "data": images,
        "thing_classes": list(data.vocabulary.objects),
        "stuff_classes": [],
        _KEY: list(data.vocabulary.predicates),
        "test_image_ids": [data.ids[row] for row in np.flatnonzero(data.splits == 2)],
        "val_image_ids": [data.ids[row] for row in np.flatnonzero(data.splits == 1)],
    }
    write_json(out / "psg.json", content)
    return [out / "psg.json"]


def _list(entries: Entries, number: int, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise entries.error(number, f"needs a list, found {type(value).__name__}.")
    return value


def _relations(images: Entries, counts: list[int], num_predicates: int) -> np.ndarray:
    """The rows (T, 3) of all images, boxes counted over all of them."""
    found: list[tuple[int, int, int]] = []
    first = 0
    for number, (triplets, count) in enumerate(zip(images.column("relations"), counts, strict=True)):
        for triplet in _list(images, number, triplets):
            match triplet:
                case [int(s), int(o), int(p)] if (
                    0 <= s < count and 0 <= o < count and 0 <= p < num_predicates
                ):
                    found.append((first + s, first + o, p))
                case _:
                    raise images.error(
                        number,
                        f"has the relation {triplet}; expected [subject, object, predicate] from 0, below "
                        f"{count}, {count} and {num_predicates}.",
                    )
        first += count
    return np.array(found, dtype=np.int64).reshape(-1, 3)
