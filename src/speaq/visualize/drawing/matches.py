"""What ground truth and prediction have in common, for a drawing of both.

E: entities, M: relations.
"""

from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.graph.boxes import box_iou
from speaq.graph.data import GraphData
from speaq.visualize.drawing.look import EXTRA, HIT, MISS, Part

LEAST_IOU = 0.5


def matched(truth: GraphData, prediction: GraphData) -> tuple[GraphData, Part, Part]:
    """Both graphs as parts of one graph, in which what both have occurs once.

    A relation is a hit if the other graph has one with the same three labels, and an IoU of at least 0.5 of
    both boxes, as in evaluation.

    Raises:
        SpeaqError: the graphs are of different classes.
    """
    classes = [graph.predicate_probs.shape[1] - 1 for graph in (truth, prediction)]
    if classes[0] != classes[1]:
        raise SpeaqError(
            f"comparison: the ground truth is of {classes[0]} predicate classes and the prediction of "
            f"{classes[1]}; expected graphs of one vocabulary"
        )
    overlap = _overlap(truth, prediction)
    entities = _partners(overlap)
    added = np.flatnonzero(entities < 0)
    entities[added] = len(truth.boxes) + np.arange(len(added))

    hits = _hits(overlap >= LEAST_IOU, truth, prediction)
    pairs = entities[prediction.pairs].reshape(-1, 2)
    relations = np.full(len(prediction), -1)
    free = np.ones(len(truth), bool)
    for row, (pair, predicate) in enumerate(zip(pairs, prediction.predicates, strict=True)):
        same = free & (truth.pairs == pair).all(axis=1) & (truth.predicates == predicate)
        if same.any():
            relations[row] = same.argmax()
            free[relations[row]] = False
    new = np.flatnonzero(relations < 0)
    relations[new] = len(truth) + np.arange(len(new))

    union = replace(
        truth,
        boxes=np.concatenate((truth.boxes, prediction.boxes[added])),
        labels=np.concatenate((truth.labels, prediction.labels[added])),
        scores=np.concatenate((truth.scores, prediction.scores[added])),
        pairs=np.concatenate((truth.pairs, pairs[new])),
        vocabulary=truth.vocabulary or prediction.vocabulary,
        **{
            name: np.concatenate((getattr(truth, name), getattr(prediction, name)[new]))
            for name in ("predicates", "predicate_probs", "queries", "pair_scores")
        },
    )
    parts = (
        Part(
            truth,
            np.arange(len(truth.boxes)),
            np.arange(len(truth)),
            ~np.isin(np.arange(len(truth.boxes)), entities),
            tuple(HIT if hit else MISS for hit in np.any(hits, axis=1)),
        ),
        Part(
            prediction,
            entities,
            relations,
            entities >= len(truth.boxes),
            tuple(HIT if hit else EXTRA for hit in np.any(hits, axis=0)),
        ),
    )
    return union, *parts


def _overlap(a: GraphData, b: GraphData) -> np.ndarray:
    """IoU (E of a, E of b) of entities with the same label; 0 where the labels differ."""
    overlap = box_iou(a.boxes[:, None], b.boxes)
    return overlap * (a.labels[:, None] == b.labels)


def _partners(overlap: np.ndarray) -> np.ndarray:
    """For each entity of the prediction, the one of the ground truth that it is, or -1; the best first."""
    overlap, partners = overlap.copy(), np.full(overlap.shape[1], -1)
    while overlap.size and overlap.max() >= LEAST_IOU:
        mine, theirs = np.unravel_index(overlap.argmax(), overlap.shape)
        partners[theirs] = mine
        overlap[mine] = overlap[:, theirs] = 0
    return partners


def _hits(same: np.ndarray, a: GraphData, b: GraphData) -> np.ndarray:
    """(M of a, M of b) bool: same predicate, and entities that are the ``same``."""
    agree = [same[np.ix_(a.pairs[:, role], b.pairs[:, role])] for role in (0, 1)]
    return agree[0] & agree[1] & (a.predicates[:, None] == b.predicates)
