"""IoU and generalised IoU of boxes in NumPy, for modules that do not import torch."""

import numpy as np


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (...) of xyxy boxes (..., 4), element by element with broadcasting; 0 if both have no area."""
    width, height = (
        (np.minimum(a[..., i + 2], b[..., i + 2]) - np.maximum(a[..., i], b[..., i])).clip(min=0)
        for i in (0, 1)
    )
    intersection = width * height
    areas = ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b))
    union = sum(areas) - intersection
    return _ratio(intersection, union)


def box_giou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Generalised IoU (...) of xyxy boxes (..., 4), in [-1, 1] (Rezatofighi et al., CVPR 2019)."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = sides.clip(min=0).prod(axis=-1)
    union = sum((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (a, b)) - intersection
    hull = (np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])).prod(axis=-1)
    return _ratio(intersection, union) - _ratio(hull - union, hull)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, and 0 where the denominator is 0 (boxes without area)."""
    return numerator / np.where(denominator > 0, denominator, 1)
