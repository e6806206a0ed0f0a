"""Ground truth and prediction aligned for a drawing of both.

Shape letters: see `speaq.structures`; E1, E2 and M1, M2 are those of the two graphs.
"""

from dataclasses import replace

import numpy as np

from speaq.errors import SpeaqError
from speaq.graph.boxes import box_iou
from speaq.graph.data import RELATION_ARRAYS, GraphData
from speaq.visualize.style import EXTRA, HIT, MISS, Mark, StyledGraph, has_scores, style_graph

IOU_THRESHOLD = 0.5


def align(truth: GraphData, prediction: GraphData) -> tuple[StyledGraph, StyledGraph, StyledGraph]:
    """The union of both graphs, in which common entities and relations occur once, and each graph as a part
    of it, with its own boxes, scores and marks.

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
    added = entities < 0
    entities[added] = len(truth.boxes) + np.arange(added.sum())
    pairs = entities[prediction.pairs].reshape(-1, 2)
    relations = _match_relations(truth, pairs, prediction.predicates)
    new = relations < 0
    relations[new] = len(truth) + np.arange(new.sum())

    def joined(name: str, rows: np.ndarray) -> np.ndarray:
        return np.concatenate((getattr(truth, name), getattr(prediction, name)[rows]))

    union = style_graph(
        replace(
            truth,
            pairs=np.concatenate((truth.pairs, pairs[new])),
            vocabulary=truth.vocabulary or prediction.vocabulary,
            **{name: joined(name, added) for name in ("boxes", "labels", "scores")},
            **{name: joined(name, new) for name in RELATION_ARRAYS},
        )
    )
    union = replace(union, edges=[replace(edge, mark=HIT) for edge in union.edges])  # room for its sign
    hits = _hits(iou >= IOU_THRESHOLD, truth, prediction)
    own = np.arange(len(truth.boxes))
    left = _part(
        union, truth, own, np.arange(len(truth)), ~np.isin(own, entities), np.any(hits, axis=1), MISS
    )
    return union, left, _part(union, prediction, entities, relations, added, np.any(hits, axis=0), EXTRA)


def _part(
    union: StyledGraph,
    graph: GraphData,
    entities: np.ndarray,
    relations: np.ndarray,
    unmatched: np.ndarray,
    hits: np.ndarray,
    other: Mark,
) -> StyledGraph:
    """A graph whose entities and relations have these indices in the union."""
    columns = entities, graph.boxes, graph.scores, unmatched
    nodes = [
        replace(union.nodes[index], box=tuple(box), score=score, dashed=dashed)
        for index, box, score, dashed in zip(*(column.tolist() for column in columns), strict=True)
    ]
    edges = []
    columns = relations, graph.pairs, graph.triplet_scores, hits
    for index, (s, o), score, hit in zip(*(column.tolist() for column in columns), strict=True):
        mark = HIT if hit else other
        edges.append(replace(union.edges[index], subject=nodes[s], object=nodes[o], score=score, mark=mark))
    return StyledGraph(nodes, edges, graph.image_size, has_scores(graph))


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
    for row, (pair, predicate) in enumerate(zip(pairs, predicates, strict=True)):
        same = np.flatnonzero((truth.pairs == pair).all(axis=1) & (truth.predicates == predicate))
        matches[row] = next((match for match in same if match not in matches), -1)
    return matches


def _hits(same: np.ndarray, a: GraphData, b: GraphData) -> np.ndarray:
    """(M1, M2) bool: same predicate, and subject and object are the ``same`` (E1, E2)."""
    subjects, objects = (same[np.ix_(a.pairs[:, role], b.pairs[:, role])] for role in (0, 1))
    return subjects & objects & (a.predicates[:, None] == b.predicates)
