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
    VERSION,
    check_image_ids,
    check_predicate_counts,
    entity_columns,
    relation_columns,
)
from speaq.evaluation.predictions import Predictions
from speaq.files import replacing
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Vocabulary

_BUFFERED_ROWS, _CHUNK_ROWS = 8192, 1024


class PredictionWriter:
    """Writes predictions; the file appears at its path when the ``with`` block ends without an error.

    Args:
        path: the file; see `speaq.evaluation.prediction_format`.
        vocabulary: the classes of the model.
        dataset: name of the data set, such as VG_test.
        predicate_counts: (R,) training relations per predicate, if known.
        max_relations: number of best relations of an image that are kept; all by default. It changes recall
            only beyond this depth, or without graph constraint.
        half_precision: save the probabilities of predicates, which only affect recall without graph
            constraint, as float16: 11 significant bits and no values below 3e-8.

    Raises:
        SpeaqError: there is not one predicate count per predicate, or the file cannot be written.

    Examples:
        >>> with PredictionWriter(path, vocabulary=vocabulary, dataset="VG_test") as writer:  # doctest: +SKIP
        ...     for graph, annotation in zip(graphs, annotations):
        ...         writer.add(graph, annotation)
    """

    def __init__(
        self,
        path: str | Path,
        *,
        vocabulary: Vocabulary,
        dataset: str,
        predicate_counts: Sequence[int] | np.ndarray | None = None,
        max_relations: int | None = None,
        half_precision: bool = False,
    ) -> None:
        self.path, self.vocabulary, self.dataset = Path(path), vocabulary, dataset
        self.predicate_counts = None if predicate_counts is None else np.asarray(predicate_counts, np.int64)
        if self.predicate_counts is not None:
            check_predicate_counts(self.predicate_counts, vocabulary, self.path)
        self.max_relations, self.half_precision = max_relations, half_precision
        self._entities, self._relations = entity_columns(vocabulary), relation_columns(vocabulary)
        self._buffer: dict[str, list[np.ndarray]] = {name: [] for name in self._entities | self._relations}
        self._buffered = 0
        self._images: list[tuple[str, str, tuple[int, int], int, int]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            # Without a lock, which processes forked while it is open would keep until they end.
            self._file = stack.enter_context(h5py.File(temporary, "w", locking=False))
            for name, column in (self._entities | self._relations).items():
                half = name == "predicate_probs" and self.half_precision
                self._file.create_dataset(
                    name,
                    (0, *column.shape),
                    np.float16 if half else np.int32 if column.kind == "i" else np.float32,
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

    def add(self, graph: SceneGraph, annotation: Annotation) -> None:
        """Add a prediction, relations sorted best first, for the image of an annotation.

        Raises:
            SpeaqError: the graph does not have the predicates of the vocabulary.
        """
        expected, found = len(self.vocabulary.predicates), graph.predicate_probs.shape[1] - 1
        if found != expected:
            raise SpeaqError(
                f"{self.path}: expected graphs with {expected} predicates, found one with {found} for image "
                f"{annotation.image_id}; write the predictions of each model to a separate file"
            )
        self.append(graph, image_id=annotation.image_id, source=annotation.source)

    def append(self, graph: SceneGraph, *, image_id: int | str, source: str) -> None:
        """Add a graph without checking its vocabulary, for an image with this id from this source."""
        kept = slice(self.max_relations)
        for name, rows in self._buffer.items():
            array = getattr(graph, name)
            rows.append(array if name in self._entities else array[kept])
        entities, relations = len(graph.boxes), len(graph.pairs[kept])
        self._images.append((json.dumps(image_id), source, graph.image_size, entities, relations))
        self._buffered += entities + relations
        if self._buffered > _BUFFERED_ROWS:
            self._flush()

    def _flush(self) -> None:
        for name, arrays in self._buffer.items():
            dataset, rows = self._file[name], np.concatenate(arrays) if arrays else ()
            if len(rows):
                assert isinstance(dataset, h5py.Dataset)
                dataset.resize(len(dataset) + len(rows), axis=0)
                dataset[-len(rows) :] = rows
            arrays.clear()
        self._buffered = 0

    def _finish(self) -> None:
        """Write what is in the buffer, and the arrays per image and per file."""
        self._flush()
        columns = zip(*self._images, strict=True) if self._images else [()] * 5
        image_ids, sources, sizes, entities, relations = columns
        names = {"object_names": self.vocabulary.objects, "predicate_names": self.vocabulary.predicates}
        for name, texts in ({"image_ids": image_ids, "sources": sources} | names).items():
            self._file.create_dataset(name, data=np.array(texts, object), dtype=h5py.string_dtype())
        self._file["image_sizes"] = np.array(sizes, np.int32).reshape(-1, 2)
        self._file["num_entities"] = np.array(entities, np.int64)
        self._file["num_relations"] = np.array(relations, np.int64)
        if self.predicate_counts is not None:
            self._file["predicate_counts"] = self.predicate_counts
        self._file.attrs.update(format=FORMAT, version=VERSION, dataset=self.dataset)


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
            half_precision=all(part.half_precision for part in opened),
        ) as writer:
            for image_id in order:
                part, index = location[image_id]
                writer.append(part[index], image_id=image_id, source=part.sources[index])
