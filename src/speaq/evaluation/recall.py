"""Recall of scene graphs: which ground-truth relations the top k predictions of an image hit.

A prediction hits a ground-truth relation when subject class, object class and predicate agree and both boxes
overlap their ground-truth boxes with an IoU of at least the threshold (0.5). Boxes are continuous, in pixels
of the original image, and the IoU is computed in float64, so that an IoU of exactly 0.5 counts. One
prediction may hit several relations: duplicates in the ground truth count separately.

Two rankings of predictions are evaluated:

- *with graph constraint*: the relations of the graph, one predicate each, in the order of the graph;
- *without graph constraint* ("ng"): every pair is combined with each of the R predicates, and the candidates
  are ranked by score_s * score_o * prob_r (Newell and Deng, NeurIPS 2017; Zellers et al., CVPR 2018), where
  the scores of subject and object are those of the entities.

The same formulas serve sgdet (the model detects boxes and classes), sgcls (ground-truth boxes are given) and
predcls (ground-truth boxes and classes are given); only the contents of the graph differ.

Shape letters: see `speaq.structures`. K is the number of ranked predictions here.
"""

import math
from collections.abc import Sequence
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


def match_entities(
    boxes: np.ndarray,
    labels: np.ndarray,
    target_boxes: np.ndarray,
    target_labels: np.ndarray,
    *,
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Which predicted entities match which ground-truth boxes.

    Args:
        boxes: (E, 4), xyxy.
        labels: (E,) object classes.
        target_boxes: (N, 4), xyxy.
        target_labels: (N,) object classes.
        iou_threshold: minimum IoU.

    Returns:
        (E, N) bool: same class, and IoU not below the threshold.

    Examples:
        >>> box = np.array([[0, 0, 10, 10]])
        >>> match_entities(box, np.array([3]), np.array([[0, 0, 10, 5], [0, 0, 10, 4]]), np.array([3, 3]))
        array([[ True, False]])
    """
    iou = pairwise_iou(
        torch.from_numpy(boxes.astype(np.float64)), torch.from_numpy(target_boxes.astype(np.float64))
    )
    return (iou.numpy() >= iou_threshold) & (labels[:, None] == target_labels)


def localized_relations(matches: np.ndarray, pairs: np.ndarray, relations: np.ndarray) -> np.ndarray:
    """Which predicted pairs match the subject and the object of which ground-truth relations.

    Args:
        matches: (E, N) bool, from `match_entities`.
        pairs: (K, 2) subject and object entity of each prediction.
        relations: (M, 3) ground truth (subject box, object box, predicate).

    Returns:
        (K, M) bool.
    """
    return matches[pairs[:, :1], relations[:, 0]] & matches[pairs[:, 1:], relations[:, 1]]


def first_hits(hits: np.ndarray) -> np.ndarray:
    """The rank at which each relation is first hit; it is hit within the top k if its rank is below k.

    Args:
        hits: (K, M) bool, whether a prediction hits a relation, best prediction first.

    Returns:
        (M,) int64 ranks from 0, `MISSED` where no prediction hits.

    Examples:
        >>> first_hits(np.array([[False, False], [True, False], [True, False]])).tolist() == [1, MISSED]
        True
    """
    if not len(hits):
        return np.full(hits.shape[1], MISSED)
    return np.where(hits.any(axis=0), hits.argmax(axis=0), MISSED)


def rank_without_graph_constraint(
    entity_scores: np.ndarray, pairs: np.ndarray, predicate_probs: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """The highest-scoring (pair, predicate) combinations over all pairs and predicates.

    Args:
        entity_scores: (E,).
        pairs: (P, 2) subject and object entity.
        predicate_probs: (P, R + 1), "no relation" last.
        limit: maximum number of combinations.

    Returns:
        pairs (K, 2) and predicates (K,), best first, K = min(limit, P * R); ties are ordered by pair, then by
        predicate.

    Examples:
        >>> pairs, probs = np.array([[0, 1], [1, 0]]), np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
        >>> pairs, predicates = rank_without_graph_constraint(np.ones(2), pairs, probs, 3)
        >>> pairs.tolist(), predicates.tolist()
        ([[0, 1], [1, 0], [0, 1]], [0, 1, 1])
    """
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


def image_hits(
    graph: SceneGraph, annotation: Annotation, *, depth: int, iou_threshold: float = 0.5
) -> ImageHits:
    """Compare the top ``depth`` predictions of an image, by either ranking, with its ground truth.

    Args:
        graph: the prediction, relations sorted best first.
        annotation: the ground truth of the same image.
        depth: number of predictions that count, the largest k of interest.
        iou_threshold: minimum IoU of a predicted box with its ground-truth box.
    """
    relations = annotation.relations
    matches = match_entities(
        graph.boxes, graph.labels, annotation.boxes, annotation.labels, iou_threshold=iou_threshold
    )
    localized = localized_relations(matches, graph.pairs[:depth], relations)
    correct = localized & (graph.predicates[:depth, None] == relations[:, 2])
    pairs, predicates = rank_without_graph_constraint(graph.scores, graph.pairs, graph.predicate_probs, depth)
    unconstrained = localized_relations(matches, pairs, relations) & (predicates[:, None] == relations[:, 2])
    return ImageHits(np.stack((first_hits(correct), first_hits(unconstrained))), localized, correct)


def hits_at(ranks: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Whether each relation is hit within the top k; its mean over relations is the image's recall at k.

    Args:
        ranks: (..., M) ranks from 0.
        ks: the depths.

    Returns:
        (..., len(ks), M) bool.

    Examples:
        >>> hits_at(np.array([0, 4, MISSED]), ks=(1, 5)).mean(axis=-1).round(2)
        array([0.33, 0.67])
    """
    return ranks[..., None, :] < np.asarray(ks)[:, None]


def mean_by_group(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the values of each group; of the hits of an image by predicate it is the predicates' recall.

    Args:
        values: (..., M).
        groups: (M,) non-negative integers.

    Returns:
        The groups that occur, ascending, (G,) int64, and their means (..., G) float64.

    Examples:
        >>> mean_by_group(np.array([True, False, True]), np.array([7, 7, 2]))
        (array([2, 7]), array([1. , 0.5]))
    """
    present, members, counts = np.unique(groups, return_inverse=True, return_counts=True)
    rows = values.reshape(math.prod(values.shape[:-1]), len(groups))
    sums = [np.bincount(members, weights=row, minlength=len(present)) for row in rows]
    return present, np.reshape(sums, (*values.shape[:-1], len(present))) / counts


def harmonic_mean(a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray | float:
    """Harmonic mean 2ab / (a + b), 0 where both are 0; F@K is that of R@K and mR@K.

    Examples:
        >>> harmonic_mean(0.5, 0.5), harmonic_mean(0.0, 0.0)
        (0.5, 0.0)
    """
    total = a + b
    return 2 * a * b / (total + (total == 0))


def long_tail_groups(predicate_counts: np.ndarray) -> dict[str, np.ndarray]:
    """Split the predicates into head, body and tail by their frequency in the training set.

    The split is by rank, so that it works for any vocabulary: the most frequent floor(R / 3) predicates are
    the head, the next floor of half the rest the body, the others the tail; ties are ordered by index. For
    the 50 predicates of Visual Genome the sizes are the usual 16, 17 and 17.

    Args:
        predicate_counts: (R,) training relations per predicate.

    Returns:
        Predicate indices of "head", "body" and "tail", most frequent first; a group may be empty if R < 3.

    Examples:
        >>> {name: group.tolist() for name, group in long_tail_groups(np.array([5, 90, 20])).items()}
        {'head': [1], 'body': [2], 'tail': [0]}
    """
    order = np.argsort(-np.asarray(predicate_counts), kind="stable")
    head = len(order) // 3
    body = head + (len(order) - head) // 2
    return {"head": order[:head], "body": order[head:body], "tail": order[body:]}
