"""One split of a data set in Parquet: annotations and images in the rows, see `speaq.data.parquet_rows`."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from speaq.config.data import DatasetSection
from speaq.data.annotation_files import AnnotationFiles
from speaq.data.image_folders import ImageFolders
from speaq.data.parquet_rows import (
    AnnotatedRow,
    class_names,
    image_content,
    open_parquet,
    opened,
    parquet_files,
    read_rows,
    split_of_file,
)
from speaq.data.selection import SPLITS, EmptySplitError, Split
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_image_list import ImageList
from speaq.data.vg_ranges import Ranges
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.structures import Annotation, Vocabulary

_FILES_OPEN = 16
_COLUMNS = ("confidence", "source")
_BACKGROUND = ("__background__", "__no_relation__", "N/A")


class ParquetImages(VisualGenome):
    """Images of one split with their annotations; images are read on access, with the rows of their group.

    The splits are those in the names of the files. Without a file for validation, the first training images
    are for validation, see `VisualGenome`. PARQUET is a file, a folder with files, or a URL of fsspec
    (``hf://datasets/...``), IMAGES the folder of the images, if they are not in the files, and
    MAPPING_DICTIONARY has the classes that the names are of; without it they are those of the files.

    Raises:
        SpeaqError: a file is missing or malformed, a class is not known, or the split has no image.
    """

    in_memory: ClassVar[int] = 2**13

    def _open(self, section: DatasetSection) -> "ParquetFiles":
        files = ParquetFiles(section, self.split)
        self._files, self._states = files.paths, list(map(str, files.stamp()))
        self._in_rows = files.have_images
        self.folders = ImageFolders(() if self._in_rows else section.images or Path(files.paths[0]).parent)
        # The first row of each file, and of each group of rows in its file.
        self._groups = [np.concatenate(([0], np.cumsum(counts))) for counts in files.groups]
        self._starts = np.concatenate(([0], np.cumsum([starts[-1] for starts in self._groups])))
        return files

    def read(self, index: int) -> Any:
        """The image, RGB, and its annotation in pixels, see `VisualGenome.read`.

        Raises:
            SpeaqError: the row has no image that can be read.
        """
        try:
            return super().read(index)
        except SpeaqError as error:
            raise self._placed(index, error) from error

    def annotation(self, index: int) -> Annotation:
        """Boxes, labels and relations of an image, see `VisualGenome.annotation`.

        Raises:
            SpeaqError: the row has no image that can be read.
        """
        try:
            return super().annotation(index)
        except SpeaqError as error:
            raise self._placed(index, error) from error

    def check_images(self) -> None:
        """Find out whether every image has a file, if they are not in the rows.

        Raises:
            SpeaqError: some have none.
        """
        if not self._in_rows:
            super().check_images()

    def content(self, index: int) -> bytes | None:
        """The image file in the row of an image; None if there is none."""
        file, row = self._row(index)
        group = int(np.searchsorted(self._groups[file], row, side="right")) - 1
        column = _image_column(self._files[file], group, self._states[file], os.getpid())
        cell = column[row - int(self._groups[file][group])].as_py()
        return image_content(self._files[file], self._place(index), cell)

    def _row(self, index: int) -> tuple[int, int]:
        """File and row of an image."""
        row = int(self._rows[index])
        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        return file, row - int(self._starts[file])

    def _place(self, index: int) -> str:
        file, row = self._row(index)
        return f"{self._files[file]}: row {row}"

    def _placed(self, index: int, error: SpeaqError) -> SpeaqError:
        """The error with file and row."""
        text, place = str(error), self._place(index)
        return SpeaqError(text if text.startswith(place) else f"{place}: {text}")

    def _file(self, index: int) -> tuple[Path, Path | bytes]:
        if not self._in_rows:
            return super()._file(index)
        content = self.content(index)
        if content is None:
            raise SpeaqError("there is no image in this row; add it, or name its id under CORRUPTED_IMAGES.")
        return Path(self._files[self._row(index)[0]]) / self._file_names[index], content


@lru_cache(maxsize=_FILES_OPEN)
def _open(path: str, state: str, process: int) -> Any:
    """An open file in this state of its content, and of this process: others may not share its position."""
    return open_parquet(path)


@lru_cache(maxsize=1)
def _image_column(path: str, group: int, state: str, process: int) -> Any:
    """The images of a group of rows, the last one that was read."""
    with opened(path, lambda _: nullcontext(_open(path, state, process))) as file:
        return file.read_row_group(group, columns=["image"]).column("image")


class ParquetFiles(AnnotationFiles):
    """Annotations in Parquet, those of one split.

    Args:
        section: see `ParquetImages`.
        split: train, val or test.

    Attributes:
        split: of the files; "train" where there are none for validation.
        paths: the files that have the images of the split.
        groups: numbers of rows of the groups of each file.
        have_images: whether they have a column of images.
        vocabulary: the classes.
    """

    box_scale = 1024

    def __init__(self, section: DatasetSection, split: Split) -> None:
        self.name = section.parquet
        found = parquet_files(self.name)
        if not found:
            raise SpeaqError(
                f"{self.name}: expected a file *.parquet or a folder with such files, found none."
            )
        splits = {path: split_of_file(path, alone=len(found) == 1) for path in found}
        self.has_validation = SPLITS.index("val") in splits.values()
        self.split = "train" if split == "val" and not self.has_validation else split
        self.paths = [path for path in found if splits[path] == SPLITS.index(self.split)]
        if not self.paths:
            names = ", ".join(Path(path).name for path in found[:5])
            raise EmptySplitError(f"{self.name}: no file is of the split '{split}' ({names}).")
        with ThreadPoolExecutor(8) as pool:
            formats = list(pool.map(_format_of, self.paths))
        self.groups = [groups for groups, *_ in formats]
        self.num_images = sum(map(sum, self.groups))
        self.have_images = all("image" in columns for _, columns, *_ in formats)
        for path, (*_, names) in zip(self.paths, formats, strict=True):
            if names != formats[0][-1]:
                raise SpeaqError(f"{path}: the names of the classes differ from those of {self.paths[0]}.")
        self._optional = [any(name in nested for _, _, nested, _ in formats) for name in _COLUMNS]
        self._tables = formats[0][-1]
        dictionary = section.mapping_dictionary
        self.vocabulary = read_vocabulary(Path(dictionary)) if dictionary else self._own_vocabulary()
        classes = (self.vocabulary.objects, self.vocabulary.predicates)
        self._numbers = [
            {name: number for number, name in enumerate(names)}
            | {key: names.index(name) for key, name in (table or {}).items() if name in names}
            for names, table in zip(classes, self._tables, strict=True)
        ]
        self._kinds: set[type] = set()  # of the ids
        self.names = [path if "://" in path else str(Path(path).resolve()) for path in self.paths]

    def blocks(self, size: int) -> Iterator[tuple[AnnotationArrays, ImageList]]:
        """See `AnnotationFiles`."""
        start = 0
        for path in self.paths:
            with opened(path) as file:
                rows = read_rows(path, file)
                while part := list(islice(rows, size)):
                    yield self._block(part, start)
                    start += len(part)

    def _own_vocabulary(self) -> Vocabulary:
        """The classes that the files name."""
        classes = []
        for table, what in zip(self._tables, ("objects", "relations"), strict=True):
            if table is None:
                raise SpeaqError(
                    f"{self.paths[0]}: {what}: expected names of the classes as ClassLabel in the schema or "
                    "in categories.json beside the files, found none. Add them, or set MAPPING_DICTIONARY, "
                    "whose names the rows then have."
                )
            classes.append(tuple(name for name in table.values() if name not in _BACKGROUND))
        return Vocabulary(*classes)

    def _block(
        self, part: Sequence[tuple[str, AnnotatedRow]], start: int
    ) -> tuple[AnnotationArrays, ImageList]:
        """The arrays of rows with their places, the first of which has the number ``start``."""
        places, rows = zip(*part, strict=True)
        self._kinds.update(type(row.id) for row in rows)
        boxes = [np.array(row.boxes, np.float64).reshape(-1, 4) for row in rows]
        for place, row, own in zip(places, rows, boxes, strict=True):
            if (own[:, 2:] < own[:, :2]).any():
                raise SpeaqError(f"{place}: objects: expected bbox as x, y, width and height from 0.")
            if not (0 < row.width < 2**31 and 0 < row.height < 2**31):
                raise SpeaqError(
                    f"{place}: expected width and height in pixels, found {row.width} and {row.height}."
                )
            if not (len(self._kinds) == 1 and (isinstance(row.id, str) or abs(row.id) < 2**63)):
                raise SpeaqError(f"{place}: image_id: expected integers or texts in all rows.")
        scales = [self.box_scale / max(row.width, row.height) for row in rows]
        scaled = [own * scale for own, scale in zip(boxes, scales, strict=True)]
        box_ranges = Ranges.of_counts(np.array([len(row.boxes) for row in rows]))
        relation_ranges = Ranges.of_counts(np.array([len(row.relations) for row in rows]))
        pairs = np.array([(s, o) for row in rows for s, o, _ in row.relations], np.int64).reshape(-1, 2)
        uses = [row.classes for row in rows], [[key for *_, key in row.relations] for row in rows]
        arrays = AnnotationArrays(
            split=np.full(len(rows), SPLITS.index(self.split)),
            box_ranges=box_ranges,
            relation_ranges=relation_ranges,
            boxes=np.concatenate(scaled).astype(np.float32),
            labels=self._classes(0, places, uses[0]),
            pairs=pairs + np.repeat(box_ranges.first, relation_ranges.count)[:, None],
            predicates=self._classes(1, places, uses[1]),
            confidences=self._of_relations(0, [row.confidences for row in rows], rows, 1.0),
            sources=self._of_relations(1, [row.sources for row in rows], rows, ""),
        )
        listed = ImageList(
            [{"file_name": row.file} for row in rows],
            [row.id for row in rows],
            np.array([(row.height, row.width) for row in rows], np.int64),
            np.arange(start, start + len(rows)),
        )
        return arrays, listed

    def _classes(self, kind: int, places: Sequence[str], uses: Sequence[Sequence[Any]]) -> np.ndarray:
        """The numbers (int32) of classes of objects (kind 0) or predicates (1) that the rows use."""
        numbers = self._numbers[kind]
        try:
            return np.array([numbers[key] for keys in uses for key in keys], np.int32)
        except KeyError as error:
            place, key = next(
                (p, k) for p, keys in zip(places, uses, strict=True) for k in keys if k not in numbers
            )
            what = ("objects: expected a class", "relations: expected a predicate")[kind]
            some = ", ".join(map(repr, list(numbers)[:5]))
            raise SpeaqError(f"{place}: {what} among {some}, ..., found {key!r}.") from error

    def _of_relations(
        self, column: int, values: Sequence[list[Any]], rows: Sequence[AnnotatedRow], default: Any
    ) -> np.ndarray | None:
        """One value (M,) for each relation, None if the files have no such column."""
        if not self._optional[column]:
            return None
        filled = [own or [default] * len(row.relations) for own, row in zip(values, rows, strict=True)]
        kind = np.float32 if isinstance(default, float) else str
        return np.array([value for own in filled for value in own], dtype=kind)


def _format_of(path: str) -> tuple[list[int], list[str], str, Any]:
    """Rows of each group, columns, the type of ``relations`` and the names of the classes of a file."""
    with opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        nested = str(schema.field("relations").type) if "relations" in schema.names else ""
        return groups, schema.names, nested, class_names(path, schema.metadata or {})
