"""L1 and generalised IoU losses of matched boxes."""

from torch import Tensor

from speaq.boxes import corners, iou_and_giou
from speaq.matching.matcher import Assignment


def box_losses(
    boxes: Tensor, target_boxes: Tensor, assignment: Assignment, relation_weights: Tensor, multiplier: int
) -> tuple[Tensor, Tensor]:
    """L1 and GIoU losses, summed over the matched boxes of every image (DETR, equation 4).

    Args:
        boxes: (L, B, q, 4) predicted boxes, cxcywh in 0..1.
        target_boxes: (K, 4) target of each matched query.
        assignment: K matched queries.
        relation_weights: (K,) weight of each matched query's losses.
        multiplier: predicate queries per row of ``boxes``: m for entities (q = Q), 1 for predicates (q = P).

    Returns:
        L1 loss (L, B) and GIoU loss, 1 - GIoU, (L, B).
    """
    index = (assignment.layer, assignment.image)
    matched = boxes[(*index, assignment.query // multiplier)]
    l1_loss = relation_weights * (matched - target_boxes).abs().sum(-1)
    giou_loss = relation_weights * (1 - iou_and_giou(corners(matched), corners(target_boxes))[1])
    zeros = boxes.new_zeros(boxes.shape[:2])
    return (
        zeros.index_put(index, l1_loss, accumulate=True),
        zeros.index_put(index, giou_loss, accumulate=True),
    )
