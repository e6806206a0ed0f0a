"""The dense auxiliary loss: every encoder token predicts the class and the box of the object at its place.

A training aid beyond the published model, off in its configurations. It trains the backbone and the encoder
from the first step on, while the queries still learn where to attend.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speaq.boxes import corners, cxcywh_to_xyxy, iou_and_giou
from speaq.structures import Target


@dataclass(frozen=True, slots=True)
class DenseLosses:
    """Sums over the tokens of every image, (B,) each.

    Attributes:
        cross_entropy: weighted cross-entropy of all tokens.
        class_weight: its normalizer, the sum of the tokens' class weights.
        l1_loss, giou_loss: L1 distance and 1 - GIoU of the foreground tokens.
        num_foreground: their normalizer.
    """

    cross_entropy: Tensor
    class_weight: Tensor
    l1_loss: Tensor
    giou_loss: Tensor
    num_foreground: Tensor


def assign_tokens(points: Tensor, boxes: Tensor) -> Tensor:
    """Assign a box to each token: the smallest one around its centre; every box also gets its nearest token.

    Args:
        points: (T, 2), token centres (x, y) in 0..1, beyond 1 in the padding.
        boxes: (N, 4) cxcywh in 0..1.

    Returns:
        (T,) int64 box indices, -1 for background.
    """
    assigned = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    if len(boxes) == 0:
        return assigned
    xyxy = cxcywh_to_xyxy(boxes)
    inside = ((points[:, None] >= xyxy[:, :2]) & (points[:, None] <= xyxy[:, 2:])).all(-1)
    area = boxes[:, 2] * boxes[:, 3]
    smallest = area.expand(len(points), -1).masked_fill(~inside, torch.inf).min(1)
    assigned = torch.where(inside.any(1), smallest.indices, assigned)
    in_padding = (points > 1).any(-1)
    distance = (points[:, None] - boxes[None, :, :2]).square().sum(-1)
    nearest = distance.masked_fill(in_padding[:, None], torch.inf).argmin(0)
    # Larger boxes first: where two boxes have the same nearest token, the smaller one keeps it.
    for box in area.argsort(descending=True, stable=True).tolist():
        assigned[nearest[box]] = box
    return assigned


def dense_losses(
    logits: Tensor,
    boxes: Tensor,
    points: Tensor,
    targets: Sequence[Target],
    *,
    background_weight: float = 0.3,
) -> DenseLosses:
    """Class and box losses of the encoder tokens.

    Args:
        logits: (B, T, C + 1).
        boxes: (B, T, 4) cxcywh in 0..1.
        points: (B, T, 2) token centres; tokens beyond 1 are padding and left out.
        targets: B targets.
        background_weight: class weight of background tokens.
    """
    no_object = logits.shape[-1] - 1
    class_list, box_list = [], []
    for image_points, target in zip(points, targets, strict=True):
        assigned = assign_tokens(image_points, target.boxes)  # -1 is the last row of what follows
        class_list.append(torch.cat((target.labels, target.labels.new_tensor([no_object])))[assigned])
        box_list.append(torch.cat((target.boxes, target.boxes.new_full((1, 4), 0.5)))[assigned])
    target_classes, target_boxes = torch.stack(class_list), torch.stack(box_list)
    foreground = (target_classes != no_object).to(logits.dtype)
    weight = (foreground + background_weight * (1 - foreground)) * (points <= 1).all(-1)
    cross_entropy = logits.logsumexp(-1) - logits.gather(-1, target_classes[..., None]).squeeze(-1)
    giou_loss = 1 - iou_and_giou(corners(boxes), corners(target_boxes))[1]
    return DenseLosses(
        cross_entropy=(weight * cross_entropy).sum(-1),
        class_weight=weight.sum(-1),
        l1_loss=(foreground * (boxes - target_boxes).abs().sum(-1)).sum(-1),
        giou_loss=(foreground * giou_loss).sum(-1),
        num_foreground=foreground.sum(-1),
    )
