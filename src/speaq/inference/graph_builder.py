"""From the predictions of one image to its scene graph, in NumPy and without torch.

The subject and object boxes of all queries are pooled and merged by class-wise NMS. The kept boxes are the
entities of the graph. If boxes are given, they are the entities: see `speaq.inference.given_boxes`.

Shape letters: see `speaq.structures`; K: predicates kept per query (TEST.NUM_REL).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from speaq.inference.given_boxes import GivenBoxes, relate
from speaq.inference.nms import classwise_nms, triplet_nms
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary


class Reduced(NamedTuple):
    """The part of a network output that scene graphs are built from, as tensors or arrays.

    The axis of size 2 is subject, object.

    Attributes:
        scores: (B, 2, Q), probability of the best object class.
        labels: (B, 2, Q) int64, that class.
        boxes: (B, 2, Q, 4), xyxy relative to the image size.
        predicate_probs: (B, P, R + 1); the last column is "no relation".
        predicates: (B, P, K) int64, the best predicates of each query, best first.
        object_probs: (B, 2, Q, C), probabilities of the object classes, for given boxes; may be None without.
    """

    scores: Any
    labels: Any
    boxes: Any
    predicate_probs: Any
    predicates: Any
    object_probs: Any = None


@dataclass(kw_only=True, eq=False)
class GraphBuilder:
    """Merges the predicted boxes of an image into entities and builds its scene graph.

    Attributes:
        nms_threshold: IoU threshold of the class-wise NMS (MODEL.ROI_HEADS.NMS_THRESH_TEST).
        pnms: apply NMS to triplets instead of boxes (TEST.PNMS).
        pnms_threshold: threshold of the product of subject and object IoU (TEST.RELATION.PNMS_THRESHOLD).
        clip_boxes: clip boxes to the image; the published algorithm does not.
        drop_self_relations: drop relations of an entity with itself; the published algorithm does not.
        vocabulary: class names for the graphs.
    """

    nms_threshold: float = 0.5
    pnms: bool = False
    pnms_threshold: float = 0.7
    clip_boxes: bool = False
    drop_self_relations: bool = False
    vocabulary: Vocabulary | None = None

    def build(
        self, output: Reduced, sizes: Sequence[Sequence[int]], given: Sequence[GivenBoxes] | None = None
    ) -> list[SceneGraph]:
        """The scene graphs of the B images; ``sizes`` are their original heights and widths in pixels.

        ``given`` are the boxes of each image, if the entities of the graphs are to be given boxes. NMS and
        the other settings are then not used, and no entity has a relation with itself.
        """
        if given is None:
            images = [Reduced(*image) for image in zip(*output[:5], strict=True)]
            return [self._build(image, size) for image, size in zip(images, sizes, strict=True)]
        images = [Reduced(*image) for image in zip(*output, strict=True)]
        return [
            relate(boxes, image, size, self.vocabulary)
            for boxes, image, size in zip(given, images, sizes, strict=True)
        ]

    def _build(self, image: Reduced, size: Sequence[int]) -> SceneGraph:
        scores, labels, boxes, predicate_probs, predicates, _ = image
        height, width = size
        scale = np.array((width, height, width, height), np.float32)
        boxes = boxes * scale
        if self.clip_boxes:
            boxes = boxes.clip(0, scale)

        # A candidate relation is a predicate query with one of its K predicates.
        predicate = predicates.ravel()
        query = np.repeat(np.arange(len(predicates)), predicates.shape[1])
        multiplier = len(predicates) // scores.shape[1]
        pair_scores = scores[:, query // multiplier].T
        triplet_scores = pair_scores[:, 0] * pair_scores[:, 1] * predicate_probs[query, predicate]
        order = np.argsort(-triplet_scores, kind="stable")
        boxes, labels, box_scores, box_of_query = _pool(boxes, labels, scores, multiplier)
        pairs = box_of_query[:, query].T
        if self.pnms:
            triplets = np.column_stack((labels[pairs], predicate))[order]
            order = order[triplet_nms(boxes[pairs[order]], triplets, self.pnms_threshold)]
            keep = np.unique(pairs[order])
            keep = keep[np.argsort(-box_scores[keep], kind="stable")]
            assignment = np.zeros(len(boxes), np.int64)
            assignment[keep] = np.arange(len(keep))
        else:
            keep, assignment = classwise_nms(boxes, labels, box_scores, self.nms_threshold)

        pairs = assignment[pairs]
        if self.drop_self_relations:
            order = order[pairs[order, 0] != pairs[order, 1]]
        relations = np.column_stack((pairs, predicate))[order]
        _, first = np.unique(relations, axis=0, return_index=True)  # the best one of equal relations
        order = order[np.sort(first)]
        return SceneGraph(
            boxes=boxes[keep],
            labels=labels[keep],
            scores=box_scores[keep],
            pairs=pairs[order],
            predicates=predicate[order],
            predicate_probs=predicate_probs[query[order]],
            image_size=(height, width),
            queries=order,
            pair_scores=pair_scores[order],
            vocabulary=self.vocabulary,
        )


def _pool(
    boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, multiplier: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pool the predictions (2, Q, ...) of subjects and objects into one list, subjects first.

    The published algorithm pools m copies of each prediction, one per predicate query. One is enough, as NMS
    merges copies, except for boxes without area: their IoU is 0 even with their own copies, so all m become
    entities.

    Returns:
        boxes (N, 4), labels (N,), scores (N,), and the indices (2, P) in this list of the subject and the
        object of each predicate query.
    """
    num_queries = scores.shape[1]
    sides = boxes[..., 2:] - boxes[..., :2]
    empty = (sides.prod(axis=-1) <= 0).ravel()
    copies = np.where(empty, multiplier, 1)
    query = np.arange(multiplier * num_queries)
    prediction = query // multiplier + np.array([[0], [num_queries]])
    index = (np.cumsum(copies) - copies)[prediction] + query % multiplier * empty[prediction]
    return (
        np.repeat(boxes.reshape(-1, 4), copies, axis=0),
        np.repeat(labels.ravel(), copies),
        np.repeat(scores.ravel(), copies),
        index,
    )
