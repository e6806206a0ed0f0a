"""Predictions in memory, with the attributes of `speaq.evaluation.predictions.Predictions`.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from speaq.evaluation.formats.plausibility import find_doubts
from speaq.evaluation.formats.target import Target
from speaq.scene_graph import SceneGraph


class LoadedPredictions:
    """Scene graphs by index, with the ids and sources of their images.

    Args:
        path: the file they were read from.
        target: the data set.
        graphs: the predictions by image id.
        distinct: without graph constraint, each relation is ranked once.
        notes: what a reader of the results should know about the file.
    """

    mode: str | None = None  # not known
    predicate_counts: np.ndarray | None = None  # not known

    def __init__(
        self,
        path: Path,
        target: Target,
        graphs: Mapping[int | str, SceneGraph],
        *,
        distinct: bool = True,
        notes: Sequence[str] = (),
    ) -> None:
        self.path, self.dataset, self.vocabulary = path, target.name, target.vocabulary
        self.image_ids, self._graphs = list(graphs), list(graphs.values())
        self.sources = [target.images[image_id].source for image_id in graphs]
        truths = [target.images[image_id] for image_id in graphs]
        self.distinct, self.notes = distinct, [*notes, *find_doubts(zip(self._graphs, truths, strict=True))]

    def __len__(self) -> int:
        return len(self._graphs)

    def __getitem__(self, index: int) -> SceneGraph:
        return self._graphs[index]

    def __iter__(self) -> Iterator[SceneGraph]:
        return iter(self._graphs)


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
    confidence = np.asarray(scores, np.float64)
    by_pair: dict[tuple[int, int], np.ndarray] = {}
    best: dict[tuple[int, int, int], float] = {}
    for s, o, predicate, score, given in relations:
        if given is None:
            given = np.eye(num_predicates)[predicate] * score
        pair = by_pair.setdefault((s, o), np.zeros(num_predicates + 1))
        pair[:-1] = np.maximum(pair[:-1], given)
        triplet, product = (s, o, predicate), score * confidence[s] * confidence[o]
        best[triplet] = max(product, best.get(triplet, -1.0))
    for values in by_pair.values():
        values[-1] = max(0.0, 1 - values.sum())
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
