"""L1 and generalised IoU of matched boxes.

L: layers, B: images, q: queries, K: matched queries over layers and images.
"""

from torch import Tensor

from speaq.boxes import box_giou, cxcywh_to_xyxy
from speaq.matching.matcher import Assignment


def box_sums(boxes: Tensor, wanted: Tensor, assignment: Assignment, multiplier: int) -> tuple[Tensor, Tensor]:
    """Sums over the matched boxes of every image.

    Args:
        boxes: (L, B, q, 4) predicted, cxcywh in 0..1.
        wanted: (K, 4) the box that each matched query should give.
        assignment: of K matched queries.
        multiplier: matchable queries per row of ``boxes``.

    Returns:
        L1 distances (L, B) and 1 - GIoU (L, B).
    """
    matched = boxes[assignment.layer, assignment.image, assignment.query // multiplier]
    where = (assignment.layer, assignment.image)
    zeros = boxes.new_zeros(boxes.shape[:2])
    distance = (matched - wanted).abs().sum(-1)
    overlap = 1 - box_giou(cxcywh_to_xyxy(matched), cxcywh_to_xyxy(wanted))
    return (
        zeros.index_put(where, distance, accumulate=True),
        zeros.index_put(where, overlap, accumulate=True),
    )
