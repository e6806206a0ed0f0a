"""Hugging Face data sets in Parquet, one image per row: the layout of ``maelic/PSG-coco-format`` and others.

Columns: ``image_id``, ``width``, ``height`` and ``file_name``; ``image``, the file as ``{"bytes", "path"}``;
``objects``, with ``id``, ``category_id`` (or ``category``) and ``bbox`` (x, y, width, height); ``relations``,
with ``subject_id`` and ``object_id``, which are ids of ``objects`` (positions where these have none), and
``predicate_id`` (or ``predicate``). Classes are names or numbers. The names of numbers are those of
`ClassLabel` in the schema, of ``categories.json`` beside the files (``categories``, ``rel_categories``), or
of the card of the data set (``README.md``). The split is in the name of the file
(``train-00000-of-00002.parquet``) or of its folder.

Rows are read in batches, so that the images in them do not have to fit into memory.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired

import numpy as np
import yaml
from huggingface_hub import metadata_load
from PIL import Image
from pydantic import AliasChoices, BeforeValidator, Field, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speaq.errors import SpeaqError
from speaq.files import check_texts, is_inside, parse_json, regular, replacing
from speaq.images import PILLOW_ERRORS, read_image_file
from speaq.tools.convert.annotated import SPLITS, AnnotatedImage, AnnotatedSet
from speaq.tools.convert.coco_images import Category, names_by_id
from speaq.tools.convert.reading import Box, Id, Rows, describe_error, files_named, read_json, show, split_of

_FILES = "*.parquet"
_CATEGORIES = ("category_id", "category")
_PREDICATES = ("predicate_id", "predicate")
_BATCH = 100  # rows that are read or written at once
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}


def _as_rows(value: object) -> object:
    """A list of items, which may be given as lists of their members; null is the empty list."""
    if isinstance(value, Mapping):
        try:
            return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
        except (TypeError, ValueError):
            raise ValueError("expected lists of the same length") from None
    return [] if value is None else value


class Object(TypedDict):
    """An item of ``objects``."""

    id: NotRequired[Id | None]
    category: Annotated[Id, Field(validation_alias=AliasChoices(*_CATEGORIES))]
    bbox: Box
    iscrowd: NotRequired[int | bool | None]


class Relation(TypedDict):
    """An item of ``relations``; confidence and source are those of this project."""

    subject: Annotated[Id, Field(validation_alias=AliasChoices("subject_id", "subject"))]
    object: Annotated[Id, Field(validation_alias=AliasChoices("object_id", "object"))]
    predicate: Annotated[Id, Field(validation_alias=AliasChoices(*_PREDICATES))]
    confidence: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    source: NotRequired[str | None]


class Row(TypedDict):
    """A row without its image."""

    image_id: Id
    width: StrictInt
    height: StrictInt
    file_name: NotRequired[str | None]
    objects: Annotated[Rows[Object], BeforeValidator(_as_rows)]
    relations: Annotated[Rows[Relation], BeforeValidator(_as_rows)]


class Names(TypedDict):
    """The content of ``categories.json``."""

    categories: list[str] | list[Category]
    rel_categories: list[str] | list[Category]


_ROW = TypeAdapter(Row)
_NAMES = TypeAdapter(Names)
_REQUIRED = ("image_id", "objects", "relations")


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(parquet_files(source))


def read(source: Path, images: Path | None = None) -> AnnotatedSet:
    """Read a file, or all of a folder and of the folders in it.

    Raises:
        SpeaqError: there is none, one does not have this layout, or pyarrow is not installed.
    """
    paths = parquet_files(source)
    if not paths:
        raise SpeaqError(f"{source}: expected files {_FILES}, found none.")
    found, num_crowds, tables = [], 0, None
    for path in paths:
        named = path.parent if path.parent.name in ("train", "val", "validation", "test") else path
        split = split_of(named, alone=len(paths) == 1)
        with opened(path) as file:
            names = _names(path, file.schema_arrow.metadata or {})
            if tables is not None and names != tables:
                raise SpeaqError(f"{path}: the names of the classes differ from those of {paths[0]}.")
            tables = names
            columns = file.schema_arrow.names
            if not set(_REQUIRED) <= set(columns):
                raise SpeaqError(
                    f"{path}: expected the columns {', '.join(_REQUIRED)}; found {', '.join(columns)}."
                )
            sized = "width" in columns and "height" in columns
            for place, content in _rows(path, file, (*Row.__annotations__, *(() if sized else ("image",)))):
                if not sized:
                    with _decoded(place, image_content(path, place, content.pop("image", None))) as picture:
                        content["width"], content["height"] = picture.size
                try:
                    row = _ROW.validate_python(content)
                except ValidationError as error:
                    raise SpeaqError(f"{place}: {describe_error(error)}") from None
                image, crowds = _annotated(place, row, split)
                num_crowds += crowds
                found.append(image)
    assert tables is not None
    used = (
        [key for image in found for key in image.classes],
        [p for image in found for *_, p in image.relations],
    )
    for names, keys, what in zip(tables, used, ("objects", "relations"), strict=True):
        if names is None and any(isinstance(key, int) for key in keys):
            raise SpeaqError(
                f"{paths[0]}: {what}: expected names of classes, found numbers; add names as ClassLabel to "
                'the schema, or as categories.json beside the files: {"categories": [names], '
                '"rel_categories": [names]}.'
            )
    return AnnotatedSet.from_images(source, found, *tables).noting("crowd regions left out", num_crowds)


def extract_images(source: Path, data: AnnotatedSet, folder: Path) -> AnnotatedSet | None:
    """Write the images that the files contain, or name, to a folder: ``<image_id>.jpg`` or another ending.

    Args:
        source: of the set.
        data: the set; only its images are written.
        folder: made if missing.

    Returns:
        The set with the names of the files; None if no file has images.

    Raises:
        SpeaqError: something is not an image, or cannot be written.
    """
    positions = {image_id: row for row, image_id in enumerate(data.ids)}
    names = list(data.files)
    has_images = False
    for path in parquet_files(source):
        with opened(path) as file:
            if "image" not in file.schema_arrow.names:
                continue
            has_images = True
            for place, row in _rows(path, file, ("image_id", "image")):
                content = image_content(path, place, row["image"])
                if row["image_id"] in positions and content is not None:
                    name = _write_image(place, content, folder, row["image_id"])
                    names[positions[row["image_id"]]] = name
    return replace(data, files=names) if has_images else None


def write(data: AnnotatedSet, out: Path, images: Path | None = None) -> list[Path]:
    """Write one file per split that has images, ``train.parquet`` and so on, for `datasets.load_dataset`.

    Args:
        data: the set.
        out: folder of the files.
        images: folder of the images, which become part of the files; None: only their names do.

    Raises:
        SpeaqError: a file cannot be written, or pyarrow is not installed.
    """
    pyarrow = import_pyarrow()
    features = _features(data, images)
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pyarrow.schema(list(_arrow_type(features)), metadata=metadata)
    written = []
    for split in np.unique(data.splits).tolist():
        path = out / f"{SPLITS[split]}.parquet"
        rows = _content_of(data, split, images)
        with replacing(path) as temporary, pyarrow.parquet.ParquetWriter(temporary, schema) as writer:
            while batch := list(islice(rows, _BATCH)):
                writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
        written.append(path)
    return written


def parquet_files(source: Path) -> list[Path]:
    """The source itself, or the files of a folder and of the folders in it."""
    return files_named(source, _FILES) or (sorted(source.glob(f"*/{_FILES}")) if source.is_dir() else [])


def import_pyarrow() -> Any:
    """The package pyarrow with its module parquet.

    Raises:
        SpeaqError: it is not installed.
    """
    try:
        import pyarrow.parquet  # type: ignore[import-not-found]
    except ImportError:
        raise SpeaqError('Parquet needs the package pyarrow: pip install "speaq[parquet]"') from None
    return pyarrow


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open `pyarrow.parquet.ParquetFile`; errors in the block are those of the file.

    Raises:
        SpeaqError: the file cannot be read, or pyarrow is not installed.
    """
    pyarrow = import_pyarrow()
    try:
        with pyarrow.parquet.ParquetFile(regular(path), buffer_size=1 << 20, pre_buffer=False) as file:
            yield file
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        raise SpeaqError(f"{path}: cannot read this file as Parquet ({error}).") from error


def _rows(path: Path, file: Any, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The columns that there are of each row, with the place of the row; rows count from 0."""
    there = [name for name in file.schema_arrow.names if name in columns]
    number = 0
    for batch in file.iter_batches(batch_size=_BATCH, columns=there):
        for row in batch.to_pylist():
            yield f"{path}: row {number}", row
            number += 1


def _names(path: Path, metadata: Mapping[bytes, bytes]) -> Sequence[dict[Any, str] | None]:
    """Names of the classes and predicates by number, None where nothing tells them."""
    try:
        tables = _class_labels(parse_json(metadata.get(b"huggingface", b"null").decode()))
    except ValueError:
        tables = _class_labels(None)
    for folder in path.parents[:2]:  # the files may be in data/ or train/
        file, card = folder / "categories.json", folder / "README.md"
        if None in tables and file.is_file():
            content = read_json(file, _NAMES)
            own = (names_by_id(content["categories"]), names_by_id(content["rel_categories"]))
            tables = [table or other for table, other in zip(tables, own, strict=True)]
        if None in tables and card.is_file():
            try:
                own = _class_labels(metadata_load(card))
            except (OSError, ValueError, yaml.YAMLError) as error:
                raise SpeaqError(f"{card}: cannot read the metadata of the data set ({error}).") from error
            tables = [table or other for table, other in zip(tables, own, strict=True)]
    return tables


def _class_labels(features: Any) -> Sequence[dict[Any, str] | None]:
    """The names of classes and predicates in a description of the features by `datasets`, JSON or YAML."""
    tables: list[dict[Any, str] | None] = []
    for column, keys in (("objects", _CATEGORIES), ("relations", _PREDICATES)):
        label = _member(_member(features, (column,)), keys)
        names = next((part["names"] for part in _mappings(label) if "names" in part), None)
        if isinstance(names, list):
            names = dict(enumerate(names))
        if names is not None:
            if not (isinstance(names, Mapping) and all(isinstance(name, str) for name in names.values())):
                raise ValueError(f"names of classes: expected texts, found {show(names)}")
            check_texts(list(names.values()))
            names = {int(number): name for number, name in names.items()}
        tables.append(names)
    return tables


def _mappings(node: Any) -> Iterator[Mapping[str, Any]]:
    """All mappings in nested mappings and lists, the outer ones first."""
    if isinstance(node, Mapping):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _mappings(part)


def _member(node: Any, names: Sequence[str]) -> Any:
    """The first member with one of these names: under the name as key, or a mapping with it as ``name``."""
    for part in _mappings(node):
        for name in names:
            if name in part or part.get("name") == name:
                return part.get(name, part)
    return None


def _annotated(place: str, row: Row, split: int) -> tuple[AnnotatedImage, int]:
    """The image of a row, without crowd regions and their relations, and the number of these regions."""
    image = AnnotatedImage(
        place=place,
        id=row["image_id"],
        file=row.get("file_name") or str(row["image_id"]),
        width=row["width"],
        height=row["height"],
        split=split,
    )
    positions: dict[Id, int | None] = {}
    for number, item in enumerate(row["objects"]):
        key = item.get("id")
        key = number if key is None else key
        if key in positions:
            raise SpeaqError(f"{place}: objects[{number}].id: expected different ids, found {key!r} twice.")
        positions[key] = None if item.get("iscrowd") else len(image.boxes)
        if not item.get("iscrowd"):
            x, y, width, height = item["bbox"]
            image.boxes.append((x, y, x + width, y + height))
            image.classes.append(item["category"])
    confidences, sources = [], []
    for number, relation in enumerate(row["relations"]):
        for key in ("subject", "object"):
            if relation[key] not in positions:
                raise SpeaqError(
                    f"{place}: relations[{number}].{key}: expected the id of one of the {len(positions)} "
                    f"objects of the row, found {relation[key]!r}."
                )
        subject, object_ = positions[relation["subject"]], positions[relation["object"]]
        if subject is not None and object_ is not None:
            image.relations.append((subject, object_, relation["predicate"]))
            confidences.append(relation.get("confidence"))
            sources.append(relation.get("source"))
    if any(value is not None for value in confidences):
        image.confidences = [1.0 if value is None else value for value in confidences]
    if any(sources):
        image.sources = [value or "" for value in sources]
    return image, sum(value is None for value in positions.values())


def image_content(path: Path, place: str, image: Any) -> bytes | None:
    """The image file in a cell: ``{"bytes", "path"}``, bytes, or a path below the Parquet file.

    Raises:
        SpeaqError: it is something else.
    """
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, str) and is_inside(image):
        file = path.parent / image
        return file.read_bytes() if file.is_file() else None
    if not isinstance(image, bytes | None):
        raise SpeaqError(
            f"{place}: image: expected bytes or the name of a file beside {path.name}, found {show(image)}."
        )
    return image


@contextmanager
def _decoded(place: str, content: bytes | None) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise SpeaqError(f"{place}: image: {error}") from error
    except PILLOW_ERRORS as error:
        found = "none" if content is None else f"{len(content):,} bytes that cannot be read as one"
        raise SpeaqError(f"{place}: image: expected an image, found {found}.") from error


def _write_image(place: str, content: bytes, folder: Path, image_id: Id) -> str:
    """Write an image as it is, or as PNG where training does not look for its format; return the name."""
    with _decoded(place, content) as image:
        suffix = _SUFFIXES.get(image.format or "")
        if suffix is None:
            png = io.BytesIO()
            read_image_file(content).save(png, "PNG")
            suffix, content = ".png", png.getvalue()
    with replacing(folder / f"{image_id}{suffix}") as temporary:
        temporary.write_bytes(content)
    return f"{image_id}{suffix}"


def _features(data: AnnotatedSet, images: Path | None) -> dict[str, Any]:
    """The columns that `write` makes, as `datasets` describes them; a list has one element, of its type."""

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
            sides = image.boxes[:, 2:] - image.boxes[:, :2]
            boxes = np.round(np.concatenate((image.boxes[:, :2], sides), axis=1), 4).tolist()
            row: dict[str, Any] = {"image_id": image.id, "width": image.width, "height": image.height}
            row["file_name"] = image.file
            row["objects"] = [
                {"id": first + k, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for k, (label, box) in enumerate(zip(image.classes, boxes, strict=True))
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
