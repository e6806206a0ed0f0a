"""Rows of Hugging Face data sets in Parquet, one image per row: ``maelic/PSG-coco-format`` and others.

Columns: ``image_id``, ``width``, ``height`` and ``file_name``; ``image``, the file as ``{"bytes", "path"}``;
``objects``, with ``id``, ``category_id`` (or ``category``) and ``bbox`` (x, y, width, height); ``relations``,
with ``subject_id`` and ``object_id``, which are ids of ``objects`` (positions where these have none), and
``predicate_id`` (or ``predicate``). Classes are names or numbers. The names of numbers are those of
`ClassLabel` in the schema, of ``categories.json`` beside the files (``categories``, ``rel_categories``), or
of the card of the data set (``README.md``). The split is in the name of the file
(``train-00000-of-00002.parquet``) or of its folder.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NotRequired

import yaml
from huggingface_hub import metadata_load
from PIL import Image
from pydantic import AliasChoices, BeforeValidator, Field, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speaq.data.records import Box, Category, Id, Rows, describe_error, names_by_id, read_json, show, split_of
from speaq.errors import SpeaqError
from speaq.files import check_texts, is_inside, parse_json, regular
from speaq.images import PILLOW_ERRORS

ROWS_AT_ONCE = 100  # read or written
_FILES = "*.parquet"
CATEGORIES = ("category_id", "category")
PREDICATES = ("predicate_id", "predicate")


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
    category: Annotated[Id, Field(validation_alias=AliasChoices(*CATEGORIES))]
    bbox: Box
    iscrowd: NotRequired[int | bool | None]


class Relation(TypedDict):
    """An item of ``relations``; confidence and source are those of this project."""

    subject: Annotated[Id, Field(validation_alias=AliasChoices("subject_id", "subject"))]
    object: Annotated[Id, Field(validation_alias=AliasChoices("object_id", "object"))]
    predicate: Annotated[Id, Field(validation_alias=AliasChoices(*PREDICATES))]
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


@dataclass(slots=True, kw_only=True)
class AnnotatedRow:
    """The annotations of an image, without crowd regions and their relations.

    Attributes:
        id: integer or string.
        file: name of the image file, the id where there is none.
        width, height: in pixels.
        boxes: (boxes, 4) xyxy in pixels.
        classes: class of each box, number or name.
        relations: triplets (subject, object, predicate): positions in ``boxes``, and number or name.
        confidences: one in 0..1 for each relation, or none.
        sources: who or what made each relation, empty where not known, or none.
        num_crowds: crowd regions.
    """

    id: Any
    file: str
    width: int
    height: int
    boxes: list[Any] = field(default_factory=list)
    classes: list[Any] = field(default_factory=list)
    relations: list[tuple[int, int, Any]] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    num_crowds: int = 0


def parquet_files(source: str | Path) -> list[str]:
    """The source itself, or the files of a folder and of the folders in it; paths, or URLs of fsspec."""
    if "://" in str(source):
        import fsspec

        system, path = fsspec.url_to_fs(str(source))
        patterns = [path] if path.endswith(".parquet") else [f"{path}/{_FILES}", f"{path}/*/{_FILES}"]
        found = next(filter(None, map(system.glob, patterns)), [])
        return [system.unstrip_protocol(each) for each in sorted(map(str, found))]
    path = Path(source)
    if not path.is_dir():
        return [str(path)] if path.match(_FILES) else []
    return [str(each) for each in sorted(path.glob(_FILES)) or sorted(path.glob(f"*/{_FILES}"))]


def split_of_file(path: str, *, alone: bool) -> int:
    """The split in the name of a file or of its folder; see `speaq.data.records.split_of`."""
    file = PurePosixPath(path)
    named = file.parent if file.parent.name in ("train", "val", "validation", "test") else file
    return split_of(named, alone=alone)


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
def opened(path: str | Path, open_file: Callable[[str | Path], Any] | None = None) -> Iterator[Any]:
    """An open `pyarrow.parquet.ParquetFile`, a context that ``open_file`` makes (by default `open_parquet`).

    Raises:
        SpeaqError: it is not one, also in the block; or pyarrow is not installed.
    """
    pyarrow = import_pyarrow()
    try:
        with (open_file or open_parquet)(path) as file:
            yield file
    except (OSError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        raise SpeaqError(f"{path}: cannot read this file as Parquet ({error}).") from error


def open_parquet(path: str | Path) -> Any:
    """Open a file, or a URL of fsspec."""
    pyarrow = import_pyarrow()
    if "://" in str(path):
        import fsspec

        system, name = fsspec.url_to_fs(str(path))
        return pyarrow.parquet.ParquetFile(system.open(name))
    return pyarrow.parquet.ParquetFile(regular(Path(path)), buffer_size=1 << 20, pre_buffer=False)


def raw_rows(path: str, file: Any, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The columns that there are of each row, with the place of the row; rows count from 0."""
    there = [name for name in file.schema_arrow.names if name in columns]
    number = 0
    for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=there):
        for row in batch.to_pylist():
            yield f"{path}: row {number}", row
            number += 1


def read_rows(path: str, file: Any) -> Iterator[tuple[str, AnnotatedRow]]:
    """The annotations of each row of an open file, with the place of the row for messages.

    Raises:
        SpeaqError: a column is missing, or a row does not have this layout.
    """
    columns = file.schema_arrow.names
    if not set(_REQUIRED) <= set(columns):
        raise SpeaqError(f"{path}: expected the columns {', '.join(_REQUIRED)}; found {', '.join(columns)}.")
    sized = "width" in columns and "height" in columns
    for place, content in raw_rows(path, file, (*Row.__annotations__, *(() if sized else ("image",)))):
        if not sized:
            with decoded(place, image_content(path, place, content.pop("image", None))) as picture:
                content["width"], content["height"] = picture.size
        try:
            row = _ROW.validate_python(content)
        except ValidationError as error:
            raise SpeaqError(f"{place}: {describe_error(error)}") from None
        yield place, _annotated(place, row)


def class_names(path: str, metadata: Mapping[bytes, bytes]) -> Sequence[dict[Any, str] | None]:
    """Names of the classes and predicates by number, None where nothing tells them."""
    try:
        tables = _class_labels(parse_json(metadata.get(b"huggingface", b"null").decode()))
    except ValueError:
        tables = _class_labels(None)
    for folder in Path(path).parents[:2]:  # the files may be in data/ or train/
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
    for column, keys in (("objects", CATEGORIES), ("relations", PREDICATES)):
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


def _annotated(place: str, row: Row) -> AnnotatedRow:
    """The annotations of a row."""
    image = AnnotatedRow(
        id=row["image_id"],
        file=row.get("file_name") or str(row["image_id"]),
        width=row["width"],
        height=row["height"],
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
    image.num_crowds = sum(value is None for value in positions.values())
    return image


def image_content(path: str | Path, place: str, image: Any) -> bytes | None:
    """The image file in a cell: ``{"bytes", "path"}``, bytes, or a path below the Parquet file."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, str) and is_inside(image):
        file = Path(path).parent / image
        return file.read_bytes() if file.is_file() else None
    if not isinstance(image, bytes | None):
        raise SpeaqError(
            f"{place}: image: expected bytes or the name of a file beside {Path(path).name}, found "
            f"{show(image)}."
        )
    return image


@contextmanager
def decoded(place: str, content: bytes | None) -> Iterator[Image.Image]:
    """The opened image; errors of Pillow in the block become `SpeaqError`."""
    try:
        with Image.open(io.BytesIO(content or b"")) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise SpeaqError(f"{place}: image: {error}") from error
    except PILLOW_ERRORS as error:
        found = "none" if content is None else f"{len(content):,} bytes that cannot be read as one"
        raise SpeaqError(f"{place}: image: expected an image, found {found}.") from error
