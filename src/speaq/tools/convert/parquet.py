"""Hugging Face data sets in Parquet, see `speaq.data.parquet_rows` for their columns.

Rows are read in batches, so that the images in them do not have to fit into memory.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from speaq.data.parquet_rows import (
    ROWS_AT_ONCE,
    class_names,
    decoded,
    image_content,
    import_pyarrow,
    opened,
    parquet_files,
    raw_rows,
    read_rows,
    split_of_file,
)
from speaq.data.records import Id
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.images import read_image_file
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet
from speaq.tools.convert.reading import Files, Format

_GROUP = 10  # rows with images that are written, and later read, at once: training reads them at random
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}


def _read(source: Path, paths: list[Path], images: Path | None) -> AnnotatedSet:
    found, tables = [], []
    for path in map(str, paths):
        split = split_of_file(path, alone=len(paths) == 1)
        with opened(path) as file:
            tables.append(class_names(path, file.schema_arrow.metadata or {}))
            if tables[-1] != tables[0]:
                raise SpeaqError(f"{path}: the names of the classes differ from those of {paths[0]}.")
            for place, row in read_rows(path, file):
                found.append(AnnotatedImage(place=place, split=split, **asdict(row)))
    used = (
        [key for image in found for key in image.classes],
        [p for image in found for *_, p in image.relations],
    )
    for names, keys, what in zip(tables[0], used, ("objects", "relations"), strict=True):
        if names is None and any(isinstance(key, int) for key in keys):
            raise SpeaqError(
                f"{paths[0]}: {what}: expected names of classes, found numbers; add names as ClassLabel to "
                'the schema, or as categories.json beside the files: {"categories": [names], '
                '"rel_categories": [names]}.'
            )
    changes = {"crowd regions left out": sum(image.num_crowds for image in found)}
    return AnnotatedSet.from_images(source, found, *tables[0], changes=changes)


def _extract_images(source: Path, data: AnnotatedSet, folder: Path) -> AnnotatedSet | None:
    """Write the images that the files contain, or name, as ``<image_id>.jpg`` or with another ending."""
    positions = {image_id: row for row, image_id in enumerate(data.ids)}
    names = list(data.files)
    has_images = False
    for path in parquet_files(source):
        with opened(path) as file:
            if "image" not in file.schema_arrow.names:
                continue
            has_images = True
            for place, row in raw_rows(path, file, ("image_id", "image")):
                content = image_content(path, place, row["image"])
                if row["image_id"] in positions and content is not None:
                    name = _write_image(place, content, folder, row["image_id"])
                    names[positions[row["image_id"]]] = name
    return replace(data, files=names) if has_images else None


def _write(data: AnnotatedSet, out: Path, images: Path | None) -> list[Path]:
    """Write one file per split that has images, ``train.parquet`` and so on, for `datasets.load_dataset`.

    The images become part of the files where their folder is known; else only their names do.
    """
    pyarrow = import_pyarrow()
    features = _features(data, images)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pyarrow.schema(list(_arrow_type(features)), metadata=metadata)
    group = ROWS_AT_ONCE if images is None else _GROUP
    written = []
    for split in np.unique(data.splits).tolist():
        path = out / f"{SPLITS[split]}.parquet"
        rows = _content_of(data, split, images)
        with replacing(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
            while batch := list(islice(rows, group)):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
        written.append(path)
    return written


def _write_image(place: str, content: bytes, folder: Path, image_id: Id) -> str:
    """Write an image as it is, or as PNG where training does not look for its format; return the name."""
    with decoded(place, content) as image:
        suffix = _SUFFIXES.get(image.format or "")
        if suffix is None:
            png = io.BytesIO()
            read_image_file(content).save(png, "PNG")
            suffix, content = ".png", png.getvalue()
    with replacing(folder / f"{image_id}{suffix}") as temporary:
        temporary.write_bytes(content)
    return f"{image_id}{suffix}"


def _features(data: AnnotatedSet, images: Path | None) -> dict[str, Any]:
    """The columns that `_write` makes, as `datasets` describes them; a list has one element, of its type."""

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    def label(names: tuple[str, ...]) -> dict[str, Any]:
        return {"names": list(names), "_type": "ClassLabel"}

    number = value("int64")
    box = {"id": number, "category_id": label(data.vocabulary.objects), "bbox": [value("float64")]}
    relation = {"id": number, "subject_id": number, "object_id": number}
    relation |= {"predicate_id": label(data.vocabulary.predicates)}
    if data.confidences is not None:
        relation["confidence"] = value("float64")
    if data.sources is not None:
        relation["source"] = value("string")
    return {
        **({} if images is None else {"image": {"_type": "Image"}}),
        "image_id": value("string") if isinstance(data.ids[0], str) else number,
        "width": number,
        "height": number,
        "file_name": value("string"),
        "objects": [{**box, "area": value("float64"), "iscrowd": number}],
        "relations": [relation],
    }


def _arrow_type(feature: Any) -> Any:
    """The type of a column from its description."""
    pyarrow = import_pyarrow()
    if isinstance(feature, list):
        return pyarrow.list_(_arrow_type(feature[0]))
    if feature.get("_type") == "Image":
        return pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    if "_type" in feature:
        return pyarrow.type_for_alias(feature.get("dtype", "int64"))  # ClassLabel has none
    return pyarrow.struct({name: _arrow_type(part) for name, part in feature.items()})


def _content_of(data: AnnotatedSet, split: int, images: Path | None) -> Iterator[dict[str, Any]]:
    """The rows of a split. Ids of objects and relations are different in the whole set, and boxes rounded."""
    first, number = 0, 0
    for image in data.images():
        if image.split == split:
            row: dict[str, Any] = {"image_id": image.id, "width": image.width, "height": image.height}
            row["file_name"] = image.file
            row["objects"] = [
                {"id": first + k, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for k, (label, box) in enumerate(zip(image.classes, image.rounded_xywh(), strict=True))
            ]
            row["relations"] = [
                {"id": number + k, "subject_id": first + s, "object_id": first + o, "predicate_id": p}
                for k, (s, o, p) in enumerate(image.relations)
            ]
            for key, values in (("confidence", image.confidences), ("source", image.sources)):
                for relation, own in zip(row["relations"], values, strict=False):
                    relation[key] = own
            if images is not None and (images / image.file).is_file():
                name = PurePosixPath(image.file).name
                row["image"] = {"bytes": (images / image.file).read_bytes(), "path": name}
            yield row
        first, number = first + len(image.boxes), number + len(image.relations)


FORMAT = Format(
    "parquet",
    "Hugging Face data sets: *.parquet, one image per row",
    Files("files *.parquet", lambda source: [Path(path) for path in parquet_files(source)]),
    _read,
    _write,
    _extract_images,
    keeps_confidences=True,
)
