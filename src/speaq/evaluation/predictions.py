"""Predictions of a data set in one file, to be scored, analysed and drawn again without the model.

The file is HDF5 with flat arrays: the entities of all images one after another, then the relations, and how
many of each an image has; image ids are JSON. By default nothing is lost, and figures computed from the file
are those computed from the graphs. Predicate probabilities are nearly all of it: 600 relations of 51 classes
take 120 KB per image, and they are next to incompressible. Two settings make the file smaller:

- ``max_relations``: the best so many of each image. Recall with graph constraint stays as it is up to that
  depth. Without graph constraint the list may lose a triplet whose pair ranks lower.
- ``half_precision``: probabilities as float16, 11 significant bits and nothing below 3e-8. Only figures
  without graph constraint look at them.

With 600 relations each, 26,000 images take 3.6 GB; with the best 100 in half precision they take 0.36 GB.

I: images, E: entities, M: relations, R: predicate classes.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, overload

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.evaluation.possible import check_counts, first_impossible
from speaq.files import replacing
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Vocabulary

_FORMAT, _VERSION = "speaq predictions", 1
_ENTITY_ARRAYS = {"boxes": (4,), "labels": (), "scores": ()}
_RELATION_ARRAYS = {"pairs": (2,), "predicates": (), "queries": (), "pair_scores": (2,)}
_INTEGERS = frozenset({"labels", "pairs", "predicates", "queries"})
_BUFFERED_ROWS, _CHUNK_ROWS = 8192, 1024
_READ_AT_ONCE = 64  # images
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""What h5py has been seen to raise on damaged files."""


class PredictionWriter:
    """Writes predictions image by image; the file appears at its place when the block ends without an error.

    Args:
        path: the file.
        vocabulary: the classes that the model knows.
        dataset: name of the data set, such as VG_test.
        predicate_counts: (R,) training relations per predicate, where known.
        max_relations: keep the first so many relations of an image; all by default.
        half_precision: probabilities of predicates as float16.

    Raises:
        SpeaqError: there is not one predicate count for each predicate.

    Example:
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
            check_counts(self.predicate_counts, vocabulary, self.path)
        self.max_relations, self.half_precision = max_relations, half_precision
        self._images: dict[str, list[Any]] = {
            name: [] for name in ("image_ids", "sources", "image_sizes", "num_entities", "num_relations")
        }
        self._buffer: dict[str, list[np.ndarray]] = {}
        self._buffered = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            # Without a lock, which processes forked meanwhile would hold as long as they live.
            self._file = stack.enter_context(h5py.File(temporary, "w", locking=False))
            self._create_arrays()
            self._stack = stack.pop_all()
        return self

    def _create_arrays(self) -> None:
        probs = {"predicate_probs": (len(self.vocabulary.predicates) + 1,)}
        for name, shape in (_ENTITY_ARRAYS | _RELATION_ARRAYS | probs).items():
            dtype = np.int32 if name in _INTEGERS else np.float32
            if name == "predicate_probs" and self.half_precision:
                dtype = np.float16
            self._buffer[name] = []
            self._file.create_dataset(
                name,
                (0, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(_CHUNK_ROWS, *shape),
                fletcher32=True,  # a damaged block is noticed when it is read
            )

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            with self._stack:
                self._finish()
        else:
            self._stack.__exit__(*error)

    def add(self, graph: SceneGraph, annotation: Annotation) -> None:
        """Add the prediction for an image.

        Args:
            graph: relations sorted best first.
            annotation: of the same image; its id and its source are kept.

        Raises:
            SpeaqError: the graph does not have the predicates of the vocabulary.
        """
        expected, found = len(self.vocabulary.predicates), graph.predicate_probs.shape[1] - 1
        if found != expected:
            raise SpeaqError(
                f"{self.path}: expected graphs of {expected} predicates, found one of {found} for image "
                f"{annotation.image_id}; write each model's predictions to a file of its own"
            )
        self.append(graph, image_id=annotation.image_id, source=annotation.source)

    def append(self, graph: SceneGraph, *, image_id: int | str, source: str) -> None:
        """Add a graph that is known to fit, of an image with this id, from this data set."""
        kept = slice(self.max_relations)
        for name, rows in self._buffer.items():
            array = getattr(graph, name)
            rows.append(array if name in _ENTITY_ARRAYS else array[kept])
        entities, relations = len(graph.boxes), len(graph.pairs[kept])
        facts = (image_id, source, graph.image_size, entities, relations)
        for values, fact in zip(self._images.values(), facts, strict=True):
            values.append(fact)
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
        self._flush()
        text, file = h5py.string_dtype(), self._file
        ids = [json.dumps(image_id) for image_id in self._images["image_ids"]]
        file.create_dataset("image_ids", data=np.array(ids, object), dtype=text)
        file.create_dataset("sources", data=np.array(self._images["sources"], object), dtype=text)
        file.create_dataset(
            "image_sizes", data=np.array(self._images["image_sizes"], np.int32).reshape(-1, 2)
        )
        for name in ("num_entities", "num_relations"):
            file.create_dataset(name, data=np.array(self._images[name], np.int64))
        file.create_dataset("object_names", data=np.array(self.vocabulary.objects, object), dtype=text)
        file.create_dataset("predicate_names", data=np.array(self.vocabulary.predicates, object), dtype=text)
        if self.predicate_counts is not None:
            file.create_dataset("predicate_counts", data=self.predicate_counts)
        file.attrs.update(format=_FORMAT, version=_VERSION, dataset=self.dataset)


class Predictions(Sequence[SceneGraph]):
    """Saved predictions: a sequence of scene graphs, read from the file when asked for.

    Args:
        path: the file.
        checked: whether impossible contents, such as a class that there is not, are an error when they are
            read. A program that only copies them may do without.

    Attributes:
        dataset: name of the data set.
        vocabulary: class names.
        predicate_counts: (R,) training relations per predicate, or None.
        image_ids: I ids, in the order of the graphs.
        sources: I names, which data set each image is from.
        half_precision: whether probabilities are in float16.

    Raises:
        SpeaqError: the file is missing, damaged, or something else.
    """

    def __init__(self, path: str | Path, *, checked: bool = True) -> None:
        self.path, self._checked = Path(path), checked
        if not self.path.is_file():
            raise SpeaqError(f"{path}: no such file; expected predictions saved by an evaluation")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
            self._read_header()
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if self.predicate_counts is not None:
            check_counts(self.predicate_counts, self.vocabulary, self.path)
        if (self._sizes < 1).any():
            index = int(np.argmax((self._sizes < 1).any(axis=1)))
            height, width = self._sizes[index]
            raise self._impossible(index, f"expected an image size above 0, found {width} x {height} pixels")

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The predictions in a file."""
        return cls(path)

    def _read_header(self) -> None:
        file = self._file
        found = file.attrs["format"], file.attrs["version"]
        if found != (_FORMAT, _VERSION):
            raise ValueError(f"it is {found[0]}, version {found[1]}")
        self.dataset = str(file.attrs["dataset"])
        self.vocabulary = Vocabulary(
            tuple(self._texts("object_names")), tuple(self._texts("predicate_names"))
        )
        self.predicate_counts = self._array("predicate_counts") if "predicate_counts" in file else None
        self.image_ids: list[int | str] = [json.loads(name) for name in self._texts("image_ids")]
        self.sources = self._texts("sources")
        self.half_precision = self._dataset("predicate_probs").dtype == np.float16
        self._sizes = self._array("image_sizes")
        if self._sizes.shape[1:] != (2,) or self._sizes.dtype.kind != "i":
            raise ValueError("image_sizes is not a list of heights and widths")
        counts = self._array("num_entities"), self._array("num_relations")
        if any((count < 0).any() for count in counts):
            raise ValueError("an image has a negative number of entities or relations")
        self._entities, self._relations = (np.concatenate(([0], np.cumsum(count))) for count in counts)
        for rows, arrays in (
            (self._entities[-1], _ENTITY_ARRAYS),
            (self._relations[-1], self._relation_arrays()),
        ):
            for name, shape in arrays.items():
                found, kind = self._dataset(name).shape, self._dataset(name).dtype.kind
                if found != (rows, *shape) or kind != ("i" if name in _INTEGERS else "f"):
                    raise ValueError(f"{name} is {found} of kind {kind!r}, not {(rows, *shape)}")
        if {len(self.sources), len(self._sizes), len(self._entities) - 1} != {len(self.image_ids)}:
            raise ValueError("its lists of images differ in length")
        if not all(type(image_id) in (int, str) for image_id in self.image_ids):
            raise ValueError("an image id is neither a number nor text")

    def _relation_arrays(self) -> dict[str, tuple[int, ...]]:
        return _RELATION_ARRAYS | {"predicate_probs": (len(self.vocabulary.predicates) + 1,)}

    def _dataset(self, name: str) -> h5py.Dataset:
        dataset = self._file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{name} is not an array")
        return dataset

    def _array(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        return self._dataset(name)[rows]

    def _texts(self, name: str) -> list[str]:
        return [text.decode() for text in self._array(name)]

    def _damaged(self, error: Exception) -> SpeaqError:
        return SpeaqError(
            f"{self.path}: expected predictions saved by an evaluation, found a damaged file or something "
            f"else ({error}); evaluate the model again"
        )

    def _impossible(self, index: int, problem: str) -> SpeaqError:
        return SpeaqError(
            f"{self.path}: image {self.image_ids[index]}: {problem}; the model has diverged or the file is "
            "damaged: look at the losses, and evaluate the model again"
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    @overload
    def __getitem__(self, index: int) -> SceneGraph: ...
    @overload
    def __getitem__(self, index: slice) -> list[SceneGraph]: ...
    def __getitem__(self, index: int | slice) -> SceneGraph | list[SceneGraph]:
        """The graph of an image, or of several.

        Raises:
            SpeaqError: this part of the file is damaged, or holds what cannot be.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self._read(index, index + 1)[0]

    def _read(self, start: int, stop: int) -> list[SceneGraph]:
        """The graphs of neighbouring images; a few large reads are much faster than many small ones."""
        entities, relations = self._entities[start : stop + 1], self._relations[start : stop + 1]
        columns: dict[str, list[np.ndarray]] = {}
        for offsets, names in ((entities, _ENTITY_ARRAYS), (relations, self._relation_arrays())):
            for name in names:
                try:
                    rows = self._array(name, slice(offsets[0], offsets[-1]))
                except OSError as error:
                    raise self._damaged(error) from error
                found = first_impossible(name, rows, self.vocabulary) if self._checked else None
                if found:
                    place = int(np.searchsorted(offsets, offsets[0] + found[0], side="right")) - 1
                    raise self._impossible(start + place, found[1])
                columns[name] = np.split(rows, offsets[1:-1] - offsets[0])
        graphs = []
        for index, arrays in enumerate(zip(*columns.values(), strict=True), start):
            parts = dict(zip(columns, arrays, strict=True))
            size = tuple(self._sizes[index])
            try:
                graphs.append(SceneGraph(**parts, image_size=size, vocabulary=self.vocabulary))
            except SpeaqError as error:
                raise self._impossible(index, str(error)) from error
        return graphs

    def close(self) -> None:
        """Close the file; nothing can be read any more."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[SceneGraph]:
        for start in range(0, len(self), _READ_AT_ONCE):
            yield from self._read(start, min(start + _READ_AT_ONCE, len(self)))
