"""The dense auxiliary loss: every encoder token says what stands on it, and where.

A training aid beyond the published model, off in its configurations. It teaches the backbone and the encoder
from the first step on, while the queries still learn where to look.

B: images, T: encoder tokens, C: object classes, N: boxes of an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speaq.boxes import box_giou, cxcywh_to_xyxy
from speaq.structures import Target


@dataclass(frozen=True, slots=True)
class DenseSums:
    """Sums of every image, (B,) each, and what they are to be divided by.

    Attributes:
        entropy, entropy_weight: weighted cross-entropy of the tokens, and the sum of their weights.
        l1, giou, positives: L1 and 1 - GIoU of the tokens that stand on something, and their number.
    """

    entropy: Tensor
    entropy_weight: Tensor
    l1: Tensor
    giou: Tensor
    positives: Tensor


def assign_tokens(points: Tensor, boxes: Tensor) -> Tensor:
    """Which box each token speaks of: the smallest around its centre; every box also gets its nearest token.

    Args:
        points: (T, 2), (x, y) in 0..1, beyond 1 in the padding.
        boxes: (N, 4) cxcywh in 0..1.

    Returns:
        (T,) int64 box indices, -1 for background.
    """
    assigned = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    if len(boxes) == 0:
        return assigned
    corners = cxcywh_to_xyxy(boxes)
    inside = ((points[:, None] >= corners[:, :2]) & (points[:, None] <= corners[:, 2:])).all(-1)
    area = (boxes[:, 2] * boxes[:, 3]).expand(len(points), -1)
    smallest = area.masked_fill(~inside, torch.inf).min(1)
    assigned = torch.where(inside.any(1), smallest.indices, assigned)
    in_padding = (points > 1).any(-1)
    distance = (points[:, None] - boxes[None, :, :2]).square().sum(-1)
    distance = distance.masked_fill(in_padding[:, None], torch.inf)
    nearest = distance.argmin(0)
    # Larger boxes first: where two boxes have the same nearest token, the smaller one keeps it.
    order = (boxes[:, 2] * boxes[:, 3]).argsort(descending=True, stable=True)
    for box in order.tolist():
        assigned[nearest[box]] = box
    return assigned


def dense_sums(
    logits: Tensor, boxes: Tensor, points: Tensor, targets: Sequence[Target], *, background: float = 0.3
) -> DenseSums:
    """Class and box terms of every image's tokens.

    Args:
        logits: (B, T, C + 1).
        boxes: (B, T, 4) cxcywh in 0..1.
        points: (B, T, 2) centres; tokens beyond 1 are padding and left out.
        targets: B targets.
        background: class weight of tokens that stand on nothing.
    """
    nothing = logits.shape[-1] - 1
    classes, wanted = [], []
    for point, target in zip(points, targets, strict=True):
        assigned = assign_tokens(point, target.boxes)
        padded_labels = torch.cat((target.labels, target.labels.new_tensor([nothing])))
        padded_boxes = torch.cat((target.boxes, target.boxes.new_full((1, 4), 0.5)))
        classes.append(padded_labels[assigned])
        wanted.append(padded_boxes[assigned])
    wanted_class, wanted_box = torch.stack(classes), torch.stack(wanted)
    positive = (wanted_class != nothing).to(logits.dtype)
    weight = (positive + background * (1 - positive)) * (points <= 1).all(-1)
    entropy = logits.logsumexp(-1) - logits.gather(-1, wanted_class[..., None]).squeeze(-1)
    overlap = 1 - box_giou(cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(wanted_box))
    return DenseSums(
        entropy=(weight * entropy).sum(-1),
        entropy_weight=weight.sum(-1),
        l1=(positive * (boxes - wanted_box).abs().sum(-1)).sum(-1),
        giou=(positive * overlap).sum(-1),
        positives=positive.sum(-1),
    )
