"""The training target of an image.

N: boxes, M: relations.
"""

import numpy as np
import torch
from torch import Tensor

from speaq.boxes import xyxy_to_cxcywh
from speaq.structures import Target

_DEGENERATE = 1e-5  # pixels


def predicate_boxes(subjects: Tensor, objects: Tensor) -> Tensor:
    """Boxes (M, 4), cxcywh, that span from the centre of the subject to the centre of the object.

    Where such a box has no extent in one direction, the subject's box stands in.

    Args:
        subjects: (M, 4) cxcywh in pixels.
        objects: (M, 4) cxcywh in pixels.
    """
    centre = (subjects[:, :2] + objects[:, :2]) * 0.5
    sides = (subjects[:, :2] - objects[:, :2]).abs()
    degenerate = (sides <= _DEGENERATE).any(dim=1, keepdim=True)
    return torch.where(degenerate, subjects, torch.cat((centre, sides), dim=1))


def build_target(
    boxes_xyxy_px: np.ndarray,
    labels: np.ndarray,
    relations: np.ndarray,
    size_hw: tuple[int, int],
    image_id: int | str,
    source: str = "real",
    loss_weight: float = 1.0,
) -> Target:
    """The target of one image.

    Args:
        boxes_xyxy_px: (N, 4) in pixels of the image.
        labels: (N,).
        relations: (M, 3), rows (subject, object, predicate).
        size_hw: height and width of the image in pixels.
        image_id: of the image.
        source: which data set it is from.
        loss_weight: the weight of this image in the loss.
    """
    boxes = xyxy_to_cxcywh(torch.from_numpy(boxes_xyxy_px.astype(np.float32)))
    triplets = torch.from_numpy(relations.astype(np.int64))
    height, width = size_hw
    scale = torch.tensor((width, height, width, height), dtype=torch.float32)
    return Target(
        image_id=image_id,
        boxes=boxes / scale,
        labels=torch.from_numpy(labels.astype(np.int64)),
        relations=triplets,
        relation_boxes=predicate_boxes(boxes[triplets[:, 0]], boxes[triplets[:, 1]]) / scale,
        source=source,
        loss_weight=loss_weight,
    )
