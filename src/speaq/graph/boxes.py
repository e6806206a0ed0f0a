"""Intersection over union of boxes in NumPy, for modules that do not import torch."""

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
    return intersection / np.where(union > 0, union, 1)
