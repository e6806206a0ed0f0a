"""Box formats, IoU and generalised IoU, for any device, float type and leading dimensions ("...").

Formats: ``xyxy`` is (x1, y1, x2, y2), ``cxcywh`` is (centre x, centre y, width, height). Boxes are
continuous: a box covers x2 - x1 by y2 - y1, with no added pixel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Convert boxes (..., 4) from (cx, cy, w, h) to (x1, y1, x2, y2)."""
    centre, half = boxes[..., :2], boxes[..., 2:] * 0.5
    return torch.cat((centre - half, centre + half), dim=-1)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Convert boxes (..., 4) from (x1, y1, x2, y2) to (cx, cy, w, h)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) * 0.5, high - low), dim=-1)


def corners(boxes: Tensor) -> tuple[Tensor, ...]:
    """x1, y1, x2 and y2, each (...) and contiguous, of cxcywh boxes (..., 4)."""
    return cxcywh_to_xyxy(boxes).movedim(-1, 0).contiguous().unbind()


def iou_and_giou(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., CVPR 2019), element by element with broadcasting.

    Each coordinate is a tensor of its own, which is contiguous: arithmetic on slices of the last axis of
    boxes (..., 4) takes three times as long.

    Args:
        a: x1, y1, x2 and y2, each (...).
        b: the same, broadcast against ``a``.

    Returns:
        IoU (...), in [0, 1], and GIoU (...), in [-1, 1]; the IoU is 0 where both boxes have no area.
    """
    a_x1, a_y1, a_x2, a_y2 = a
    b_x1, b_y1, b_x2, b_y2 = b
    width = torch.minimum(a_x2, b_x2) - torch.maximum(a_x1, b_x1)
    height = torch.minimum(a_y2, b_y2) - torch.maximum(a_y1, b_y1)
    intersection = width.clamp(min=0) * height.clamp(min=0)
    union = (a_x2 - a_x1) * (a_y2 - a_y1) + (b_x2 - b_x1) * (b_y2 - b_y1) - intersection
    hull_width = torch.maximum(a_x2, b_x2) - torch.minimum(a_x1, b_x1)
    hull = hull_width * (torch.maximum(a_y2, b_y2) - torch.minimum(a_y1, b_y1))
    iou = _ratio(intersection, union)
    return iou, iou - _ratio(hull - union, hull)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient, and 0 where the denominator is 0 (boxes without area)."""
    return numerator / denominator.clamp(min=torch.finfo(denominator.dtype).tiny)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (N, M) of every xyxy box of ``a`` (N, 4) with every one of ``b`` (M, 4)."""
    return iou_and_giou(a[:, None].unbind(-1), b.unbind(-1))[0]
