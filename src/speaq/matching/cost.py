"""The matching cost between predicate queries and ground-truth relations.

The relations of all images of a batch are concatenated; a query is compared with the relations of its own
image only. Shape letters: see `speaq.structures`; M is the relations of the whole batch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speaq.boxes import box_giou, box_iou, cxcywh_to_xyxy
from speaq.structures import RawOutput, Target


@dataclass(frozen=True, slots=True)
class Relations:
    """The ground-truth relations of a batch, concatenated over its images.

    Attributes:
        counts: B numbers of relations per image.
        image: (M,) index of the image.
        subject_labels, object_labels, predicates: (M,) classes.
        subject_boxes, object_boxes, predicate_boxes: (M, 4) cxcywh in 0..1.
    """

    counts: list[int]
    image: Tensor
    subject_labels: Tensor
    object_labels: Tensor
    predicates: Tensor
    subject_boxes: Tensor
    object_boxes: Tensor
    predicate_boxes: Tensor

    @classmethod
    def from_targets(cls, targets: Sequence[Target]) -> "Relations":
        """Concatenate the relations of B targets."""
        counts = [len(target.relations) for target in targets]
        boxes = torch.cat([target.boxes for target in targets])
        labels = torch.cat([target.labels for target in targets])
        offsets = [0]
        for target in targets[:-1]:
            offsets.append(offsets[-1] + len(target.boxes))
        relations = torch.cat([target.relations for target in targets])
        device = relations.device
        image = torch.repeat_interleave(
            torch.arange(len(targets), device=device),
            torch.tensor(counts, device=device),
            output_size=sum(counts),
        )
        first_box = torch.tensor(offsets, device=device)[image]
        subject, object_ = relations[:, 0] + first_box, relations[:, 1] + first_box
        return cls(
            counts=counts,
            image=image,
            subject_labels=labels[subject],
            object_labels=labels[object_],
            predicates=relations[:, 2],
            subject_boxes=boxes[subject],
            object_boxes=boxes[object_],
            predicate_boxes=torch.cat([target.relation_boxes for target in targets]),
        )


@dataclass(frozen=True, slots=True)
class PairCost:
    """Costs of all pairs of a relation and a predicate query of its image, and what the quality needs.

    Attributes:
        cost: (L, M, P).
        subject_iou, object_iou: (L, M, Q) IoU of the query's and the relation's subject (object) boxes.
        predicate_probability: (L, M, P) probability of the relation's predicate.
    """

    cost: Tensor
    subject_iou: Tensor
    object_iou: Tensor
    predicate_probability: Tensor


def pair_cost(
    output: RawOutput, relations: Relations, *, class_weight: float, l1_weight: float, giou_weight: float
) -> PairCost:
    """Matching cost of every predicate query for every relation of its image.

    cost = -class_weight * (prob_r + prob_s + prob_o) + l1_weight * L1 - giou_weight * GIoU (SpeaQ, section
    3.1, after DETR, equation 1), where L1 and GIoU are summed over the subject, object and predicate boxes.
    The costs of subject and object are computed for Q entity queries and repeated m times.

    Args:
        output: outputs of L layers, detached.
        relations: M relations.
        class_weight: weight of the class probabilities.
        l1_weight: weight of the L1 distances between cxcywh boxes.
        giou_weight: weight of the generalised IoUs.
    """
    image = relations.image
    prob_r = _class_probability(output.predicate_logits, image, relations.predicates)
    prob_s = _class_probability(output.subject_logits, image, relations.subject_labels)
    prob_o = _class_probability(output.object_logits, image, relations.object_labels)
    weights = (l1_weight, giou_weight)
    entity = _box_cost(output.subject_boxes, relations.subject_boxes, image, *weights)
    entity = entity + _box_cost(output.object_boxes, relations.object_boxes, image, *weights)
    entity = entity - class_weight * (prob_s + prob_o)
    predicate = _box_cost(output.predicate_boxes, relations.predicate_boxes, image, *weights)
    predicate = predicate - class_weight * prob_r
    return PairCost(
        cost=predicate + entity.repeat_interleave(output.query_multiplier, dim=-1),
        subject_iou=_pair_iou(output.subject_boxes, relations.subject_boxes, image),
        object_iou=_pair_iou(output.object_boxes, relations.object_boxes, image),
        predicate_probability=prob_r,
    )


def _class_probability(logits: Tensor, image: Tensor, classes: Tensor) -> Tensor:
    """Softmax probability (L, M, q) of the relations' classes (M,) under logits (L, B, q, c)."""
    class_logits = logits[:, image, :, classes].transpose(0, 1)  # indexing by two tensors puts M first
    return (class_logits - logits.logsumexp(-1)[:, image]).exp()


def _box_cost(
    boxes: Tensor, target_boxes: Tensor, image: Tensor, l1_weight: float, giou_weight: float
) -> Tensor:
    """l1_weight * L1 - giou_weight * GIoU (L, M, q) of boxes (L, B, q, 4) and target boxes (M, 4)."""
    boxes, target_boxes = boxes[:, image], target_boxes[None, :, None]
    l1 = (boxes - target_boxes).abs().sum(-1)
    return l1_weight * l1 - giou_weight * box_giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes))


def _pair_iou(boxes: Tensor, target_boxes: Tensor, image: Tensor) -> Tensor:
    """IoU (L, M, q) of boxes (L, B, q, 4) and target boxes (M, 4)."""
    return box_iou(cxcywh_to_xyxy(boxes[:, image]), cxcywh_to_xyxy(target_boxes)[None, :, None])
