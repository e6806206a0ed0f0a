"""How badly each query answers for each relation.

The relations of all images stand in one row; a query is compared with the relations of its own image only.

L: layers, B: images, T: relations of all images, Q: entity queries, P = m * Q: predicate queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speaq.boxes import box_giou, box_iou, cxcywh_to_xyxy
from speaq.structures import RawOutput, Target


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations of a batch in one row, T in all.

    Attributes:
        counts: B numbers of relations per image.
        image: (T,) index of the image.
        subject_labels, object_labels, predicates: (T,) classes.
        subject_boxes, object_boxes, predicate_boxes: (T, 4) cxcywh in 0..1.
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
    def of(cls, targets: Sequence[Target]) -> "Relations":
        """Gather the relations of B targets."""
        counts = [len(target.relations) for target in targets]
        boxes = torch.cat([target.boxes for target in targets])
        labels = torch.cat([target.labels for target in targets])
        offsets = [0]
        for target in targets[:-1]:
            offsets.append(offsets[-1] + len(target.boxes))
        relations = torch.cat([target.relations for target in targets])
        device = relations.device
        repeats = torch.tensor(counts, device=device)
        image = torch.repeat_interleave(
            torch.arange(len(targets), device=device), repeats, output_size=sum(counts)
        )
        first = torch.tensor(offsets, device=device)[image]
        subject, object_ = relations[:, 0] + first, relations[:, 1] + first
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


def _probability(logits: Tensor, image: Tensor, classes: Tensor) -> Tensor:
    """Softmax probability (L, T, q) of class classes[t] in image image[t]; logits (L, B, q, c)."""
    chosen = logits[:, image, :, classes].transpose(0, 1)  # indexing by two tensors puts T first
    return (chosen - logits.logsumexp(-1)[:, image]).exp()


def _box_cost(predicted: Tensor, boxes: Tensor, image: Tensor, l1: float, giou: float) -> Tensor:
    """l1 * L1 - giou * GIoU, (L, T, q), of predicted boxes (L, B, q, 4) against (T, 4)."""
    candidates = predicted[:, image]
    wanted = boxes[None, :, None]
    distance = (candidates - wanted).abs().sum(-1)
    return l1 * distance - giou * box_giou(cxcywh_to_xyxy(candidates), cxcywh_to_xyxy(wanted))


@dataclass(frozen=True, slots=True)
class PairCost:
    """What the assignment needs to know, for every relation and predicate query.

    Attributes:
        cost: (L, T, P).
        subject_iou, object_iou: (L, T, Q).
        predicate_probability: (L, T, P), of the relation's predicate.
    """

    cost: Tensor
    subject_iou: Tensor
    object_iou: Tensor
    predicate_probability: Tensor


def pair_cost(
    output: RawOutput, relations: Relations, *, class_weight: float, l1_weight: float, giou_weight: float
) -> PairCost:
    """Cost of every predicate query for every relation of its image (BEHAVIOUR of SpeaQ's matcher).

    cost = -class_weight * (prob_r + prob_s + prob_o) + l1_weight * L1 - giou_weight * GIoU, where L1 and GIoU
    are summed over the subject, object and predicate boxes. What concerns entities is computed for Q queries
    and then repeated m times.

    Args:
        output: of L layers; no gradient flows.
        relations: of the batch.
        class_weight: of the probabilities.
        l1_weight: of the L1 distances.
        giou_weight: of the generalised IoUs.
    """
    image = relations.image
    m = output.query_multiplier
    prob_r = _probability(output.predicate_logits, image, relations.predicates)
    prob_s = _probability(output.subject_logits, image, relations.subject_labels)
    prob_o = _probability(output.object_logits, image, relations.object_labels)
    weights = (l1_weight, giou_weight)
    entity = _box_cost(output.subject_boxes, relations.subject_boxes, image, *weights)
    entity = entity + _box_cost(output.object_boxes, relations.object_boxes, image, *weights)
    entity = entity - class_weight * (prob_s + prob_o)
    predicate = _box_cost(output.predicate_boxes, relations.predicate_boxes, image, *weights)
    predicate = predicate - class_weight * prob_r
    return PairCost(
        cost=predicate + entity.repeat_interleave(m, dim=-1),
        subject_iou=_pair_iou(output.subject_boxes, relations.subject_boxes, image),
        object_iou=_pair_iou(output.object_boxes, relations.object_boxes, image),
        predicate_probability=prob_r,
    )


def _pair_iou(predicted: Tensor, boxes: Tensor, image: Tensor) -> Tensor:
    return box_iou(cxcywh_to_xyxy(predicted[:, image]), cxcywh_to_xyxy(boxes)[None, :, None])
