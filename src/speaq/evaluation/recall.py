"""Recall of an image: which ground-truth relations its top k predictions hit.

A prediction hits a ground-truth relation when subject class, object class and predicate agree and both boxes
have an IoU of at least the threshold (0.5) with their ground-truth boxes. Boxes are continuous, and the IoU
is computed in float64, so that an IoU of exactly 0.5 counts. One prediction may hit several relations:
duplicates in the ground truth count separately.

The same formulas serve sgdet, sgcls (ground-truth boxes are given) and predcls (ground-truth boxes and
classes are given); only the contents of the graph differ. In phrase detection, phrdet, the smallest box
around subject and object must have the IoU instead of both boxes (Lu et al., ECCV 2016).

Shape letters: see `speaq.structures`. K is the number of ranked predictions here.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from speaq.boxes import pairwise_iou
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

MISSED = np.iinfo(np.int64).max
"""The rank of a relation that no prediction hits."""


class ImageHits(NamedTuple):
    """The predictions of an image compared with its ground truth.

    Attributes:
        ranks: (2, M) int64, rank of the first hit of each relation with and without graph constraint.
        localized: (K, M) bool, prediction has both classes and both boxes of the relation (graph constraint).
        correct: (K, M) bool, it also has the predicate.
    """

    ranks: np.ndarray
    localized: np.ndarray
    correct: np.ndarray


def image_hits(
    graph: SceneGraph,
    annotation: Annotation,
    *,
    depth: int,
    iou_threshold: float = 0.5,
    distinct: bool = False,
    phrases: bool = False,
) -> ImageHits:
    """Compare the top ``depth`` predictions of an image, by either ranking, with its ground truth.

    With graph constraint, the ranking is that of the graph's relations, which are sorted best first. For
    ``distinct`` see `rank_without_graph_constraint`. With ``phrases``, boxes are compared as in phrase
    detection.
    """
    true_predicates = annotation.relations[:, 2]
    localized = relation_matcher(graph, annotation, iou_threshold=iou_threshold, phrases=phrases)
    constrained = localized(graph.pairs[:depth])
    correct = constrained & (graph.predicates[:depth, None] == true_predicates)
    pairs, predicates = rank_without_graph_constraint(
        graph.scores, graph.pairs, graph.predicate_probs, depth, distinct=distinct
    )
    unconstrained = localized(pairs) & (predicates[:, None] == true_predicates)
    return ImageHits(np.stack((first_hits(correct), first_hits(unconstrained))), constrained, correct)


def relation_matcher(
    graph: SceneGraph, annotation: Annotation, *, iou_threshold: float = 0.5, phrases: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pairs (K, 2) of entities to whether they have the classes and boxes of the relations.

    It returns (K, M) bool. Both boxes are compared, or with ``phrases`` their unions.
    """
    true_pairs = annotation.relations[:, :2]
    if not phrases:
        subjects, objects = true_pairs.T
        matches = match_entities(
            graph.boxes, graph.labels, annotation.boxes, annotation.labels, iou_threshold=iou_threshold
        )
        return lambda pairs: matches[pairs[:, :1], subjects] & matches[pairs[:, 1:], objects]
    true_labels, true_boxes = annotation.labels[true_pairs], union_boxes(annotation.boxes, true_pairs)

    def match(pairs: np.ndarray) -> np.ndarray:
        same = (graph.labels[pairs][:, None] == true_labels).all(axis=-1)
        return same & (box_iou(union_boxes(graph.boxes, pairs), true_boxes) >= iou_threshold)

    return match


def union_boxes(boxes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The smallest boxes (K, 4) around both boxes of pairs (K, 2), from boxes (E, 4) xyxy."""
    first, second = boxes[pairs[:, 0]], boxes[pairs[:, 1]]
    return np.hstack((np.minimum(first, second)[:, :2], np.maximum(first, second)[:, 2:]))


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU (E, N) in float64 of boxes (E, 4) and (N, 4), xyxy."""
    tensors = (torch.from_numpy(array.astype(np.float64)) for array in (boxes, others))
    return pairwise_iou(*tensors).numpy()


def match_entities(
    boxes: np.ndarray,
    labels: np.ndarray,
    target_boxes: np.ndarray,
    target_labels: np.ndarray,
    *,
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Which predicted entities, (E, 4) xyxy and (E,), match which ground-truth boxes, (N, 4) and (N,).

    (E, N) bool: same class, and IoU not below the threshold.
    """
    return (box_iou(boxes, target_boxes) >= iou_threshold) & (labels[:, None] == target_labels)


def first_hits(hits: np.ndarray) -> np.ndarray:
    """The rank (M,) from 0 at which each relation is first hit, from hits (K, M); `MISSED` without a hit."""
    if not len(hits):
        return np.full(hits.shape[1], MISSED)
    return np.where(hits.any(axis=0), hits.argmax(axis=0), MISSED)


def rank_without_graph_constraint(
    entity_scores: np.ndarray,
    pairs: np.ndarray,
    predicate_probs: np.ndarray,
    limit: int,
    *,
    distinct: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The combinations of a pair and a predicate with the highest score_s * score_o * prob_r.

    The ranking without graph constraint, "ng" (Newell and Deng, NeurIPS 2017; Zellers et al., CVPR 2018).

    From scores (E,), P pairs (P, 2) of entities and their probabilities (P, R + 1), "no relation" last, to
    pairs (K, 2) and predicates (K,), best first, K = min(limit, P * R). Ties are in the order of pairs, then
    of predicates.

    Several queries may predict the same pair of entities. Its combinations then occur once per query, as in
    the published implementation; with ``distinct`` each occurs once, with its highest probability.
    """
    if distinct:
        pairs, predicate_probs = merge_pairs(pairs, predicate_probs)
    scores = entity_scores.astype(np.float64)
    products = scores[pairs[:, :1]] * scores[pairs[:, 1:]] * predicate_probs[:, :-1]
    flat = products.ravel()
    candidates = np.arange(flat.size)
    if flat.size > limit:
        # Sorting all P * R products would dominate the run time: sort only those not below the limit-th.
        candidates = np.flatnonzero(flat >= np.partition(flat, flat.size - limit)[flat.size - limit])
    order = candidates[np.argsort(-flat[candidates], kind="stable")[:limit]]
    rows, predicates = np.divmod(order, products.shape[1])
    return pairs[rows], predicates


def merge_pairs(pairs: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs (G, 2) of pairs (P, 2) as they first appear, and the maxima (G, ...) of values."""
    _, first, members = np.unique(pairs, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    largest = np.full((len(first), *values.shape[1:]), -np.inf, values.dtype)
    np.maximum.at(largest, members.reshape(-1), values)
    return pairs[first[order]], largest[order]


def hits_at(ranks: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Whether relations with ranks (..., M) are hit within the top k: (..., len(ks), M) bool."""
    return ranks[..., None, :] < np.asarray(ks)[:, None]


def harmonic_mean(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray | float:
    """Harmonic mean 2ab / (a + b), 0 where both are 0; F@K is that of R@K and mR@K."""
    total = a + b
    return 2 * a * b / (total + (total == 0))
