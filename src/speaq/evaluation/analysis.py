"""Per-relation analysis of an evaluation: hits, predicate confusion and use of queries.

One pass over predictions and ground truth keeps a few numbers per relation. Recall of any image, predicate or
subset of images follows from them without comparing boxes again, and equals that of `SceneGraphMetrics`.

Shape letters: see `speaq.structures`; B images and M ground-truth relations of the whole data set.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.recall import MISSED, ImageHits, first_hits, hits_at, image_hits, mean_by_group
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Hits, confusions and use of queries over the images of a data set.

    A ground-truth relation is *localised* if some prediction has both its classes, and both boxes with an IoU
    of at least the threshold, whatever predicate it has. Only the top ``max(ks)`` predictions of an image
    count, with graph constraint.

    Attributes:
        ks: depths.
        groups: predicates of head, body and tail; empty where training counts are not known.
        image_ids: B ids.
        sources: (B,) source data set of each image.
        images: (M,) image index of each relation, ascending.
        predicates: (M,) its predicate.
        zero_shot: (M,) bool.
        ranks: (2, M) rank of the first hit, with and without graph constraint; `MISSED` without a hit.
        predicted_predicates: (M,) predicate of the best prediction that localises the relation, R for none.
        num_localized: (R,) predictions of a predicate that localise a relation.
        num_correct: (R,) those of them whose predicate is correct.
        query_uses: (P, R) how often a query yields a relation with a predicate among the top ``max(ks)``.
        query_hits: (P, R) relations that are first hit by a query with this predicate.
    """

    ks: tuple[int, ...]
    groups: Mapping[str, np.ndarray]
    image_ids: list[int | str]
    sources: np.ndarray
    images: np.ndarray
    predicates: np.ndarray
    zero_shot: np.ndarray
    ranks: np.ndarray
    predicted_predicates: np.ndarray
    num_localized: np.ndarray
    num_correct: np.ndarray
    query_uses: np.ndarray
    query_hits: np.ndarray

    @property
    def num_predicates(self) -> int:
        """R."""
        return len(self.num_localized)

    def image_recalls(self, selected: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Recall of each image, NaN where it has no relation: (2, len(ks), B).

        Args:
            selected: (M,) bool, relations that count.
        """
        images, means = mean_by_group(hits_at(self.ranks[:, selected], self.ks), self.images[selected])
        recalls = np.full((*means.shape[:-1], len(self.image_ids)), np.nan)
        recalls[..., images] = means
        return recalls

    def predicate_recalls(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Recall of each predicate in each image that has it.

        Returns:
            Image (G,), predicate (G,) and recall (2, len(ks), G) of each combination that occurs.
        """
        return self._mean_by_image_and_predicate(hits_at(self.ranks, self.ks))

    def localized_shares(self) -> np.ndarray:
        """Share of a predicate's relations that are localised, averaged over images as recall is: (R,).

        It is an upper bound of the recall at the largest k; NaN where no image has the predicate.
        """
        localized = self.predicted_predicates < self.num_predicates
        _, predicates, shares = self._mean_by_image_and_predicate(localized)
        present, means = mean_by_group(shares, predicates)
        result = np.full(self.num_predicates, np.nan)
        result[present] = means
        return result

    def _mean_by_image_and_predicate(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        groups, means = mean_by_group(values, self.images * self.num_predicates + self.predicates)
        return *np.divmod(groups, self.num_predicates), means

    @property
    def confusion(self) -> np.ndarray:
        """(R, R + 1) relations by annotated and by predicted predicate; last column: not localised."""
        shape = (self.num_predicates, self.num_predicates + 1)
        keys = np.ravel_multi_index((self.predicates, self.predicted_predicates), shape)
        return np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape)


def analyze(
    pairs: Iterable[tuple[SceneGraph, Annotation]], metrics: SceneGraphMetrics, *, num_rel: int = 1
) -> Analysis:
    """Analyse the predictions of a data set in one pass, about 0.3 milliseconds per image.

    Args:
        pairs: prediction, relations sorted best first, and ground truth of each image.
        metrics: its settings (predicates, depths, IoU threshold, zero-shot triplets, long-tail groups) are
            used. It is not updated.
        num_rel: predicates kept per query (TEST.NUM_REL), by which the graphs number their queries.

    Raises:
        SpeaqError: a graph or its ground truth has another number of predicates than ``metrics``.
    """
    image_ids: list[int | str] = []
    sources: list[str] = []
    columns = _Columns()
    for graph, annotation in pairs:
        metrics.check(graph, annotation)
        hits = image_hits(graph, annotation, depth=max(metrics.ks), iou_threshold=metrics.iou_threshold)
        columns.add(graph, annotation.relations[:, 2], hits, metrics.num_predicates)
        columns.zero_shot.append(metrics.zero_shot(annotation))
        image_ids.append(annotation.image_id)
        sources.append(annotation.source)
    num_predicates = metrics.num_predicates
    return Analysis(
        ks=metrics.ks,
        groups=metrics.groups,
        image_ids=image_ids,
        sources=np.array(sources, dtype=np.str_),
        images=np.repeat(np.arange(len(image_ids)), [len(rows) for rows in columns.predicates[1:]]),
        predicates=np.concatenate(columns.predicates),
        zero_shot=np.concatenate(columns.zero_shot),
        ranks=np.concatenate(columns.ranks, axis=1),
        predicted_predicates=np.concatenate(columns.predicted_predicates),
        num_localized=np.bincount(np.concatenate(columns.localized), minlength=num_predicates),
        num_correct=np.bincount(np.concatenate(columns.correct), minlength=num_predicates),
        query_uses=_query_table(columns.query_uses, num_rel, num_predicates),
        query_hits=_query_table(columns.query_hits, num_rel, num_predicates),
    )


def _empty(*shape: int, dtype: type = np.int64) -> list[np.ndarray]:
    """A list with one empty array, so that it can be concatenated if no other array is appended."""
    return [np.empty(shape, dtype)]


@dataclass(slots=True)
class _Columns:
    """Arrays of the images added so far, named as in `Analysis`; predicates instead of counts."""

    predicates: list[np.ndarray] = field(default_factory=lambda: _empty(0))
    zero_shot: list[np.ndarray] = field(default_factory=lambda: _empty(0, dtype=bool))
    ranks: list[np.ndarray] = field(default_factory=lambda: _empty(2, 0))
    predicted_predicates: list[np.ndarray] = field(default_factory=lambda: _empty(0))
    localized: list[np.ndarray] = field(default_factory=lambda: _empty(0))
    correct: list[np.ndarray] = field(default_factory=lambda: _empty(0))
    query_uses: list[np.ndarray] = field(default_factory=lambda: _empty(0, 2))
    query_hits: list[np.ndarray] = field(default_factory=lambda: _empty(0, 2))

    def add(
        self, graph: SceneGraph, true_predicates: np.ndarray, hits: ImageHits, num_predicates: int
    ) -> None:
        depth = len(hits.localized)
        predicates, queries = graph.predicates[:depth], graph.queries[:depth]
        best = np.minimum(first_hits(hits.localized), depth)  # depth: not localised
        ranks = hits.ranks[0]
        hit = ranks != MISSED
        self.predicates.append(true_predicates)
        self.ranks.append(hits.ranks)
        self.predicted_predicates.append(np.append(predicates, num_predicates)[best])
        self.localized.append(predicates[hits.localized.any(axis=1)])
        self.correct.append(predicates[hits.correct.any(axis=1)])
        self.query_uses.append(np.column_stack((queries, predicates)))
        self.query_hits.append(np.column_stack((queries[ranks[hit]], true_predicates[hit])))


def _query_table(rows: list[np.ndarray], num_rel: int, num_predicates: int) -> np.ndarray:
    """Counts (P, R) of rows (query, predicate); P is the largest query number found, plus one."""
    queries, predicates = np.concatenate(rows).T
    queries = queries // num_rel
    counts = np.bincount(queries * num_predicates + predicates)
    return np.pad(counts, (0, -len(counts) % num_predicates)).reshape(-1, num_predicates)
