"""Which true relations the best predictions of a scene graph hit, and how recall is averaged.

A prediction hits a true relation when subject class, object class and predicate agree and both boxes
overlap their true boxes with an IoU of at least the threshold (0.5). Boxes are continuous, in pixels of the
original image, and the IoU is taken in float64, so that an IoU of exactly one half counts. One prediction
may hit several relations: duplicates in the ground truth count separately.

Two lists of predictions are judged:

- *with graph constraint*: the relations of the graph, best first, as they are;
- *without* ("ng"): every relation offers its pair with each of the R predicates, and the best
  (pair, predicate) by score_s * score_o * prob_r make the list (Newell and Deng, NeurIPS 2017;
  Zellers et al., CVPR 2018). The scores of subject and object are those of the entities.

The same formula serves the three tasks of the field: in sgdet the model finds boxes and classes, in sgcls it
is given the true boxes, in predcls the true boxes and classes. Only what the graph holds differs.

E: predicted entities, N: true boxes, K: predictions in a list, M: true relations, R: predicate classes.
"""

from collections.abc import Sequence

import numpy as np
import torch

from speaq.boxes import pairwise_iou
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

MISSED = np.iinfo(np.int64).max
"""The rank of a relation that no prediction of the list hits."""


def match_entities(
    boxes: np.ndarray,
    labels: np.ndarray,
    true_boxes: np.ndarray,
    true_labels: np.ndarray,
    *,
    iou_threshold: float = 0.5,
) -> np.ndarray:
    """Which predicted entity may stand for which true box.

    Args:
        boxes: (E, 4), xyxy.
        labels: (E,) object classes.
        true_boxes: (N, 4), xyxy.
        true_labels: (N,) object classes.
        iou_threshold: the least IoU.

    Returns:
        (E, N) bool: same class, and IoU not below the threshold.
    """
    iou = pairwise_iou(
        torch.from_numpy(boxes.astype(np.float64)), torch.from_numpy(true_boxes.astype(np.float64))
    )
    return (iou.numpy() >= iou_threshold) & (labels[:, None] == true_labels)


def first_hits(
    matches: np.ndarray, pairs: np.ndarray, predicates: np.ndarray, relations: np.ndarray
) -> np.ndarray:
    """The rank at which each true relation is first hit. It is hit within the top k if its rank is below k.

    Args:
        matches: (E, N) bool, from ``match_entities``.
        pairs: (K, 2) subject and object entity of the predictions, best first.
        predicates: (K,) their predicates.
        relations: (M, 3) true relations (subject box, object box, predicate).

    Returns:
        (M,) int64 ranks from 0, ``MISSED`` where no prediction hits.
    """
    if not len(pairs):
        return np.full(len(relations), MISSED)
    subjects = matches[pairs[:, :1], relations[:, 0]]
    objects = matches[pairs[:, 1:], relations[:, 1]]
    hits = subjects & objects & (predicates[:, None] == relations[:, 2])
    return np.where(hits.any(axis=0), hits.argmax(axis=0), MISSED)


def best_without_graph_constraint(
    entity_scores: np.ndarray, pairs: np.ndarray, predicate_probs: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best (pair, predicate) over all pairs and all predicates.

    Args:
        entity_scores: (E,).
        pairs: (K, 2) subject and object entity.
        predicate_probs: (K, R + 1), "no relation" last.
        limit: how many to return.

    Returns:
        pairs (L, 2) and predicates (L,), best first, L = min(limit, K * R); of equal scores the earlier pair
        and then the lower predicate comes first.
    """
    scores = entity_scores.astype(np.float64)
    products = scores[pairs[:, :1]] * scores[pairs[:, 1:]] * predicate_probs[:, :-1]
    flat = products.ravel()
    candidates = np.arange(flat.size)
    if flat.size > limit:
        # Sorting all K * R products would cost more than everything else: sort only those not below the
        # last one that can be among the best.
        candidates = np.flatnonzero(flat >= np.partition(flat, flat.size - limit)[flat.size - limit])
    order = candidates[np.argsort(-flat[candidates], kind="stable")[:limit]]
    rows, predicates = np.divmod(order, products.shape[1])
    return pairs[rows], predicates


def image_ranks(
    graph: SceneGraph, annotation: Annotation, *, depth: int, iou_threshold: float = 0.5
) -> np.ndarray:
    """The ranks of an image's true relations in the graph's two lists of predictions.

    Args:
        graph: the prediction, relations sorted best first.
        annotation: the ground truth of the same image.
        depth: how many predictions of each list count, the largest k of interest.
        iou_threshold: the least IoU of a box with its true box.

    Returns:
        (2, M) int64 ranks as ``first_hits`` gives them: with graph constraint, and without.
    """
    matches = match_entities(
        graph.boxes, graph.labels, annotation.boxes, annotation.labels, iou_threshold=iou_threshold
    )
    unconstrained = best_without_graph_constraint(graph.scores, graph.pairs, graph.predicate_probs, depth)
    return np.stack(
        (
            first_hits(matches, graph.pairs[:depth], graph.predicates[:depth], annotation.relations),
            first_hits(matches, *unconstrained, annotation.relations),
        )
    )


def recall_at(ranks: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """The share of relations hit within the top k.

    Args:
        ranks: (..., M) ranks from 0, M at least 1.
        ks: the depths.

    Returns:
        (..., len(ks)) float64.
    """
    return (ranks[..., None, :] < np.asarray(ks)[:, None]).mean(axis=-1)


def recall_by_predicate(
    ranks: np.ndarray, predicates: np.ndarray, ks: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The same share, of the relations of each predicate alone.

    Args:
        ranks: (..., M) ranks from 0.
        predicates: (M,) predicates of the relations.
        ks: the depths.

    Returns:
        The U predicates that occur, ascending, and their recalls (..., U, len(ks)) float64.
    """
    present, members, counts = np.unique(predicates, return_inverse=True, return_counts=True)
    hits = (ranks[..., None, :] < np.asarray(ks)[:, None]) @ np.eye(len(present))[members]
    return present, (hits / counts).swapaxes(-1, -2)


def harmonic_mean(a: float, b: float) -> float:
    """F = 2ab / (a + b), and 0 where both are 0; of R@K and mR@K it is F@K."""
    return 0.0 if a + b == 0 else 2 * a * b / (a + b)


def long_tail_groups(predicate_counts: np.ndarray) -> dict[str, np.ndarray]:
    """Split the predicates into head, body and tail by how often they occur in the training set.

    The rule is by rank, so that it holds for any vocabulary: the most frequent floor(R / 3) predicates are
    the head, the next floor of half the rest the body, the others the tail (ties by index). For the 50
    predicates of Visual Genome that is the split 16, 17, 17 which is usual there.

    Args:
        predicate_counts: (R,) training relations per predicate.

    Returns:
        Predicate indices of "head", "body" and "tail", most frequent first; a group may be empty if R < 3.
    """
    order = np.argsort(-np.asarray(predicate_counts), kind="stable")
    head = len(order) // 3
    body = head + (len(order) - head) // 2
    return {"head": order[:head], "body": order[head:body], "tail": order[body:]}
