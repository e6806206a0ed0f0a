"""Data structures shared by the whole package: vocabulary, annotation, target, batch and network output.

Shape letters, the same in every module:

====  =================================================================================================
B     images of a batch
H, W  height and width of the (padded) images, in pixels
h, w  height and width of the feature map, in cells
T     encoder tokens, T = h * w
D     hidden size of the transformer
L     decoder layers
Q     entity queries; entity query i has one subject and one object
P     predicate queries, P = m * Q with m = MODEL.DETR.MULTIPLY_QUERY; query j belongs to entity query j // m
C     object classes; index C is "no object"
R     predicate classes; index R is "no relation"
N     ground-truth boxes of an image
M     ground-truth relations of an image, or of all images of a batch one after another
K     matched pairs of a predicate query and a relation
S     sources of data, such as real and synthetic
E     entities of a scene graph
...   any leading dimensions
====  =================================================================================================

Boxes are ``xyxy`` (x1, y1, x2, y2) or ``cxcywh`` (centre x, centre y, width, height).
"""

from __future__ import annotations  # so that a program without torch can have scene graphs

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Names of the C object classes and R predicates, in index order from 0."""

    objects: tuple[str, ...]
    predicates: tuple[str, ...]

    def differences(self, other: Vocabulary) -> list[str]:
        """Phrases that describe how another vocabulary differs from this one; empty if they are equal."""
        return [
            difference
            for what in ("objects", "predicates")
            for difference in _name_differences(what, getattr(self, what), getattr(other, what))
        ]


def _name_differences(what: str, names: tuple[str, ...], others: tuple[str, ...]) -> Iterator[str]:
    shown = 5
    for one, two, kind in ((names, others, "missing"), (others, names, "unexpected")):
        only = [name for name in one if name not in two]
        if only:
            listed = ", ".join(repr(name) for name in only[:shown])
            more = f" and {len(only) - shown} more" if len(only) > shown else ""
            yield f"{len(only)} of {len(one)} {what} {kind}: {listed}{more}"
    if names != others and set(names) == set(others) and len(names) == len(others):
        moved = [i for i, name in enumerate(names) if name != others[i]]
        yield (
            f"{len(moved)} of the {len(names)} {what} are in another order, first at number {moved[0] + 1}: "
            f"{names[moved[0]]!r} and {others[moved[0]]!r}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """The ground truth of one image, in pixels of the original image.

    Attributes:
        image_id: integer in Visual Genome, string in synthetic sets.
        path: the image file.
        width, height: size of the image in pixels.
        boxes: (N, 4) float32, xyxy.
        labels: (N,) int64, object class from 0.
        relations: (M, 3) int64, rows (subject box, object box, predicate class from 0).
        relation_weights: (M,) float32, weight of each relation in the training loss; None for 1.
        source: name of the source of data, such as "real" or "synthetic".
        loss_weight: weight of this image in the training loss.
    """

    image_id: int | str
    path: Path
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray
    relation_weights: np.ndarray | None = None
    source: str = "real"
    loss_weight: float = 1.0


@dataclass(slots=True, kw_only=True)
class Target:
    """The training target of one (augmented, resized) image.

    Attributes:
        boxes: (N, 4) float32, cxcywh in 0..1 of the image.
        labels, relations: (N,) and (M, 3) int64, as in the annotation.
        relation_boxes: (M, 4) float32, cxcywh in 0..1, the predicate boxes: from the subject's centre to the
            object's centre.
        relation_weights: (M,) float32, weight of each relation in the loss; None for 1.
        image_id, source, loss_weight: as in the annotation.
    """

    image_id: int | str
    boxes: Tensor
    labels: Tensor
    relations: Tensor
    relation_boxes: Tensor
    relation_weights: Tensor | None = None
    source: str = "real"
    loss_weight: float = 1.0

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Target:
        """The same target with its tensors on ``device``."""
        tensors = self.tensors().items()
        return replace(self, **{name: each.to(device, non_blocking=non_blocking) for name, each in tensors})

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by their names."""
        names = ("boxes", "labels", "relations", "relation_boxes", "relation_weights")
        return {name: tensor for name in names if (tensor := getattr(self, name)) is not None}


@dataclass(slots=True)
class Batch:
    """Images padded at the right and bottom to one size.

    Attributes:
        images: (B, 3, H, W) uint8, RGB; padding is 0.
        sizes: (B, 2) int64, height and width of each image without the padding, always on the CPU.
        targets: B targets of the images as they are here.
        annotations: B annotations of the original images.
    """

    images: Tensor
    sizes: Tensor
    targets: list[Target]
    annotations: list[Annotation]

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on ``device``."""
        images = self.images.to(device, non_blocking=non_blocking)
        targets = [target.to(device, non_blocking) for target in self.targets]
        return replace(self, images=images, targets=targets)

    def share_memory(self) -> Batch:
        """This batch, with its tensors moved to shared memory.

        Raises:
            RuntimeError: the shared memory is too small.
        """
        for target in self.targets:
            for tensor in target.tensors().values():
                if tensor.numel():
                    tensor.share_memory_()
        self.images.share_memory_()
        self.sizes.share_memory_()
        return self

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (called by the data loader)."""
        return replace(self, images=self.images.pin_memory())


@dataclass(slots=True, kw_only=True)
class RawOutput:
    """Outputs of the network for L decoder layers, the final one last.

    Predicate query j belongs to entity query j // m.

    Attributes:
        subject_logits, object_logits: (L, B, Q, C + 1); class C is "no object".
        subject_boxes, object_boxes: (L, B, Q, 4), cxcywh in 0..1.
        predicate_logits: (L, B, P, R + 1); class R is "no relation".
        predicate_boxes: (L, B, P, 4), cxcywh in 0..1.
        token_logits, token_boxes, token_points: (B, T, C + 1), (B, T, 4) and (B, T, 2), the encoder tokens'
            class logits, boxes and centres (x, y) in 0..1 (beyond 1 in the padding), for the dense auxiliary
            loss in training; None otherwise.
    """

    subject_logits: Tensor
    object_logits: Tensor
    subject_boxes: Tensor
    object_boxes: Tensor
    predicate_logits: Tensor
    predicate_boxes: Tensor
    token_logits: Tensor | None = None
    token_boxes: Tensor | None = None
    token_points: Tensor | None = None

    @property
    def query_multiplier(self) -> int:
        """Predicate queries per entity query, m = P / Q."""
        return self.predicate_logits.shape[2] // self.subject_logits.shape[2]

    def last_layer(self) -> RawOutput:
        """The final layer alone, L = 1."""
        roles = ("subject", "object", "predicate")
        names = [f"{role}_{kind}" for role in roles for kind in ("logits", "boxes")]
        return replace(self, **{name: getattr(self, name)[-1:] for name in names})
