"""The training target of an image.

Shape letters: see `speaq.structures`.
"""

import numpy as np
import torch
from torch import Tensor

from speaq.boxes import xyxy_to_cxcywh
from speaq.data.transforms import Scene
from speaq.structures import Annotation, Target

_DEGENERATE = 1e-5  # pixels


def build_target(scene: Scene, annotation: Annotation) -> Target:
    """The target of an augmented image with this original annotation."""
    boxes = xyxy_to_cxcywh(torch.from_numpy(scene.boxes.astype(np.float32)))
    relations = torch.from_numpy(scene.relations[:, :3].astype(np.int64))
    weights = annotation.relation_weights
    scale = torch.tensor(scene.size * 2, dtype=torch.float32)
    return Target(
        image_id=annotation.image_id,
        boxes=boxes / scale,
        labels=torch.from_numpy(scene.labels.astype(np.int64)),
        relations=relations,
        relation_boxes=_predicate_boxes(boxes[relations[:, 0]], boxes[relations[:, 1]]) / scale,
        relation_weights=None if weights is None else torch.from_numpy(weights[scene.relations[:, 3]]),
        source=annotation.source,
        loss_weight=annotation.loss_weight,
    )


def _predicate_boxes(subjects: Tensor, objects: Tensor) -> Tensor:
    """Boxes from the centre of the subject to that of the object, or the subject's box where they are flat.

    All boxes are (M, 4), cxcywh in pixels.
    """
    centre = (subjects[:, :2] + objects[:, :2]) * 0.5
    sides = (subjects[:, :2] - objects[:, :2]).abs()
    degenerate = (sides <= _DEGENERATE).any(dim=1, keepdim=True)
    return torch.where(degenerate, subjects, torch.cat((centre, sides), dim=1))
