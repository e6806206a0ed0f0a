"""Box formats, IoU and generalised IoU, for any device, float type and leading dimensions ("...").

Formats: ``xyxy`` is (x1, y1, x2, y2), ``cxcywh`` is (centre x, centre y, width, height). Boxes are
continuous: a box covers x2 - x1 by y2 - y1, with no added pixel.
"""

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


def box_area(boxes: Tensor) -> Tensor:
    """Area (...) of xyxy boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _intersection_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    sides = (high - low).clamp(min=0)
    intersection = sides[..., 0] * sides[..., 1]
    return intersection, box_area(a) + box_area(b) - intersection


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient, and 0 where the denominator is 0 (boxes without area)."""
    return numerator / torch.where(denominator > 0, denominator, torch.ones_like(denominator))


def box_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (...) in [0, 1] of xyxy boxes (..., 4) with broadcasting; 0 where both boxes have no area."""
    intersection, union = _intersection_and_union(a, b)
    return _ratio(intersection, union)


def box_giou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU (...) in [-1, 1] of xyxy boxes (..., 4) with broadcasting (Rezatofighi et al., CVPR 2019)."""
    intersection, union = _intersection_and_union(a, b)
    low = torch.minimum(a[..., :2], b[..., :2])
    high = torch.maximum(a[..., 2:], b[..., 2:])
    sides = high - low
    hull = sides[..., 0] * sides[..., 1]
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (N, M) of every xyxy box of ``a`` (N, 4) with every one of ``b`` (M, 4)."""
    return box_iou(a[:, None], b[None, :])
