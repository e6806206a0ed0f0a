"""What is exported: a network that takes images of one size and gives plain tensors, traced once.

B: images, H, W: their size, Q: entity queries, P: predicate queries, C: object classes, R: predicate classes,
K: predicates kept per query.
"""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from speaq.errors import SpeaqError
from speaq.export.description import Description
from speaq.inference.postprocess import Reduced, reduce_output
from speaq.pretrained import Speaq

Pixels = Literal["uint8", "float32"]

RAW = (
    "subject_logits",
    "object_logits",
    "subject_boxes",
    "object_boxes",
    "predicate_logits",
    "predicate_boxes",
)
"""Names of the raw outputs: those of ``RawOutput`` without its first axis."""


class ExportNetwork(nn.Module):
    """A copy of a model on the CPU in evaluation mode, whose last layer comes as a tuple of tensors.

    Args:
        model: the trained one.
        num_rel: K, where the part of post-processing that does not depend on the image is included and the
            outputs are those of ``Reduced``; None for the raw outputs, with boxes as cxcywh in 0..1.
    """

    def __init__(self, model: Speaq, *, num_rel: int | None = 1):
        super().__init__()
        self.model = copy.deepcopy(model).float().cpu().eval().requires_grad_(False)
        self.num_rel = num_rel

    @property
    def output_names(self) -> tuple[str, ...]:
        """Of the outputs, in their order."""
        return RAW if self.num_rel is None else Reduced._fields

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs of images (B, 3, H, W), RGB in 0..255."""
        output = self.model(images, all_layers=False)
        if self.num_rel is None:
            return tuple(getattr(output, name)[-1] for name in RAW)
        return tuple(reduce_output(output, self.num_rel))

    def describe(self) -> Description:
        """What the exported file is to say of itself."""
        config = self.model.config
        return Description(
            version=version("speaq"),
            objects=config.objects,
            predicates=config.predicates,
            min_size=config.min_size,
            max_size=config.max_size,
            nms_threshold=config.nms_threshold,
            num_rel=self.num_rel,
        )


def image_axes(network: ExportNetwork) -> dict[int, Dim]:
    """The axes of the images that may have any length.

    Along an axis of one cell the feature map would be broadcast, so the graph is for two or more, which a
    backbone without padding has from twice its stride on.
    """
    shortest = 2 * network.model.backbone.stride
    return {0: Dim("batch", min=1), 2: Dim("height", min=shortest), 3: Dim("width", min=shortest)}


def trace(network: ExportNetwork, pixels: Pixels = "uint8") -> ExportedProgram:
    """The network as a graph of tensor operations, for any number of images of any one size.

    Args:
        network: to export.
        pixels: type of the images; in 0..255 either way.

    Raises:
        SpeaqError: torch cannot trace it, which may happen with an unusual backbone.
    """
    stride = network.model.backbone.stride
    images = torch.zeros(2, 3, 3 * stride, 4 * stride, dtype=getattr(torch, pixels))
    shapes = {"images": image_axes(network)}
    try:
        with quietly(), torch.no_grad():
            return torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    except RuntimeError as error:  # torch's own errors are all of this kind
        reason = str(error).strip().partition("\n")[0]
        family = network.model.config.backbone.get("model_type")
        raise SpeaqError(
            f"torch.export cannot trace this model with its {family} backbone for images of any size "
            f"({reason})"
        ) from error


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporters' advice to their own developers, and about libraries that are not needed."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
