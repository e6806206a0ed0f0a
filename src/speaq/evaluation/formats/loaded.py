"""Predictions in memory, with the attributes of `speaq.evaluation.predictions.Predictions`.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speaq.evaluation.formats.target import Target
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPredictions:
    """Scene graphs by index, with the ids and sources of their images.

    Attributes:
        path: the file they were read from.
        dataset: name of the data set.
        vocabulary: class names.
        image_ids: ids of the images.
        sources: source data set of each image.
        graphs: the predictions.
        distinct: without graph constraint, each relation is ranked once.
        mode: not known.
        predicate_counts: not known.
        notes: what a reader of the results should know about the file.
    """

    path: Path
    dataset: str
    vocabulary: Vocabulary
    image_ids: list[int | str]
    sources: list[str]
    graphs: Sequence[SceneGraph]
    distinct: bool = True
    mode: str | None = None
    predicate_counts: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        path: Path,
        target: Target,
        graphs: dict[int | str, SceneGraph],
        *,
        distinct: bool = True,
        notes: Sequence[str] = (),
    ) -> "LoadedPredictions":
        """Predictions for the images of a target, in the order of ``graphs``."""
        return cls(
            path=path,
            dataset=target.name,
            vocabulary=target.vocabulary,
            image_ids=list(graphs),
            sources=[target.images[image_id].source for image_id in graphs],
            graphs=list(graphs.values()),
            distinct=distinct,
            notes=list(notes),
        )

    def __len__(self) -> int:
        return len(self.graphs)

    def __getitem__(self, index: int) -> SceneGraph:
        return self.graphs[index]

    def __iter__(self) -> Iterator[SceneGraph]:
        return iter(self.graphs)


class Relation(NamedTuple):
    """A predicted relation: positions of its entities, predicate, its score, and the scores (R,) of all."""

    subject: int
    object: int
    predicate: int
    score: float
    scores: Sequence[float] | None = None


def build_graph(
    target: Target,
    image_id: int | str,
    *,
    boxes: Any,
    labels: Sequence[int],
    scores: Sequence[float],
    relations: Sequence[Relation],
) -> SceneGraph:
    """A scene graph of an image, from boxes (E, 4) xyxy in pixels and relations in any order.

    Relations are sorted by subject score x object score x predicate score; equal ones stay in order. A pair
    has the scores of all its predicates where a relation does not have those of all predicates.
    """
    image, num_predicates = target.images[image_id], len(target.vocabulary.predicates)
    by_pair: dict[tuple[int, int], np.ndarray] = {}
    for relation in relations:
        pair = by_pair.setdefault((relation.subject, relation.object), np.zeros(num_predicates + 1))
        given = np.eye(num_predicates)[relation.predicate] * relation.score
        if relation.scores is not None:
            given = np.asarray(relation.scores)
        pair[:-1] = np.maximum(pair[:-1], given)
    for values in by_pair.values():
        values[-1] = max(0.0, 1 - values.sum())
    confidence = np.asarray(scores, np.float64)
    best: dict[tuple[int, int, int], float] = {}
    for s, o, predicate, score, _ in relations:
        triplet, product = (s, o, predicate), score * confidence[s] * confidence[o]
        best[triplet] = max(product, best.get(triplet, -1.0))
    triplets = sorted(best, key=lambda triplet: -best[triplet])
    rows = np.array(triplets, np.int64).reshape(-1, 3)
    return SceneGraph(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=np.asarray(labels, np.int64),
        scores=confidence,
        pairs=rows[:, :2],
        predicates=rows[:, 2],
        predicate_probs=np.array([by_pair[s, o] for s, o, _ in triplets]).reshape(-1, num_predicates + 1),
        image_size=(image.height, image.width),
        vocabulary=target.vocabulary,
        image=image.path,
    )
