"""The matching cost between predicate queries and ground-truth relations.

The relations of all images of a batch are concatenated; a query is compared with the relations of its own
image only. Shape letters: see `speaq.structures`; M is the relations of the whole batch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from speaq.boxes import corners, iou_and_giou
from speaq.structures import RawOutput, Target


@dataclass(frozen=True, slots=True)
class Relations:
    """The ground-truth relations of a batch, concatenated over its images.

    Attributes:
        counts: B numbers of relations per image.
        image: (M,) index of the image.
        subject_labels, object_labels, predicates: (M,) classes.
        subject_boxes, object_boxes, predicate_boxes: (M, 4) cxcywh in 0..1.
        weights: (M,) float32, weight in the loss.
    """

    counts: list[int]
    image: Tensor
    subject_labels: Tensor
    object_labels: Tensor
    predicates: Tensor
    subject_boxes: Tensor
    object_boxes: Tensor
    predicate_boxes: Tensor
    weights: Tensor

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
            weights=torch.cat([_weights(target) for target in targets]),
        )


def _weights(target: Target) -> Tensor:
    if target.relation_weights is None:
        return torch.ones(len(target.relations), device=target.relations.device)
    return target.relation_weights


class LogProbabilities(NamedTuple):
    """Log-softmax of the class logits, for matching and loss.

    Attributes:
        subject, object: (L, B, Q, C + 1).
        predicate: (L, B, P, R + 1).
    """

    subject: Tensor
    object: Tensor
    predicate: Tensor

    @classmethod
    def from_output(cls, output: RawOutput) -> "LogProbabilities":
        """Log-probabilities of an output's classes."""
        logits = (output.subject_logits, output.object_logits, output.predicate_logits)
        return cls(*(each.log_softmax(-1) for each in logits))


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
    output: RawOutput,
    log_probabilities: LogProbabilities,
    relations: Relations,
    *,
    class_weight: float,
    l1_weight: float,
    giou_weight: float,
) -> PairCost:
    """Matching cost of every predicate query for every relation of its image.

    cost = -class_weight * (prob_r + prob_s + prob_o) + l1_weight * L1 - giou_weight * GIoU (SpeaQ, section
    3.1, after DETR, equation 1), where L1 and GIoU are summed over the subject, object and predicate boxes.
    The costs of subject and object are computed for Q entity queries and repeated m times.

    Args:
        output: outputs of L layers, detached.
        log_probabilities: of the output's classes.
        relations: M relations.
        class_weight: weight of the class probabilities.
        l1_weight: weight of the L1 distances between cxcywh boxes.
        giou_weight: weight of the generalised IoUs.
    """
    image = relations.image
    prob_s = _class_probability(log_probabilities.subject, image, relations.subject_labels)
    prob_o = _class_probability(log_probabilities.object, image, relations.object_labels)
    prob_r = _class_probability(log_probabilities.predicate, image, relations.predicates)
    weights = (l1_weight, giou_weight)
    subject, subject_iou = _box_cost(output.subject_boxes, relations.subject_boxes, image, *weights)
    object_, object_iou = _box_cost(output.object_boxes, relations.object_boxes, image, *weights)
    predicate, _ = _box_cost(output.predicate_boxes, relations.predicate_boxes, image, *weights)
    entity = subject + object_ - class_weight * (prob_s + prob_o)
    predicate = predicate - class_weight * prob_r
    return PairCost(
        cost=predicate + entity.repeat_interleave(output.query_multiplier, dim=-1),
        subject_iou=subject_iou,
        object_iou=object_iou,
        predicate_probability=prob_r,
    )


def _class_probability(log_probabilities: Tensor, image: Tensor, classes: Tensor) -> Tensor:
    """Probability (L, M, q) of the relations' classes (M,) under log-probabilities (L, B, q, c)."""
    return log_probabilities[:, image, :, classes].transpose(0, 1).exp()  # two index tensors put M first


def _box_cost(
    boxes: Tensor, target_boxes: Tensor, image: Tensor, l1_weight: float, giou_weight: float
) -> tuple[Tensor, Tensor]:
    """Cost l1_weight * L1 - giou_weight * GIoU and IoU, each (L, M, q), of boxes (L, B, q, 4) and target
    boxes (M, 4), cxcywh.
    """
    values = boxes.movedim(-1, 0).contiguous()
    targets = target_boxes.T.contiguous()[..., None]
    first, second, third, fourth = (
        value.index_select(1, image).sub_(target).abs_()
        for value, target in zip(values, targets, strict=True)
    )
    sides = [side.index_select(1, image) for side in corners(boxes)]
    iou, giou = iou_and_giou(sides, corners(target_boxes[:, None]))
    return l1_weight * (first + second + third + fourth) - giou_weight * giou, iou
