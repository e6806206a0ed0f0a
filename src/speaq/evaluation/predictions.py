"""Read saved predictions, to score, analyse and draw them without the model.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.evaluation.prediction_format import (
    FORMAT,
    VERSION,
    check_predicate_counts,
    columns,
)
from speaq.files import check_texts, parse_json, read_texts, stored_array
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_BATCH = 64  # images read at once
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, MemoryError)
"""Exceptions that h5py raises on damaged files."""


class Predictions:
    """Saved predictions: scene graphs by index, read from the file on access.

    Args:
        path: the file; see `speaq.evaluation.prediction_format`.
        checked: check that values are in range. Not needed to copy predictions.

    Attributes:
        dataset: name of the dataset.
        vocabulary: class names.
        mode: the task, such as "predcls"; None if the file does not name it.
        predicate_counts: (R,) training relations per predicate, or None.
        image_ids: ids of the images, in the order of the graphs.
        sources: data source of each image.
        distinct: without graph constraint, each relation is ranked once; decided by the configuration.
        notes: none.

    Raises:
        SpeaqError: the file is missing or not a file of predictions; on access, the part that is read is
            damaged or has values out of range.
    """

    def __init__(self, path: str | Path, *, checked: bool = True) -> None:
        self.path, self._checked = Path(path), checked
        self.distinct, self.notes = False, ()
        if not self.path.is_file():
            raise SpeaqError(f"{path}: no such file; expected predictions saved by an evaluation")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
            self._read_header()
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if self.predicate_counts is not None:
            check_predicate_counts(self.predicate_counts, self.vocabulary, self.path)
        for index in np.flatnonzero((self._sizes < 1).any(axis=1)).tolist():
            height, width = self._sizes[index]
            raise self._invalid(index, f"expected an image size above 0, found {width} x {height} pixels")

    def _read_header(self) -> None:
        """Read everything but entities and relations, and check shapes and types of all arrays."""
        attributes = self._file.attrs
        if (attributes["format"], attributes["version"]) != (FORMAT, VERSION):
            raise ValueError(f"format {attributes['format']!r}, version {attributes['version']}")
        self.dataset = str(attributes["dataset"])
        self.mode = str(attributes["mode"]) if "mode" in attributes else None
        check_texts({"dataset": self.dataset, "mode": self.mode})
        self.vocabulary = Vocabulary(
            tuple(self._texts("object_names")), tuple(self._texts("predicate_names"))
        )
        counted = "predicate_counts" in set(self._file)
        self.predicate_counts = self._array("predicate_counts")[:] if counted else None
        self.image_ids: list[int | str] = [parse_json(name) for name in self._texts("image_ids")]
        if not all(type(image_id) in (int, str) for image_id in self.image_ids):
            raise ValueError("an image id is neither a number nor a string")
        self.sources = self._texts("sources")
        self._sizes = self._array("image_sizes")[:]
        self._offsets = {"entities": self._sums("num_entities"), "relations": self._sums("num_relations")}
        num_rows = {name: offsets[-1] for name, offsets in self._offsets.items()}
        num_rows["images"] = len(self.image_ids)
        self._columns = columns(self.vocabulary)
        for name, column in self._columns.items():
            expected, array = (num_rows[column.rows], *column.shape), self._array(name)
            if array.shape != expected or array.dtype.kind != column.dtype.kind:
                raise ValueError(
                    f"{name} has shape {array.shape} and kind {array.dtype.kind!r}, not {expected}, "
                    f"{column.dtype.kind!r}"
                )

    def _array(self, name: str) -> h5py.Dataset:
        try:
            return stored_array(self._file, name)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    def _texts(self, name: str) -> list[str]:
        return read_texts(self._array(name))

    def _sums(self, name: str) -> np.ndarray:
        """The first row of every image, and the number of all rows, from the numbers of rows."""
        counts = self._array(name)[:]
        if (counts < 0).any():
            raise ValueError("an image has a negative number of entities or relations")
        return np.concatenate(([0], np.cumsum(counts)))

    def _damaged(self, error: Exception) -> SpeaqError:
        return SpeaqError(
            f"{self.path}: expected predictions saved by an evaluation, found a damaged file or another "
            f"format ({error}); evaluate the model again"
        )

    def _invalid(self, index: int, problem: str) -> SpeaqError:
        return SpeaqError(
            f"{self.path}: image {self.image_ids[index]}: {problem}; the model has diverged or the file is "
            "damaged: check the losses, and evaluate the model again"
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> SceneGraph:
        index = range(len(self))[index]
        return self._read(index, index + 1)[0]

    def __iter__(self) -> Iterator[SceneGraph]:
        for start in range(0, len(self), _BATCH):
            yield from self._read(start, min(start + _BATCH, len(self)))

    def _read(self, start: int, stop: int) -> list[SceneGraph]:
        """The graphs of consecutive images; a few large reads are much faster than many small ones."""
        parts: list[dict[str, Any]] = [{} for _ in range(start, stop)]
        for name, column in self._columns.items():
            if column.rows == "images":
                continue
            offsets = self._offsets[column.rows]
            first, *inner, last = offsets[start : stop + 1]
            try:
                rows = self._array(name)[first:last]
            except OSError as error:
                raise self._damaged(error) from error
            invalid = column.first_invalid(rows) if self._checked else None
            if invalid:
                image = int(np.searchsorted(offsets, first + invalid[0], side="right")) - 1
                raise self._invalid(image, f"{name} {invalid[1]}")
            split = np.split(rows, np.array(inner, np.int64) - first)
            for arrays, array in zip(parts, split, strict=True):
                arrays[name] = array
        graphs = []
        for index, arrays in enumerate(parts, start):
            size = tuple(self._sizes[index])
            try:
                graphs.append(SceneGraph(**arrays, image_size=size, vocabulary=self.vocabulary))
            except SpeaqError as error:
                raise self._invalid(index, str(error)) from error
        return graphs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
