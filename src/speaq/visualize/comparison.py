"""Ground truth and prediction aligned for a drawing of both.

Shape letters: see `speaq.structures`; E1, E2 and M1, M2 are those of the two graphs.
"""

from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.graph.boxes import box_iou
from speaq.graph.data import GraphData
from speaq.visualize.style import EXTRA, HIT, MISS, Part

IOU_THRESHOLD = 0.5


def align(truth: GraphData, prediction: GraphData) -> tuple[GraphData, Part, Part]:
    """The union of both graphs, in which entities and relations of both occur once, and each graph as a part
    of it.

    A relation is a hit if the other graph has one with the same three labels, and an IoU of at least 0.5 of
    both boxes, as in evaluation.

    Raises:
        SpeaqError: the graphs have different numbers of predicate classes.
    """
    classes = [graph.predicate_probs.shape[1] - 1 for graph in (truth, prediction)]
    if classes[0] != classes[1]:
        raise SpeaqError(
            f"comparison: the ground truth has {classes[0]} predicate classes and the prediction "
            f"{classes[1]}; expected graphs of one vocabulary"
        )
    iou = box_iou(truth.boxes[:, None], prediction.boxes)
    iou *= truth.labels[:, None] == prediction.labels
    entities = _match_entities(iou)
    added = np.flatnonzero(entities < 0)
    entities[added] = len(truth.boxes) + np.arange(len(added))
    pairs = entities[prediction.pairs].reshape(-1, 2)
    relations = _match_relations(truth, pairs, prediction.predicates)
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
    hits = _hits(iou >= IOU_THRESHOLD, truth, prediction)
    left = replace(
        Part.whole(truth),
        unmatched=~np.isin(np.arange(len(truth.boxes)), entities),
        marks=tuple(HIT if hit else MISS for hit in np.any(hits, axis=1)),
    )
    marks = tuple(HIT if hit else EXTRA for hit in np.any(hits, axis=0))
    return union, left, Part(prediction, entities, relations, entities >= len(truth.boxes), marks)


def _match_entities(iou: np.ndarray) -> np.ndarray:
    """(E2,) the true entity matched to each predicted one by falling IoU (E1, E2), or -1."""
    iou, matches = iou.copy(), np.full(iou.shape[1], -1)
    while iou.size and iou.max() >= IOU_THRESHOLD:
        true, predicted = np.unravel_index(iou.argmax(), iou.shape)
        matches[predicted] = true
        iou[true] = iou[:, predicted] = 0
    return matches


def _match_relations(truth: GraphData, pairs: np.ndarray, predicates: np.ndarray) -> np.ndarray:
    """(M2,) the true relation of the same entities and predicate, each used once, or -1."""
    matches = np.full(len(pairs), -1)
    free = np.ones(len(truth), bool)
    for row, (pair, predicate) in enumerate(zip(pairs, predicates, strict=True)):
        same = free & (truth.pairs == pair).all(axis=1) & (truth.predicates == predicate)
        if same.any():
            matches[row] = same.argmax()
            free[matches[row]] = False
    return matches


def _hits(same: np.ndarray, a: GraphData, b: GraphData) -> np.ndarray:
    """(M1, M2) bool: same predicate, and subject and object are the ``same`` (E1, E2)."""
    subjects, objects = (same[np.ix_(a.pairs[:, role], b.pairs[:, role])] for role in (0, 1))
    return subjects & objects & (a.predicates[:, None] == b.predicates)
