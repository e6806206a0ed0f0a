"""Read the predictions of a data set from a file, to score, analyse and draw them without the model.

The file is HDF5 with flat arrays: the entities of all images one after another, then the relations, and the
number of both per image; image ids are JSON. By default the file is lossless: metrics computed from it
equal those of the graphs. Predicate probabilities take nearly all of the space: 600 relations of 51
classes are 120 KB per image and hardly compressible. Two settings of `PredictionWriter` save space:

- ``max_relations``: only the best relations of each image. Recall with graph constraint is unchanged up to
  that depth. Without graph constraint the ranking may lose a triplet whose pair ranks lower.
- ``half_precision``: probabilities as float16, with 11 significant bits and no values below 3e-8. They only
  affect recall without graph constraint.

With 600 relations each, 26,000 images take 3.6 GB; with the best 100 in half precision they take 0.36 GB.

Shape letters: see `speaq.structures`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self, overload

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.evaluation.prediction_checks import check_predicate_counts, first_out_of_range
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

FORMAT, VERSION = "speaq predictions", 1
ENTITY_ARRAYS = {"boxes": (4,), "labels": (), "scores": ()}
"""Arrays with a row per entity, and the shape of a row."""
INTEGER_ARRAYS = frozenset({"labels", "pairs", "predicates", "queries"})
"""Arrays of int32; the others are float32, and the probabilities of predicates may be float16."""

_BATCH = 64  # images read at once
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)
"""Exceptions that h5py raises on damaged files."""


def relation_arrays(vocabulary: Vocabulary) -> dict[str, tuple[int, ...]]:
    """Arrays with a row per relation, and the shape of a row."""
    probs = (len(vocabulary.predicates) + 1,)
    return {"pairs": (2,), "predicates": (), "queries": (), "pair_scores": (2,), "predicate_probs": probs}


class Predictions(Sequence[SceneGraph]):
    """Saved predictions: a sequence of scene graphs, read from the file on access.

    Args:
        path: the file.
        checked: raise an error when invalid values, such as a class outside the vocabulary, are read. Not
            needed to copy predictions.

    Attributes:
        dataset: name of the data set.
        vocabulary: class names.
        predicate_counts: (R,) training relations per predicate, or None.
        image_ids: ids of the images, in the order of the graphs.
        sources: source data set of each image.
        half_precision: whether probabilities are float16.

    Raises:
        SpeaqError: the file is missing, damaged, or not a file of predictions.
    """

    def __init__(self, path: str | Path, *, checked: bool = True) -> None:
        self.path, self._checked = Path(path), checked
        if not self.path.is_file():
            raise SpeaqError(f"{path}: no such file; expected predictions saved by an evaluation")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
            self._read_header()
            self._check_arrays()
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if self.predicate_counts is not None:
            check_predicate_counts(self.predicate_counts, self.vocabulary, self.path)
        if (self._sizes < 1).any():
            index = int(np.argmax((self._sizes < 1).any(axis=1)))
            height, width = self._sizes[index]
            raise self._invalid(index, f"expected an image size above 0, found {width} x {height} pixels")

    def _read_header(self) -> None:
        """Read everything but entities and relations."""
        file = self._file
        found = file.attrs["format"], file.attrs["version"]
        if found != (FORMAT, VERSION):
            raise ValueError(f"format {found[0]!r}, version {found[1]}")
        self.dataset = str(file.attrs["dataset"])
        self.vocabulary = Vocabulary(
            tuple(self._texts("object_names")), tuple(self._texts("predicate_names"))
        )
        self.predicate_counts = self._array("predicate_counts") if "predicate_counts" in file else None
        self.image_ids: list[int | str] = [json.loads(name) for name in self._texts("image_ids")]
        self.sources = self._texts("sources")
        self.half_precision = self._dataset("predicate_probs").dtype == np.float16
        self._sizes = self._array("image_sizes")
        counts = self._array("num_entities"), self._array("num_relations")
        if any((count < 0).any() for count in counts):
            raise ValueError("an image has a negative number of entities or relations")
        offsets = (np.concatenate(([0], np.cumsum(count))) for count in counts)
        shapes = ENTITY_ARRAYS, relation_arrays(self.vocabulary)
        self._groups = list(zip(offsets, shapes, strict=True))

    def _check_arrays(self) -> None:
        """Check shapes and types, and that all arrays per image have the same length."""
        if self._sizes.shape[1:] != (2,) or self._sizes.dtype.kind != "i":
            raise ValueError("image_sizes is not a list of heights and widths")
        for offsets, shapes in self._groups:
            for name, shape in shapes.items():
                expected, kind = (offsets[-1], *shape), "i" if name in INTEGER_ARRAYS else "f"
                found, found_kind = self._dataset(name).shape, self._dataset(name).dtype.kind
                if found != expected or found_kind != kind:
                    raise ValueError(
                        f"{name} has shape {found} and kind {found_kind!r}, not {expected}, {kind!r}"
                    )
        lengths = {len(self.sources), len(self._sizes), *(len(offsets) - 1 for offsets, _ in self._groups)}
        if lengths != {len(self.image_ids)}:
            raise ValueError("its arrays per image differ in length")
        if not all(type(image_id) in (int, str) for image_id in self.image_ids):
            raise ValueError("an image id is neither a number nor a string")

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

    @overload
    def __getitem__(self, index: int) -> SceneGraph: ...
    @overload
    def __getitem__(self, index: slice) -> list[SceneGraph]: ...
    def __getitem__(self, index: int | slice) -> SceneGraph | list[SceneGraph]:
        """The graph of an image, or of several.

        Raises:
            SpeaqError: this part of the file is damaged or has invalid values.
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self._read(index, index + 1)[0]

    def __iter__(self) -> Iterator[SceneGraph]:
        for start in range(0, len(self), _BATCH):
            yield from self._read(start, min(start + _BATCH, len(self)))

    def _read(self, start: int, stop: int) -> list[SceneGraph]:
        """The graphs of consecutive images; a few large reads are much faster than many small ones."""
        columns: dict[str, list[np.ndarray]] = {}
        for offsets, names in self._groups:
            first, *inner, last = offsets[start : stop + 1]
            for name in names:
                try:
                    rows = self._array(name, slice(first, last))
                except OSError as error:
                    raise self._damaged(error) from error
                invalid = first_out_of_range(name, rows, self.vocabulary) if self._checked else None
                if invalid:
                    image = int(np.searchsorted(offsets, first + invalid[0], side="right")) - 1
                    raise self._invalid(image, invalid[1])
                columns[name] = np.split(rows, np.array(inner, np.int64) - first)
        graphs = []
        for index, arrays in enumerate(zip(*columns.values(), strict=True), start):
            parts = dict(zip(columns, arrays, strict=True))
            size = tuple(self._sizes[index])
            try:
                graphs.append(SceneGraph(**parts, image_size=size, vocabulary=self.vocabulary))
            except SpeaqError as error:
                raise self._invalid(index, str(error)) from error
        return graphs

    def close(self) -> None:
        """Close the file; graphs can no longer be read."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
