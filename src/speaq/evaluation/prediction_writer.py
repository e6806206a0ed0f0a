"""Write the predictions of a data set to a file, and merge the files of several processes.

Shape letters: see `speaq.structures`.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.evaluation.prediction_format import (
    FORMAT,
    TEXT,
    VERSION,
    check_image_ids,
    check_predicate_counts,
    columns,
)
from speaq.evaluation.predictions import Predictions
from speaq.files import replacing_hdf5
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_BUFFERED_ROWS, _CHUNK_ROWS = 8192, 1024


class PredictionWriter:
    """Writes predictions; the file appears at its path when the ``with`` block ends without an error.

    Args:
        path: the file, HDF5; see docs/evaluation.md.
        vocabulary: the classes of the model.
        dataset: name of the dataset, such as VG_test.
        predicate_counts: (R,) training relations per predicate, if known.
        mode: the task, such as "predcls" if the boxes and classes are those of the ground truth.
        max_relations: maximum number of relations of an image to keep, best first; by default all. It changes
            recall only beyond this depth, or without graph constraint.

    Raises:
        SpeaqError: there is not one predicate count per predicate, or the file cannot be written.

    Examples:
        >>> from speaq.metrics import PredictionWriter
        >>> with PredictionWriter(path, vocabulary=vocabulary, dataset="VG_test") as writer:  # doctest: +SKIP
        ...     for graph, annotation in zip(graphs, annotations):
        ...         writer.add(graph, image_id=annotation.image_id, source=annotation.source)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        vocabulary: Vocabulary,
        dataset: str,
        predicate_counts: Sequence[int] | np.ndarray | None = None,
        mode: str | None = None,
        max_relations: int | None = None,
    ) -> None:
        if max_relations is not None and max_relations < 0:
            raise SpeaqError(f"max_relations: expected at least 0, found {max_relations}")
        self.path, self.vocabulary, self.dataset = Path(path), vocabulary, dataset
        self.predicate_counts = None if predicate_counts is None else np.asarray(predicate_counts, np.int64)
        if self.predicate_counts is not None:
            check_predicate_counts(self.predicate_counts, vocabulary, self.path)
        self.mode, self.max_relations = mode, max_relations
        self._columns = columns(vocabulary)
        self._rows: dict[str, list[Any]] = {name: [] for name in self._columns}  # not yet in the file
        self._num_rows = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file = stack.enter_context(replacing_hdf5(self.path))
            for name, column in self._columns.items():
                if column.rows != "images":
                    self._file.create_dataset(
                        name,
                        (0, *column.shape),
                        column.dtype,
                        maxshape=(None, *column.shape),
                        chunks=(_CHUNK_ROWS, *column.shape),
                        fletcher32=True,  # checksums, so that a damaged block is detected when it is read
                    )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            with self._stack:
                self._finish()
        else:
            self._stack.__exit__(*error)

    def add(self, graph: SceneGraph, *, image_id: int | str, source: str) -> None:
        """Add a prediction, relations sorted best first, for an image of a source of data.

        Raises:
            SpeaqError: the graph does not have the predicates of the vocabulary.
        """
        expected, found = len(self.vocabulary.predicates), graph.predicate_probs.shape[1] - 1
        if found != expected:
            raise SpeaqError(
                f"{self.path}: expected graphs with {expected} predicates, found one with {found} for image "
                f"{image_id}; write the predictions of each model to a separate file"
            )
        num_relations = len(graph.pairs[: self.max_relations])
        image = {
            "image_ids": json.dumps(image_id),
            "sources": source,
            "image_sizes": graph.image_size,
            "num_entities": len(graph.boxes),
            "num_relations": num_relations,
        }
        for name, column in self._columns.items():
            kept = num_relations if column.rows == "relations" else None
            self._rows[name].append(image[name] if name in image else getattr(graph, name)[:kept])
        self._num_rows += len(graph.boxes) + num_relations
        if self._num_rows > _BUFFERED_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Write the entities and relations added since the last time."""
        for name, column in self._columns.items():
            if column.rows != "images" and self._rows[name]:
                dataset, rows = self._file[name], np.concatenate(self._rows[name])
                assert isinstance(dataset, h5py.Dataset)
                dataset.resize(len(dataset) + len(rows), axis=0)
                dataset[len(dataset) - len(rows) :] = rows
                self._rows[name].clear()
        self._num_rows = 0

    def _finish(self) -> None:
        self._flush()
        for name, column in self._columns.items():
            if column.rows == "images":
                values = np.array(self._rows[name], column.dtype).reshape(-1, *column.shape)
                self._file.create_dataset(name, data=values, dtype=column.dtype)
        self._file.create_dataset("object_names", data=self.vocabulary.objects, dtype=TEXT)
        self._file.create_dataset("predicate_names", data=self.vocabulary.predicates, dtype=TEXT)
        if self.predicate_counts is not None:
            self._file["predicate_counts"] = self.predicate_counts
        self._file.attrs.update(format=FORMAT, version=VERSION, dataset=self.dataset)
        if self.mode is not None:
            self._file.attrs["mode"] = self.mode


def merge_predictions(
    parts: Sequence[str | Path], path: str | Path, *, image_ids: Sequence[int | str] | None = None
) -> None:
    """Merge the files that several processes wrote for one data set.

    Images are in the order of ``image_ids``, those of the data set, or by default of the parts.

    Raises:
        SpeaqError: a part cannot be read or belongs to another model or data set, an image occurs twice, or
            the images are not those of ``image_ids``.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(Predictions(part, checked=False)) for part in parts]
        first, location = opened[0], {}
        for part in opened:
            if (part.dataset, part.vocabulary) != (first.dataset, first.vocabulary):
                raise SpeaqError(
                    f"{part.path}: expected predictions for {first.dataset} with the classes of "
                    f"{first.path}, found {part.dataset} or other classes; merge the parts of one evaluation"
                )
            for index, image_id in enumerate(part.image_ids):
                if image_id in location:
                    raise SpeaqError(
                        f"{part.path}: image {image_id} is also in {location[image_id][0].path}; "
                        "each image must be in one part"
                    )
                location[image_id] = part, index
        order = list(location) if image_ids is None else list(image_ids)
        check_image_ids(order, list(location), f"{path}, merged from {len(parts)} parts,")
        with PredictionWriter(
            path,
            vocabulary=first.vocabulary,
            dataset=first.dataset,
            predicate_counts=first.predicate_counts,
            mode=first.mode,
        ) as writer:
            for image_id in order:
                part, index = location[image_id]
                writer.add(part[index], image_id=image_id, source=part.sources[index])
