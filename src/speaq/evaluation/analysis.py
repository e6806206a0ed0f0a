"""What lies behind the recalls: every true relation's rank, and what was said in its place.

One pass over predictions and ground truth keeps a few numbers per relation. Recall of any image, predicate or
selection of images follows from them without a second look at the boxes, and equals ``SceneGraphMetrics``.

I: images, T: true relations of all images, R: predicate classes, K: depths k, P: predicate queries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.recall import MISSED, best_without_graph_constraint, first_hits, match_entities
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Hits, confusions and use of queries, over the images of a data set.

    "Localised" is a true relation of which some prediction names both classes right with an IoU of at least
    the threshold of both boxes, whatever predicate it says. Only the first ``max(ks)`` predictions of an
    image count, with graph constraint.

    Attributes:
        ks: depths.
        groups: predicates of head, body and tail; empty where training counts are not known.
        image_ids: I ids.
        sources: (I,) which data set each image is from.
        images: (T,) image of each true relation, ascending.
        predicates: (T,) its predicate.
        zero_shot: (T,) bool.
        ranks: (2, T) rank of the first hit, with and without graph constraint; ``MISSED`` without a hit.
        said: (T,) predicate of the best prediction that localises the relation, R where none does.
        claims: (R,) predictions of a predicate that localise a true relation.
        right: (R,) those of them that hit one.
        query_uses: (P, R) how often a query's relation with a predicate is among the first ones.
        query_hits: (P, R) true relations that a query's relation is the first to hit.
    """

    ks: tuple[int, ...]
    groups: Mapping[str, np.ndarray]
    image_ids: list[int | str]
    sources: np.ndarray
    images: np.ndarray
    predicates: np.ndarray
    zero_shot: np.ndarray
    ranks: np.ndarray
    said: np.ndarray
    claims: np.ndarray
    right: np.ndarray
    query_uses: np.ndarray
    query_hits: np.ndarray

    @property
    def num_predicates(self) -> int:
        """R."""
        return len(self.claims)

    @property
    def hits(self) -> np.ndarray:
        """(2, K, T) bool: whether a relation is hit within the first k predictions."""
        return self.ranks[:, None, :] < np.asarray(self.ks)[:, None]

    def image_recalls(self, selected: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(2, K, I) share of the relations of each image that are hit, NaN where it has none.

        Args:
            selected: (T,) bool, relations to look at.
        """
        images, hits = self.images[selected], self.hits[..., selected]
        with np.errstate(invalid="ignore"):
            return _sums(hits, images, len(self.image_ids)) / np.bincount(
                images, minlength=len(self.image_ids)
            )

    def predicate_recalls(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same by image and predicate.

        Returns:
            image (N,), predicate (N,) and recall (2, K, N) of each combination that occurs.
        """
        present, members, counts = self._by_image_and_predicate()
        return *np.divmod(present, self.num_predicates), _sums(self.hits, members, len(present)) / counts

    def _by_image_and_predicate(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The combinations (N,), as image * R + predicate; that of each relation (T,); their counts (N,)."""
        keys = self.images * self.num_predicates + self.predicates
        return np.unique(keys, return_inverse=True, return_counts=True)

    def localised_shares(self) -> np.ndarray:
        """(R,) share of a predicate's relations that are localised, averaged over images as recall is.

        So it is at least the recall at the largest k; NaN where no image has the predicate.
        """
        present, members, counts = self._by_image_and_predicate()
        found = np.bincount(members, weights=self.said < self.num_predicates, minlength=len(present)) / counts
        predicates = present % self.num_predicates
        sums = np.bincount(predicates, weights=found, minlength=self.num_predicates)
        with np.errstate(invalid="ignore"):
            return sums / np.bincount(predicates, minlength=self.num_predicates)

    @property
    def confusion(self) -> np.ndarray:
        """(R, R + 1) true relations by predicate and by what is said; last column: not localised."""
        shape = (self.num_predicates, self.num_predicates + 1)
        keys = np.ravel_multi_index((self.predicates, self.said), shape)
        return np.bincount(keys, minlength=shape[0] * shape[1]).reshape(shape)


def analyse(
    pairs: Iterable[tuple[SceneGraph, Annotation]],
    metrics: SceneGraphMetrics,
    *,
    num_rel: int = 1,
) -> Analysis:
    """Look at every image once, about 0.3 milliseconds each.

    Args:
        pairs: prediction, relations sorted best first, and ground truth of each image.
        metrics: whose settings say what counts (predicates, depths, IoU, zero-shot triplets, head, body and
            tail). It is not updated.
        num_rel: predicates kept per query (TEST.NUM_REL), by which the graphs number their queries.

    Raises:
        SpeaqError: a graph or its ground truth has predicates that ``metrics`` does not know.
    """
    depth, predicates = max(metrics.ks), metrics.num_predicates
    image_ids: list[int | str] = []
    sources: list[str] = []
    columns = _Columns()
    for graph, annotation in pairs:
        metrics.check(graph, annotation)
        columns.add(graph, annotation, depth=depth, iou_threshold=metrics.iou_threshold)
        columns.zero_shot.append(metrics.zero_shot(annotation))
        image_ids.append(annotation.image_id)
        sources.append(annotation.source)
    said = np.concatenate(columns.said)
    return Analysis(
        ks=metrics.ks,
        groups=metrics.groups,
        image_ids=image_ids,
        sources=np.array(sources, dtype=np.str_),
        images=np.repeat(np.arange(len(image_ids)), [len(rows) for rows in columns.said[1:]]),
        predicates=np.concatenate(columns.predicates),
        zero_shot=np.concatenate(columns.zero_shot),
        ranks=np.concatenate(columns.ranks, axis=1),
        said=np.where(said == _NOTHING, predicates, said),
        claims=np.bincount(np.concatenate(columns.claims), minlength=predicates),
        right=np.bincount(np.concatenate(columns.right), minlength=predicates),
        query_uses=_query_table(columns.uses, num_rel, predicates),
        query_hits=_query_table(columns.hits, num_rel, predicates),
    )


_NOTHING = -1


def _rows(*shape: int, dtype: type = np.int64) -> list[np.ndarray]:
    """A list of arrays to be concatenated, which may get no other member."""
    return [np.empty(shape, dtype)]


@dataclass(slots=True)
class _Columns:
    """What is kept of each image; names as in ``Analysis``."""

    predicates: list[np.ndarray] = field(default_factory=lambda: _rows(0))
    zero_shot: list[np.ndarray] = field(default_factory=lambda: _rows(0, dtype=bool))
    ranks: list[np.ndarray] = field(default_factory=lambda: _rows(2, 0))
    said: list[np.ndarray] = field(default_factory=lambda: _rows(0))
    claims: list[np.ndarray] = field(default_factory=lambda: _rows(0))
    right: list[np.ndarray] = field(default_factory=lambda: _rows(0))
    uses: list[np.ndarray] = field(default_factory=lambda: _rows(0, 2))
    hits: list[np.ndarray] = field(default_factory=lambda: _rows(0, 2))

    def add(self, graph: SceneGraph, annotation: Annotation, *, depth: int, iou_threshold: float) -> None:
        """Compare an image's first predictions with its relations."""
        true = annotation.relations
        pairs, predicates, queries = graph.pairs[:depth], graph.predicates[:depth], graph.queries[:depth]
        matches = match_entities(
            graph.boxes, graph.labels, annotation.boxes, annotation.labels, iou_threshold=iou_threshold
        )
        unconstrained = best_without_graph_constraint(graph.scores, graph.pairs, graph.predicate_probs, depth)
        ranks = first_hits(matches, pairs, predicates, true)
        localises = matches[pairs[:, :1], true[:, 0]] & matches[pairs[:, 1:], true[:, 1]]
        hits = localises & (predicates[:, None] == true[:, 2])
        hit = ranks != MISSED
        # The same without looking at predicates: who speaks of the pair first?
        speakers = first_hits(matches, pairs, np.zeros_like(predicates), true * (1, 1, 0))
        said = np.append(predicates, _NOTHING)[np.minimum(speakers, len(predicates))]
        self.predicates.append(true[:, 2])
        self.ranks.append(np.stack((ranks, first_hits(matches, *unconstrained, true))))
        self.said.append(said)
        self.claims.append(predicates[localises.any(axis=1)])
        self.right.append(predicates[hits.any(axis=1)])
        self.uses.append(np.column_stack((queries, predicates)))
        self.hits.append(np.column_stack((queries[ranks[hit]], true[hit, 2])))


def _query_table(rows: list[np.ndarray], num_rel: int, num_predicates: int) -> np.ndarray:
    """Counts (P, R) of rows (query, predicate); there are as many queries as are seen."""
    queries, predicates = np.concatenate(rows).T
    queries = queries // num_rel
    counts = np.bincount(queries * num_predicates + predicates)
    return np.pad(counts, (0, -len(counts) % num_predicates)).reshape(-1, num_predicates)


def _sums(hits: np.ndarray, members: np.ndarray, count: int) -> np.ndarray:
    """Sums (2, K, count) of hits (2, K, T) over the relations of each member."""
    sums = [np.bincount(members, weights=row, minlength=count) for rows in hits for row in rows]
    return np.stack(sums).reshape(*hits.shape[:-1], count)
