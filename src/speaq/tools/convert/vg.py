"""The scene graph format of Visual Genome, which training reads: HDF5, image list, dictionary of classes."""

from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_image_list import load_image_list
from speaq.data.vg_ranges import Ranges
from speaq.data.vg_writer import (
    DATASET_FILE,
    write_annotations,
    write_configuration,
    write_dictionary,
    write_json,
)
from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import AnnotatedSet, validated
from speaq.tools.convert.reading import Files, Format, one_of

_NAMES = ("annotations.h5", "image_data.json", "dicts.json")
_FRAME = 1024


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    annotations_path = one_of(source, "*.h5", "file of annotations")
    list_path = one_of(source, "*image_data*.json", "list of images")
    vocabulary = read_vocabulary(one_of(source, "*dict*.json", "dictionary of classes"))
    arrays = read_annotations(annotations_path, box_scale=_FRAME, vocabulary=vocabulary)
    entries = load_image_list(list_path, num_rows=len(arrays.split), left_out=())
    strange = np.flatnonzero((arrays.split < 0) | (arrays.split > 2))
    if len(strange):
        row, found = strange[0], arrays.split[strange[0]]
        raise SpeaqError(f"{annotations_path}: 'split' of image row {row} is {found}; expected 0, 1 or 2.")
    box_rows, relation_rows = arrays.box_ranges.rows(), arrays.relation_ranges.rows()
    place = np.full(len(arrays.boxes), -1)
    place[box_rows] = np.arange(len(box_rows))
    box_images = np.repeat(np.arange(len(entries.ids)), arrays.box_ranges.count)
    long_side = entries.sizes.max(axis=1)[box_images][:, None]
    data = AnnotatedSet(
        vocabulary=vocabulary,
        ids=list(entries.ids),
        files=[str(entry.get("file_name") or f"{entry['image_id']}.jpg") for entry in entries.entries],
        sizes=entries.sizes.astype(np.int32),
        splits=arrays.split.astype(np.int32),
        box_images=box_images,
        boxes=arrays.boxes[box_rows].astype(np.float64) / _FRAME * long_side,
        labels=arrays.labels[box_rows].astype(np.int64),
        relations=np.column_stack((place[arrays.pairs[relation_rows]], arrays.predicates[relation_rows])),
        confidences=None if arrays.confidences is None else arrays.confidences[relation_rows],
        sources=None if arrays.sources is None else arrays.sources[relation_rows],
    )
    return validated(annotations_path, data)


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write the three files, and ``dataset.yaml``, a configuration to train on them, if images are known.

    Boxes are float32, which readers do not round: in pixels they are exact to 1e-3 up to a long side of
    8,000. Attributes are all 0, none.
    """
    scale = _FRAME / data.sizes.max(axis=1)[data.box_images][:, None]
    low, high = data.boxes[:, :2] * scale, data.boxes[:, 2:] * scale
    boxes = np.concatenate(((low + high) / 2, high - low), axis=1)
    paths = [out / name for name in _NAMES]
    write_annotations(
        paths[0],
        split=data.splits,
        box_ranges=Ranges.of_counts(np.bincount(data.box_images, minlength=len(data.ids))),
        relation_ranges=Ranges.of_counts(np.bincount(data.relation_images, minlength=len(data.ids))),
        boxes={1024: boxes.astype(np.float32), 512: (boxes / 2).astype(np.float32)},
        labels=data.labels,
        pairs=data.relations[:, :2],
        predicates=data.relations[:, 2],
        attributes=np.zeros((len(data.labels), 10), dtype=np.int64),
        confidences=data.confidences,
        sources=data.sources,
    )
    entries = [
        {"image_id": image_id, "width": width, "height": height, "file_name": name}
        for image_id, (height, width), name in zip(data.ids, data.sizes.tolist(), data.files, strict=True)
    ]
    write_json(paths[1], entries)
    write_dictionary(paths[2], data.vocabulary)
    if images is not None:
        paths.append(out / DATASET_FILE)
        write_configuration(paths[-1], _configuration(data, out.resolve(), images.resolve()))
    return paths


def settings(folder: Path, images: Path | None) -> dict[str, Any]:
    """The keys of a data set's section in the configuration: its files, and that all relations are kept.

    Args:
        folder: of the files of the data set.
        images: folder of the images, None if not known.
    """
    annotations, image_data, dictionary = (str(folder / name) for name in _NAMES)
    return {
        "IMAGES": "<folder of the images>" if images is None else str(images),
        "IMAGE_DATA": image_data,
        "MAPPING_DICTIONARY": dictionary,
        "VG_ATTRIBUTE_H5": annotations,
        "FILTER_NON_OVERLAP": False,
    }


def _configuration(data: AnnotatedSet, folder: Path, images: Path) -> dict[str, Any]:
    """To train on a data set, and to check it; without validation images, training does not evaluate."""
    section = settings(folder, images)
    has_validation = bool((data.splits == 1).any())
    if not has_validation:
        section["NUMBER_OF_VALIDATION_IMAGES"] = 0
    numbers = {
        "NUM_CLASSES": len(data.vocabulary.objects),
        "NUM_RELATION_CLASSES": len(data.vocabulary.predicates),
    }
    test = ["VG_val"] if has_validation else []
    return {
        "DATASETS": {"TRAIN": ["VG_train"], "TEST": test, "VISUAL_GENOME": section},
        "MODEL": {"DETR": numbers},
    }


FORMAT = Format(
    "vg",
    "Visual Genome scene graphs: *.h5, *image_data*.json, *dict*.json",
    Files("one file of annotations (*.h5) in this folder", lambda source: sorted(source.glob("*.h5"))),
    _read,
    _write,
    keeps_confidences=True,
)
