"""Whether predictions from a file have the boxes, numbers of classes and image ids that are expected.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Iterable

import numpy as np

from speaq.graph.boxes import box_iou
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

_LEAST, _SHARE = 20, 0.1


def find_doubts(pairs: Iterable[tuple[SceneGraph, Annotation]]) -> list[str]:
    """Notes on predictions that next to nothing of the ground truth agrees with.

    It is counted how many annotated boxes have a predicted one (IoU >= 0.5), how often the best of those has
    their class, and how often the best relation between two boxes of the right classes has the annotated
    predicate. There is a note if one of these is true in less than 10 % of at least 20 cases.
    """
    boxes, classes, predicates = np.zeros(2, int), np.zeros(2, int), np.zeros(2, int)
    for graph, truth in pairs:
        if not len(graph.boxes):
            continue
        close = box_iou(truth.boxes[:, None], graph.boxes) >= 0.5
        best = np.where(close, graph.scores, -1).argmax(axis=1)
        found = close.any(axis=1)
        boxes += len(truth.boxes), found.sum()
        classes += found.sum(), (graph.labels[best] == truth.labels)[found].sum()
        right = close & (truth.labels[:, None] == graph.labels)
        ends = (right[truth.relations[:, side]][:, graph.pairs[:, side]] for side in (0, 1))
        related = np.logical_and(*ends)  # (annotated relations, predicted relations)
        if related.size:
            best = np.where(related, graph.triplet_scores, -1).argmax(axis=1)
            found = related.any(axis=1)
            predicates += found.sum(), (graph.predicates[best] == truth.relations[:, 2])[found].sum()
    checks = (
        (boxes, "annotated boxes have a predicted box near them", "the format of the boxes, and image ids"),
        (classes, "boxes near annotated ones have their class", "the numbers of the object classes"),
        (predicates, "relations of the right boxes have the annotated predicate", "the predicate numbers"),
    )
    for (number, agreeing), what, advice in checks:
        if number >= _LEAST and agreeing < _SHARE * number:
            return [f"only {agreeing} of {number} {what}; check {advice}"]
    return []
