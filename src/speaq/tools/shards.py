"""Predict many images in shards: files of a fixed number of images, each written as a whole.

A shard depends on the list of images and on the options alone, not on what predicts it: no batch has images
of two shards. Images are files, or rows of Parquet files.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from speaq.data.parquet_rows import image_content, import_pyarrow, opened, parquet_files
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.images import pixel_limit
from speaq.inference.pipeline import Precision, Predictor
from speaq.inference.results import json_line, result_paths

SETTINGS_FILE = "shards.json"
_NAMES = ("image_id", "id", "file_name", "path")  # columns that name the image of a row, the best first


class Item(NamedTuple):
    """An image file, or the image in a row of a Parquet file, counted from 0."""

    path: str
    row: int | None = None


def list_items(sources: Sequence[str | Path], folder: Path) -> list[Item]:
    """The images of all sources: Parquet files and folders of them, and what `result_paths` takes.

    Raises:
        SpeaqError: there is no image, or a Parquet file cannot be read.
    """
    items, others = [], []
    for source in sources:
        files = parquet_files(Path(source).expanduser())
        for path in files:
            with opened(path) as file:
                items += [Item(str(path), row) for row in range(file.metadata.num_rows)]
        others += [] if files else [source]
    if others or not items:
        items += [Item(str(path)) for path in result_paths(others, folder)]
    return items


class Shard(NamedTuple):
    """The images of a shard, the ``number``-th from 0."""

    number: int
    items: list[Item]


@dataclass(frozen=True, kw_only=True)
class ShardWriter:
    """Writes the scene graphs of a shard: ``graphs-000000.jsonl``, or ``.parquet``.

    ``failed-000000.jsonl`` has its images that cannot be read, and does not exist if there are none.

    Attributes:
        folder: output folder.
        suffix: jsonl, or parquet with a column for each key of a line.
        keep: maximum number of relations per image, best first; None for all.
        max_pixels: larger images are refused.
        batch_size, dtype: as of ``Speaq.predict``.
    """

    folder: Path
    suffix: Literal["jsonl", "parquet"] = "jsonl"
    keep: int | None = None
    max_pixels: int
    batch_size: int
    dtype: Precision = "float32"

    def graphs(self, number: int) -> Path:
        """The file of the scene graphs of a shard."""
        return self.folder / f"graphs-{number:06}.{self.suffix}"

    def failed(self, number: int) -> Path:
        """The file of the images of a shard that cannot be read."""
        return self.folder / f"failed-{number:06}.jsonl"

    def start(self, items: Sequence[Item], size: int, *, resume: bool, **options: Any) -> list[Shard]:
        """Divide the images into shards of ``size``, and return those to be written.

        With ``resume`` these are the missing ones; else all, and the files of an earlier run are deleted.
        ``options`` are the others on which the graphs depend, such as the model.

        Raises:
            SpeaqError: the shards to continue are of other images or options.
        """
        names = "\n".join(f"{path}\t{row}" for path, row in items).encode(errors="surrogateescape")
        settings = {
            "shard_size": size,
            "images": len(items),
            "images_sha256": hashlib.sha256(names).hexdigest(),
            "keep": self.keep,
            "format": self.suffix,
            "max_pixels": self.max_pixels,
            "batch_size": self.batch_size,
            "dtype": self.dtype,
            **{key: value and str(value) for key, value in options.items()},
        }
        there = self.folder / SETTINGS_FILE
        if resume and there.exists():
            found = json.loads(there.read_text(encoding="utf-8"))
            for key, value in settings.items():
                if found.get(key) != value:
                    raise SpeaqError(
                        f"{there}: the shards here were written with {key} {found.get(key)}, now it is "
                        f"{value}; use the same images and options, another folder, or no --resume"
                    )
        else:
            for pattern in ("graphs-*.jsonl", "graphs-*.parquet", "failed-*.jsonl"):
                for path in self.folder.glob(pattern):
                    path.unlink()
            with replacing(there) as temporary:
                temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        shards = [
            Shard(number, list(items[start : start + size]))
            for number, start in enumerate(range(0, len(items), size))
        ]
        done = set(self.folder.iterdir())
        return [shard for shard in shards if self.graphs(shard.number) not in done]

    def write(self, network: Predictor, shard: Shard) -> None:
        """Predict the images of a shard and write its files, that of the scene graphs last.

        Raises:
            SpeaqError: a file cannot be written, or a Parquet file cannot be read.
        """
        failed = []

        def report(image: Any, error: SpeaqError) -> None:
            failed.append(json.dumps({"image": _name(image), "error": str(error)}) + "\n")

        def lines() -> Iterator[str]:
            options: dict[str, Any] = {"batch_size": self.batch_size, "dtype": self.dtype}
            for image, graph in network.predict_each(_sources(shard.items), on_unreadable=report, **options):
                graph.image = Path(_name(image))
                yield json_line(graph, self.keep)

        path = self.failed(shard.number)
        with pixel_limit(self.max_pixels), replacing(self.graphs(shard.number)) as temporary:
            if self.suffix == "parquet":
                _write_parquet(temporary, lines())
            else:
                with temporary.open("w", encoding="utf-8") as file:
                    file.writelines(lines())
            path.unlink(missing_ok=True)
            if failed:
                with replacing(path) as other:
                    other.write_text("".join(failed), encoding="utf-8")

    def write_all(self, network: Predictor, shards: Iterable[Shard]) -> Iterator[Shard]:
        """Write shards one after another; yield each when it is written."""
        for shard in shards:
            self.write(network, shard)
            yield shard

    def finish(self) -> list[str]:
        """Delete the temporary files of workers that were killed; return the images that cannot be read."""
        for path in self.folder.glob(".writing-*"):
            shutil.rmtree(path, ignore_errors=True)
        lines = [
            line
            for path in sorted(self.folder.glob("failed-*.jsonl"))
            for line in path.read_text(encoding="utf-8").split("\n")
        ]
        return [json.loads(line)["image"] for line in lines if line]


class _Row(io.BytesIO):
    """The image file in a row of a Parquet file, with the name of the image."""

    name = ""


def _name(image: Path | _Row) -> str:
    return image.name if isinstance(image, _Row) else str(image)


def _sources(items: Sequence[Item]) -> Iterator[Path | _Row]:
    """The images as `read_image` takes them; those of a Parquet file are read when they are needed."""
    for path, group in groupby(items, key=lambda item: item.path):
        rows = [item.row for item in group]
        if rows[0] is None or rows[-1] is None:
            yield from [Path(path)] * len(rows)
        else:
            yield from _rows(Path(path), rows[0], rows[-1] + 1)


def _rows(path: Path, start: int, stop: int) -> Iterator[_Row]:
    """The images of the rows from ``start`` to before ``stop``, with the names in the row, or its number.

    Raises:
        SpeaqError: the file cannot be read, or has no column of images.
    """
    with opened(path) as file:
        schema = file.schema_arrow
        images = [field.name for field in schema if "binary" in str(field.type)]
        if not images:
            raise SpeaqError(f"{path}: expected a column of images, found {', '.join(schema.names)}")
        column = "image" if "image" in images else images[0]
        named = next((name for name in _NAMES if name in schema.names), None)
        first = 0  # row of the group
        for group in range(file.num_row_groups):
            number, first = first, first + file.metadata.row_group(group).num_rows
            if first <= start or number >= stop:
                continue
            columns = [column] if named is None else [column, named]
            for batch in file.iter_batches(batch_size=100, row_groups=[group], columns=columns):
                for row in batch.to_pylist():
                    if start <= number < stop:
                        place = f"{path}: row {number}"
                        image = _Row(image_content(path, place, row[column]) or b"")
                        inner = row[column].get("path") if isinstance(row[column], dict) else None
                        name = row[named] if named is not None else inner
                        image.name = place if name is None else str(name)
                        yield image
                    number += 1


def _write_parquet(path: Path, lines: Iterator[str]) -> None:
    """Write the documents of docs/scene_graph_json.md, one per row."""
    pyarrow = import_pyarrow()
    number, text, floats = pyarrow.int64(), pyarrow.string(), pyarrow.list_(pyarrow.float32())
    texts = pyarrow.list_(text)
    entity = {"name": text, "score": pyarrow.float32(), "box": floats, "label": number}
    relation = {"text": text, "score": pyarrow.float64(), "subject": number, "object": number}
    relation |= {"predicate": number, "name": text, "query": number}
    relation |= {"pair_scores": floats, "predicate_probs": floats}
    columns = {"format": text, "version": number, "image": text, "width": number, "height": number}
    columns |= {"entities": pyarrow.list_(pyarrow.struct(entity))}
    columns |= {"relations": pyarrow.list_(pyarrow.struct(relation)), "predicate_count": number}
    columns |= {"vocabulary": pyarrow.struct({"objects": texts, "predicates": texts})}
    schema = pyarrow.schema(columns)
    rows = (json.loads(line) for line in lines)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(rows, 100)):
            writer.write_table(pyarrow.Table.from_pylist(batch, schema=schema))
