"""The arrays of a scene graph: entities of an image and the relations between them.

Shape letters: see `speaq.structures`.
"""

import difflib
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, SupportsIndex, overload

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Annotation, Vocabulary

if TYPE_CHECKING:
    from PIL import Image

RELATION_ARRAYS = ("predicates", "predicate_probs", "queries", "pair_scores")
"""Arrays with a row per relation, besides its pair of entities."""
_SHOWN_TRIPLETS = 10


@dataclass(frozen=True, slots=True)
class Entity:
    """An object in the image, with its confidence in 0..1 and box (x1, y1, x2, y2) in pixels of the image."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    label: int

    def __str__(self) -> str:
        return f"{self.name} ({self.score:.2f})"


@dataclass(frozen=True, slots=True, repr=False)
class Triplet:
    """A relation with class names, such as "cup on table".

    The score is the product of subject, object and predicate confidence. Boxes are (x1, y1, x2, y2) in pixels
    of the image. The indices are positions among the entities of the graph.
    """

    subject: str
    predicate: str
    object: str
    score: float
    subject_box: tuple[float, float, float, float]
    object_box: tuple[float, float, float, float]
    subject_index: int
    object_index: int

    def __str__(self) -> str:
        return f"{self.subject} {self.predicate} {self.object} ({self.score:.2f})"

    def __repr__(self) -> str:
        return f"<{self}>"


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class GraphData:
    """Entities of an image and the relations between them, best relation first.

    A graph is a sequence of its M relations: ``graph[0]`` and ``for triplet in graph`` give `Triplet`, and
    ``graph[:5]``, ``graph[mask]`` and ``graph[[3, 1]]`` give a graph of the chosen relations and the entities
    that take part in them. Two graphs are equal if all arrays, the image size and the vocabulary are; the
    image is not compared. Graphs cannot be hashed.

    Attributes:
        boxes: (E, 4) float32, xyxy in pixels of the original image.
        labels: (E,) int64, object class from 0.
        scores: (E,) float32, confidence of each entity.
        pairs: (M, 2) int64, subject and object entity of each relation.
        predicates: (M,) int64, predicate class from 0.
        predicate_probs: (M, R + 1) float32; the last column is "no relation".
        image_size: height and width of the original image in pixels.
        queries: (M,) int64, the predicate query of each relation. If num_rel predicates are kept per query,
            the r-th best of query j is j * num_rel + r. Default: 0 to M - 1.
        pair_scores: (M, 2) float32, confidence of subject and object as predicted by the relation's own
            query. Several queries may predict the same entity, whose score is that of the box that NMS kept.
            Default: the scores of the entities.
        vocabulary: the class names, or None.
        image: path of the image, or the image itself if it did not come from a file.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray
    predicate_probs: np.ndarray
    image_size: tuple[int, int]
    queries: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    pair_scores: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    vocabulary: Vocabulary | None = None
    image: "Path | Image.Image | None" = None

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        for name in ("labels", "pairs", "predicates"):
            values = np.asarray(getattr(self, name))
            if values.dtype.kind not in "iuf" or not (values == np.trunc(values)).all():
                raise SpeaqError(f"scene graph: expected whole numbers as {name}, found {values!r:.60}")
        self.pairs = np.asarray(self.pairs, np.int64).reshape(-1, 2)
        self.image_size = (int(self.image_size[0]), int(self.image_size[1]))
        entities, relations = len(self.boxes), len(self.pairs)
        if relations and (self.pairs.min() < 0 or self.pairs.max() >= entities):
            raise SpeaqError(
                f"scene graph: pairs must index its {entities} entities, "
                f"but they range from {self.pairs.min()} to {self.pairs.max()}"
            )
        for name, dtype, length in (
            ("labels", np.int64, entities),
            ("scores", np.float32, entities),
            ("predicates", np.int64, relations),
            ("predicate_probs", np.float32, relations),
            ("queries", np.int64, relations),
            ("pair_scores", np.float32, relations),
        ):
            value = getattr(self, name)
            if value is None and name in ("queries", "pair_scores"):
                value = np.arange(relations) if name == "queries" else self.scores[self.pairs]
            array = np.asarray([] if value is None else value, dtype)
            if len(array) != length:
                raise SpeaqError(
                    f"scene graph: {name} has {len(array)} rows, expected {length} "
                    f"({entities} entities, {relations} relations)"
                )
            setattr(self, name, array)
        self.pair_scores = self.pair_scores.reshape(-1, 2)
        last = self.predicate_probs.shape[-1] - 2
        if (wrong := self.predicates[(self.predicates < 0) | (self.predicates > last)]).size:
            raise SpeaqError(f"scene graph: predicates must be in 0..{last}, found {wrong[0]}")

    @classmethod
    def from_annotation(cls, annotation: Annotation, vocabulary: Vocabulary) -> Self:
        """The ground truth of an image as a scene graph; every confidence is 1."""
        predicates = annotation.relations[:, 2].astype(np.int64)
        return cls(
            boxes=annotation.boxes,
            labels=annotation.labels,
            scores=np.ones(len(annotation.boxes)),
            pairs=annotation.relations[:, :2],
            predicates=predicates,
            predicate_probs=np.eye(len(vocabulary.predicates) + 1)[predicates],
            image_size=(annotation.height, annotation.width),
            vocabulary=vocabulary,
            image=Path(annotation.path),
        )

    def __len__(self) -> int:
        """The number of relations."""
        return len(self.pairs)

    def __iter__(self) -> Iterator[Triplet]:
        """The relations as triplets."""
        return iter(self.triplets)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Triplet: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | Sequence[bool] | np.ndarray) -> Self: ...
    def __getitem__(
        self, index: SupportsIndex | slice | Sequence[int] | Sequence[bool] | np.ndarray
    ) -> Triplet | Self:
        """A relation as a triplet, or a graph of several relations in the order given.

        Several are chosen by a slice, a sequence of positions or a mask (M,) bool. Negative positions count
        from the end.

        Raises:
            IndexError: a position is out of range, or the mask has another length.
        """
        rows = np.arange(len(self))
        if isinstance(index, slice):
            return self._select(rows[index])
        positions = np.asarray(index)
        if positions.ndim == 0:
            position = operator.index(index)  # pyright: ignore[reportArgumentType]
            return self._triplets(rows[[position]])[0]
        return self._select(rows[positions] if positions.size else rows[:0])

    def __eq__(self, other: object) -> bool:
        """Whether all arrays, the image size and the vocabulary are equal."""
        if not isinstance(other, GraphData):
            return NotImplemented
        names = [field.name for field in fields(self) if field.name != "image"]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # arrays can change

    @property
    def predicate_scores(self) -> np.ndarray:
        """(M,) float32, the probability of each relation's predicate."""
        return self.predicate_probs[np.arange(len(self)), self.predicates]

    @property
    def triplet_scores(self) -> np.ndarray:
        """(M,) float32, product of subject, object and predicate confidence; relations are sorted by it."""
        return self.pair_scores[:, 0] * self.pair_scores[:, 1] * self.predicate_scores

    @property
    def entities(self) -> list[Entity]:
        """The E entities with class names."""
        return [
            Entity(self.object_name(label), score, tuple(box), label)
            for label, score, box in zip(
                self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True
            )
        ]

    @property
    def triplets(self) -> list[Triplet]:
        """The M relations with class names."""
        return self._triplets(np.arange(len(self)))

    def _triplets(self, rows: np.ndarray) -> list[Triplet]:
        """The relations at some positions."""
        entities, triplets = self.entities, []
        columns = self.pairs[rows], self.predicates[rows], self.triplet_scores[rows]
        for (s, o), predicate, score in zip(*(column.tolist() for column in columns), strict=True):
            subject, object_, name = entities[s], entities[o], self.predicate_name(predicate)
            triplets.append(Triplet(subject.name, name, object_.name, score, subject.box, object_.box, s, o))
        return triplets

    def object_name(self, label: int) -> str:
        """The name of an object class, or "object 3" if there is no vocabulary."""
        return self.vocabulary.objects[label] if self.vocabulary else f"object {label}"

    def predicate_name(self, predicate: int) -> str:
        """The name of a predicate, or "predicate 3" if there is no vocabulary."""
        return self.vocabulary.predicates[predicate] if self.vocabulary else f"predicate {predicate}"

    def filter(
        self,
        *,
        score: float | None = None,
        top: int | None = None,
        predicates: str | int | Iterable[str | int] | None = None,
        objects: str | int | Iterable[str | int] | None = None,
    ) -> Self:
        """A graph of the relations that meet all conditions, and the entities that take part in them.

        Args:
            score: minimum triplet score.
            top: maximum number of relations; the best ones of those that meet the other conditions are kept.
            predicates: classes (names or indices) of the predicate.
            objects: classes (names or indices); the subject or the object must be of one of them.

        Raises:
            SpeaqError: a name is not in the vocabulary, or there is no vocabulary to look it up in.
        """
        keep = np.ones(len(self), bool)
        if score is not None:
            keep &= self.triplet_scores >= score
        if predicates is not None:
            keep &= np.isin(self.predicates, self._class_indices("predicate", predicates))
        if objects is not None:
            selected = np.isin(self.labels, self._class_indices("object", objects))
            keep &= selected[self.pairs].any(axis=1)
        rows = np.flatnonzero(keep)
        if top is not None:
            best = np.argsort(-self.triplet_scores[rows], kind="stable")[: max(top, 0)]
            rows = rows[np.sort(best)]
        return self._select(rows)

    def _class_indices(self, kind: str, classes: str | int | Iterable[str | int]) -> list[int]:
        names = getattr(self.vocabulary, f"{kind}s", None)
        indices = []
        for item in [classes] if isinstance(classes, str | int) else classes:
            if not isinstance(item, str):
                indices.append(int(item))
            elif names is None:
                raise SpeaqError(
                    f"{kind} '{item}': this graph has no vocabulary, so give the class index instead"
                )
            elif item in names:
                indices.append(names.index(item))
            else:
                near = difflib.get_close_matches(item, names, n=3)
                hint = f"; did you mean {' or '.join(near)}?" if near else f" ({len(names)} are known)"
                raise SpeaqError(f"{kind} '{item}' is not in the vocabulary{hint}")
        return indices

    def _select(self, rows: np.ndarray) -> Self:
        """A graph of the relations at some positions, and the entities that take part in them."""
        used, pairs = np.unique(self.pairs[rows], return_inverse=True)
        return replace(
            self,
            boxes=self.boxes[used],
            labels=self.labels[used],
            scores=self.scores[used],
            pairs=pairs.reshape(-1, 2),
            **{name: getattr(self, name)[rows] for name in RELATION_ARRAYS},
        )

    def __repr__(self) -> str:
        height, width = self.image_size
        name = f", {self.image.name}" if isinstance(self.image, Path) else ""
        counts = f"{len(self.boxes)} entities, {len(self)} relations"
        return f"{type(self).__name__}({counts}, {width}x{height}{name})"

    def __str__(self) -> str:
        lines = [repr(self)]
        lines += [f"  {triplet}" for triplet in self.filter(top=_SHOWN_TRIPLETS).triplets]
        if len(self) > _SHOWN_TRIPLETS:
            lines.append(f"  ... and {len(self) - _SHOWN_TRIPLETS} more")
        return "\n".join(lines)
