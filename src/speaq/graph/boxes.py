"""Intersection over union of boxes in NumPy, for modules that do not import torch."""

import numpy as np


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (...) of xyxy boxes (..., 4), element by element with broadcasting; 0 if both have no area."""
    width, height = (
        (np.minimum(a[..., i + 2], b[..., i + 2]) - np.maximum(a[..., i], b[..., i])).clip(min=0)
        for i in (0, 1)
    )
    intersection = width * height
    union = _area(a) + _area(b) - intersection
    return intersection / np.where(union > 0, union, 1)


def _area(boxes: np.ndarray) -> np.ndarray:
    """Area (...) of xyxy boxes (..., 4)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
