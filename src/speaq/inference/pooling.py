"""Which predictions of an image are the same thing, and which are said twice; NumPy alone, without torch.

The entity predictions of all queries are pooled and merged by class-wise non-maximum suppression; what is
left are the entities, and every relation is told which two of them it is about.

Q: entity queries, P = m * Q: predicate queries, R: predicate classes, K: predicates kept per query
(TEST.NUM_REL), N: boxes in the pool, E: entities, M: relations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speaq.graph.boxes import box_iou
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary


@dataclass(kw_only=True, eq=False)
class GraphBuilder:
    """Turns what the queries say of one image into its scene graph.

    Attributes:
        nms_threshold: boxes of one class with a larger IoU are one entity (MODEL.ROI_HEADS.NMS_THRESH_TEST).
        pnms: suppress whole triplets instead of pooling boxes (TEST.PNMS).
        pnms_threshold: the product of both IoUs above which it does (TEST.RELATION.PNMS_THRESHOLD).
        clip_boxes: cut boxes at the border of the image; the published algorithm does not.
        drop_self_relations: leave out relations of an entity with itself; the published algorithm does not.
        vocabulary: class names for the graphs.
    """

    nms_threshold: float = 0.5
    pnms: bool = False
    pnms_threshold: float = 0.7
    clip_boxes: bool = False
    drop_self_relations: bool = False
    vocabulary: Vocabulary | None = None

    def build(
        self,
        scores: np.ndarray,
        labels: np.ndarray,
        boxes: np.ndarray,
        probs: np.ndarray,
        predicates: np.ndarray,
        image_size: Sequence[int],
    ) -> SceneGraph:
        """The scene graph of one image.

        Args:
            scores: (2, Q) of subjects and objects.
            labels: (2, Q).
            boxes: (2, Q, 4) xyxy in 0..1 of the image.
            probs: (P, R + 1).
            predicates: (P, K) the best predicates of each query, best first.
            image_size: height and width in pixels.
        """
        height, width = image_size
        multiplier = len(probs) // scores.shape[1]
        corner = np.array((width, height, width, height), np.float32)
        boxes = boxes * corner
        if self.clip_boxes:
            boxes = boxes.clip(0, corner)
        boxes, labels, pool_scores, place = _pool(boxes, labels, scores, multiplier)

        # A candidate is a predicate query with one of its K predicates; the best come first.
        predicate = predicates.ravel()
        query = np.repeat(np.arange(len(probs)), predicates.shape[1])
        pair_scores = scores[:, query // multiplier].T
        triplet_scores = pair_scores[:, 0] * pair_scores[:, 1] * probs[query, predicate]
        order = np.argsort(-triplet_scores, kind="stable")
        pairs = place[:, query].T

        if self.pnms:
            triplets = np.column_stack((labels[pairs], predicate))[order]
            order = order[keep_triplets(boxes[pairs[order]], triplets, self.pnms_threshold)]
            kept = np.unique(pairs[order])
            kept = kept[np.argsort(-pool_scores[kept], kind="stable")]
            owner = np.zeros(len(boxes), np.int64)
            owner[kept] = np.arange(len(kept))
        else:
            kept, owner = merge_boxes(boxes, labels, pool_scores, self.nms_threshold)
        pairs = owner[pairs]

        if self.drop_self_relations:
            order = order[pairs[order, 0] != pairs[order, 1]]
        said = np.column_stack((pairs, predicate))[order]
        _, first = np.unique(said, axis=0, return_index=True)
        order = order[np.sort(first)]
        return SceneGraph(
            boxes=boxes[kept],
            labels=labels[kept],
            scores=pool_scores[kept],
            pairs=pairs[order],
            predicates=predicate[order],
            predicate_probs=probs[query[order]],
            image_size=(height, width),
            queries=order,
            pair_scores=pair_scores[order],
            vocabulary=self.vocabulary,
        )


def _pool(
    boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, multiplier: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Subject and object predictions in one list, subjects first.

    The published algorithm pools m copies of every prediction, one per predicate query. Copies of a box merge
    into one anyway, so one is enough; but a box without area overlaps nothing, not even its copies, and all m
    of them count.

    Args:
        boxes: (2, Q, 4) xyxy of subjects and objects.
        labels: (2, Q).
        scores: (2, Q).
        multiplier: m.

    Returns:
        boxes (N, 4), labels (N,), scores (N,) and the place (2, P) in this list of the subject and the object
        of each predicate query.
    """
    entities = scores.shape[1]
    sides = boxes[..., 2:] - boxes[..., :2]
    flat = (sides.prod(axis=-1) <= 0).ravel()
    copies = np.where(flat, multiplier, 1)
    query = np.arange(multiplier * entities)
    prediction = query // multiplier + np.array([[0], [entities]])
    place = (np.cumsum(copies) - copies)[prediction] + query % multiplier * flat[prediction]
    return (
        np.repeat(boxes.reshape(-1, 4), copies, axis=0),
        np.repeat(labels.ravel(), copies),
        np.repeat(scores.ravel(), copies),
        place,
    )


def merge_boxes(
    boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Class-wise greedy non-maximum suppression that also says what became of every box.

    Args:
        boxes: (N, 4) xyxy.
        labels: (N,).
        scores: (N,).
        threshold: a box goes where its IoU with a better kept box of its class is larger.

    Returns:
        kept: (E,) indices of the boxes that stay, by descending score.
        owner: (N,) which of ``kept`` each box belongs to: of its class the one with the highest IoU, and a
            kept box to itself.
    """
    order = np.argsort(-scores, kind="stable")
    better, worse = same_key_pairs(labels[order])
    overlap = box_iou(boxes[order[better]], boxes[order[worse]])
    close = overlap > threshold
    better, worse, overlap = better[close], worse[close], overlap[close]
    keep = greedy_keep(better, worse, len(order))

    # A box that goes has a kept one closer than the threshold, so only close pairs can decide who owns it.
    itself = np.flatnonzero(keep)
    owner = np.concatenate((better, worse))
    owned = np.concatenate((worse, better))
    overlap = np.concatenate((overlap, overlap))
    able = keep[owner] & ~keep[owned]
    owner = np.concatenate((owner[able], itself))
    owned = np.concatenate((owned[able], itself))
    overlap = np.concatenate((overlap[able], np.ones(len(itself))))
    closest = np.lexsort((owner, -overlap, owned))
    _, first = np.unique(owned[closest], return_index=True)
    entity = np.cumsum(keep) - 1
    owner_of = np.empty_like(order)
    owner_of[order] = entity[owner[closest[first]]]
    return order[keep], owner_of


def keep_triplets(boxes: np.ndarray, triplets: np.ndarray, threshold: float) -> np.ndarray:
    """Greedy suppression among triplets with the same three labels, given best first.

    Args:
        boxes: (M, 2, 4) xyxy of subject and object.
        triplets: (M, 3) labels.
        threshold: a triplet goes where the product of its subject's and its object's IoU with those of a
            better kept triplet is larger.

    Returns:
        (M,) bool, True where the triplet stays.
    """
    _, keys = np.unique(triplets, axis=0, return_inverse=True)
    better, worse = same_key_pairs(keys.reshape(-1))
    close = box_iou(boxes[better], boxes[worse]).prod(axis=1) > threshold
    return greedy_keep(better[close], worse[close], len(boxes))


def same_key_pairs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of positions i < j of (N,) ``keys`` with equal keys: the i and the j of each."""
    order = np.argsort(keys, kind="stable")
    _, counts = np.unique(keys, return_counts=True)
    position = np.arange(len(keys))
    partners = np.repeat(np.cumsum(counts), counts) - position - 1  # of the same key, further on
    earlier = np.repeat(position, partners)
    first_pair = np.repeat(np.cumsum(partners) - partners, partners)
    later = earlier + 1 + np.arange(len(earlier)) - first_pair
    return order[earlier], order[later]


def greedy_keep(better: np.ndarray, worse: np.ndarray, count: int) -> np.ndarray:
    """Which of ``count`` items, best first, stay when each kept ``better`` one suppresses its ``worse``.

    Starts from "all stay" and lets those that stay suppress, until nothing changes. After t rounds the first
    t items are right, because only better ones decide about an item; a few rounds are enough in practice.

    Args:
        better: (pairs,) position of the item that suppresses.
        worse: (pairs,) position of the item that it suppresses, further on.
        count: number of items.

    Returns:
        (count,) bool, True where the item stays.
    """
    keep = np.ones(count, bool)
    while True:
        stays = np.ones(count, bool)
        stays[worse[keep[better]]] = False
        if np.array_equal(stays, keep):
            return keep
        keep = stays
