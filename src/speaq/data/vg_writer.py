"""Writing the three files of a data set in Visual Genome format: HDF5, image list, mapping dictionary.

Shape letters: see `speaq.structures`; I: images of the whole file. Every file is written under a temporary
name and then renamed. Class numbers count from 0 in the arguments and from 1 in the files.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from speaq.data.vg_arrays import CONFIDENCES, SOURCES
from speaq.data.vg_ranges import Ranges
from speaq.files import replacing, replacing_hdf5
from speaq.structures import Vocabulary

DATASET_FILE = "dataset.yaml"
"""Name of the configuration beside the files of a data set, for ``--config-file``."""


def write_annotations(
    path: Path,
    *,
    split: np.ndarray,
    box_ranges: Ranges,
    relation_ranges: Ranges,
    boxes: Mapping[int, np.ndarray],
    labels: np.ndarray,
    pairs: np.ndarray,
    predicates: np.ndarray,
    attributes: np.ndarray | None = None,
    confidences: np.ndarray | None = None,
    sources: np.ndarray | None = None,
) -> None:
    """Write the HDF5 file from arrays as in `AnnotationArrays`.

    Here ``boxes`` (N, 4) are (cx, cy, w, h), by the long side of the image in their units (1024, 512). Their
    data type is kept: readers truncate the corners of integer boxes (`scaled_boxes` allows for it).
    ``attributes`` (N, any number) count from 1, 0 for none; without them the array is left out.

    Raises:
        SpeaqError: the file cannot be written.
    """
    arrays: dict[str, np.ndarray] = {"split": split.astype(np.int32)}
    for kind, ranges in (("box", box_ranges), ("rel", relation_ranges)):
        last = ranges.first + ranges.count - 1  # inclusive
        for end, rows in (("first", ranges.first), ("last", last)):
            arrays[f"img_to_{end}_{kind}"] = np.where(ranges.count > 0, rows, -1).astype(np.int32)
    arrays["labels"] = labels[:, None].astype(np.int64) + 1
    if attributes is not None:
        arrays["attributes"] = attributes
    arrays |= {f"boxes_{box_scale}": values for box_scale, values in boxes.items()}
    arrays["relationships"] = pairs
    arrays["predicates"] = predicates[:, None].astype(np.int64) + 1
    if confidences is not None:
        arrays[CONFIDENCES] = confidences.astype(np.float32)
    if sources is not None:
        texts = np.char.encode(sources, "utf-8")
        arrays[SOURCES] = texts.astype(h5py.string_dtype("utf-8", max(texts.dtype.itemsize, 1)))
    with replacing_hdf5(path) as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, track_times=False)


def write_dictionary(
    path: Path,
    vocabulary: Vocabulary,
    *,
    attributes: Sequence[str] = (),
    other: Mapping[str, Any] | None = None,
) -> None:
    """Write the JSON mapping dictionary, with the members of ``other``.

    Raises:
        SpeaqError: the file cannot be written.
    """
    write_json(path, {**(other or {}), **class_tables(vocabulary, attributes)})


def class_tables(vocabulary: Vocabulary, attributes: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The tables of the mapping dictionary, from names to numbers and back; none for no names."""
    tables: dict[str, dict[str, Any]] = {}
    kinds = {"label": vocabulary.objects, "predicate": vocabulary.predicates, "attribute": attributes}
    for kind, names in kinds.items():
        if names:
            tables[f"{kind}_to_idx"] = {name: number for number, name in enumerate(names, start=1)}
            tables[f"idx_to_{kind}"] = {str(number): name for number, name in enumerate(names, start=1)}
    return tables


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, such as the image list (objects with ``image_id``, ``width`` and ``height``).

    Raises:
        SpeaqError: the file cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def write_configuration(path: Path, content: Mapping[str, Any]) -> None:
    """Write sections of a configuration as YAML, such as ``dataset.yaml``.

    Raises:
        SpeaqError: the file cannot be written.
    """
    with replacing(path) as temporary:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
        temporary.write_text(text, encoding="utf-8")


def scaled_boxes(boxes: np.ndarray, size: tuple[int, int], long_side: int) -> np.ndarray:
    """Integer boxes (N, 4), (cx, cy, w, h), as the published files have them, from xyxy boxes in pixels.

    The long side of the image of ``size`` (width, height) becomes ``long_side``, 1024 or 512. Readers take
    x1 = trunc(cx - w / 2), so cx is rounded up.
    """
    scale = long_side / max(size)
    limits = np.floor(np.array((*size, *size)) * scale)
    corners = np.minimum(np.rint(boxes * scale), limits).astype(np.int64)
    sides = corners[:, 2:] - corners[:, :2]
    return np.concatenate((corners[:, :2] + (sides + 1) // 2, sides), axis=1)
