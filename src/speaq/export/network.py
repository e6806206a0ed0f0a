"""The network that is exported: images of one size in, plain tensors out.

Shape letters: see `speaq.structures`.
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
from speaq.inference.graph_builder import Reduced
from speaq.inference.postprocess import reduce_output
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
"""Names of the raw outputs: the fields of ``RawOutput``, of the last decoder layer."""


class ExportNetwork(nn.Module):
    """A copy of a model on the CPU in evaluation mode, which outputs the last decoder layer as tensors.

    Args:
        model: the trained model.
        num_rel: predicates kept per query, to output the fields of `Reduced`; None for the raw outputs, with
            boxes as cxcywh relative to the image size.
    """

    def __init__(self, model: Speaq, *, num_rel: int | None = 1):
        super().__init__()
        self.model = copy.deepcopy(model).float().cpu().eval().requires_grad_(False)
        self.num_rel = num_rel
        self.output_names = RAW if num_rel is None else Reduced._fields

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs of images (B, 3, H, W), RGB in 0..255."""
        output = self.model(images, all_layers=False)
        if self.num_rel is None:
            return tuple(getattr(output, name)[-1] for name in RAW)
        return tuple(reduce_output(output, self.num_rel))

    def describe(self) -> Description:
        """The metadata for the exported file."""
        config = self.model.config
        return Description(
            version=version("speaq"),
            objects=config.objects,
            predicates=config.predicates,
            min_size=config.min_size,
            max_size=config.max_size,
            nms_threshold=config.nms_threshold,
            num_rel=self.num_rel,
            predicate_counts=config.predicate_counts,
        )

    def image_axes(self) -> dict[int, Dim]:
        """The dynamic axes of the images.

        Height and width start at twice the stride of the backbone: torch.export specializes axes of length 1,
        and this is the smallest size for which every backbone has at least two feature cells per axis.
        """
        shortest = 2 * self.model.backbone.stride
        return {0: Dim("batch", min=1), 2: Dim("height", min=shortest), 3: Dim("width", min=shortest)}


def trace(network: ExportNetwork, pixels: Pixels = "uint8") -> ExportedProgram:
    """Trace the network with torch.export, for images of any number and size with values in 0..255.

    Raises:
        SpeaqError: torch.export cannot trace the model, for instance because of its backbone.
    """
    stride = network.model.backbone.stride
    images = torch.zeros(2, 3, 3 * stride, 4 * stride, dtype=getattr(torch, pixels))
    shapes = {"images": network.image_axes()}
    try:
        with silenced(), torch.no_grad():
            return torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    except RuntimeError as error:  # the base class of torch's errors
        reason = str(error).strip().partition("\n")[0]
        family = network.model.config.backbone.get("model_type")
        raise SpeaqError(
            f"torch.export cannot trace this model with its {family} backbone for images of any size "
            f"({reason})"
        ) from error


@contextmanager
def silenced() -> Iterator[None]:
    """Silence the warnings and log messages of the exporters inside the block."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
