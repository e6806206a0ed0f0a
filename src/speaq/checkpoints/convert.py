"""Conversion of checkpoints of the published SpeaQ implementation to saved models, and back.

Most of the architecture is inferred from the shapes of the weights; the configuration provides the rest and
must not contradict them.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speaq.checkpoints.architecture import Architecture, infer_architecture
from speaq.checkpoints.names import to_published
from speaq.checkpoints.saved_models import load_pretrained
from speaq.checkpoints.sources import local_source
from speaq.checkpoints.weights import LoadReport, load_state, read_weights
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.model.build import RESNET, model_config
from speaq.model.config import ModelConfig
from speaq.model.speaq import SpeaqModel
from speaq.structures import Vocabulary

_KEYS = {
    "hidden_dim": "MODEL.DETR.HIDDEN_DIM",
    "feedforward_dim": "MODEL.DETR.DIM_FEEDFORWARD",
    "encoder_layers": "MODEL.DETR.ENC_LAYERS",
    "decoder_layers": "MODEL.DETR.DEC_LAYERS",
    "num_queries": "MODEL.DETR.NUM_OBJECT_QUERIES",
    "query_multiplier": "MODEL.DETR.MULTIPLY_QUERY",
    "reference_points": "MODEL.DETR.REFERENCE_POINTS",
    "dense_head": "MODEL.DETR.DENSE_LOSS_WEIGHT",
    "pixel_mean": "MODEL.PIXEL_MEAN",
    "pixel_std": "MODEL.PIXEL_STD",
    "pixel_order": "INPUT.FORMAT",
}
"""The configuration key of each value of `ModelConfig` that is compared; see `speaq.model.build`."""


@dataclass(frozen=True)
class ConvertedModel:
    """A model with the weights of a published checkpoint.

    Attributes:
        model: the model.
        architecture: the architecture inferred from the shapes.
        report: which tensors of the checkpoint were loaded.
    """

    model: SpeaqModel
    architecture: Architecture
    report: LoadReport


def convert_checkpoint(
    path: str | Path, *, vocabulary: Vocabulary, config: Config, trained_with: bool = True
) -> ConvertedModel:
    """Convert a published checkpoint: a scene graph model, a DETR detector or a ResNet.

    Args:
        path: the checkpoint.
        vocabulary: the names of its classes.
        config: the settings that cannot be inferred from shapes.
        trained_with: whether the checkpoint was trained with ``config``. If not, only the keys that were set
            apply; the normalization of pixels is otherwise that of the published models.

    Raises:
        SpeaqError: the checkpoint cannot be read, contradicts itself or the configuration, or has other
            numbers of classes.
    """
    path = Path(local_source(path))
    state = read_weights(path)
    try:
        architecture = infer_architecture(state)
    except SpeaqError as error:
        raise SpeaqError(f"{path}: {error}") from None
    model_values = _merge(_Settings(path, config), architecture, vocabulary, trained_with)
    with torch.device("meta"):  # allocates no memory, whatever the sizes are
        shapes = {name: tuple(tensor.shape) for name, tensor in SpeaqModel(model_values).state_dict().items()}
    for name, tensor in state.items():
        if tuple(tensor.shape) != shapes.get(name, tuple(tensor.shape)):
            raise SpeaqError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, but the other shapes and the "
                f"configuration require {shapes[name]}; the checkpoint is damaged, or of another model"
            )
    model = SpeaqModel(model_values)
    return ConvertedModel(model, architecture, load_state(model, state))


def write_published(source: str | Path, path: Path) -> int:
    """Write a saved model under the names of the published implementation, which loads it with detectron2.

    Args:
        source: a folder or a model id, as for `Speaq.from_pretrained`.
        path: the ``.pth`` file to write.

    Returns:
        Number of tensors.

    Raises:
        SpeaqError: there is no model, the published model lacks parts of it, or the file cannot be written.
    """
    state = to_published(load_pretrained(SpeaqModel, source).state_dict())
    with replacing(path) as temporary:
        torch.save({"model": {name: tensor.clone() for name, tensor in state.items()}}, temporary)
    return len(state)


@dataclass(frozen=True)
class _Settings:
    """The configuration of a conversion; keys that were set explicitly must agree with the checkpoint."""

    path: Path
    config: Config

    def lookup(self, key: str) -> tuple[Any, bool]:
        """The value of a dotted key, and whether a file or an override has set it."""
        value: Any = self.config
        is_set = True
        for name in key.lower().split("."):
            is_set = is_set and name in value.model_fields_set
            value = getattr(value, name)
        return value, is_set

    def compare(self, description: str, found: Any, key: str, configured: Any = None) -> None:
        """Raise an error if a key was set to another value than the checkpoint has.

        Args:
            description: what the value is, for the message.
            found: the value in the checkpoint.
            key: the dotted key.
            configured: the value that follows from the key; by default the value of the key itself.
        """
        value, is_set = self.lookup(key)
        configured = value if configured is None else configured
        if is_set and configured != found:
            total = (
                f" (in total {configured})" if configured != value and not isinstance(value, tuple) else ""
            )
            raise SpeaqError(
                f"{self.path}: the checkpoint has {description} {found}, but {key} is {value}{total}; leave "
                "the key out, or use the configuration of the training that the checkpoint is from"
            )


def _merge(
    settings: _Settings, architecture: Architecture, vocabulary: Vocabulary, trained_with: bool
) -> ModelConfig:
    """The inferred values, and those of the configuration for the rest; an error where they contradict."""
    path, config = settings.path, settings.config
    for description, names, number, key in (
        ("object classes", vocabulary.objects, architecture.num_objects, "NUM_CLASSES"),
        ("predicates", vocabulary.predicates, architecture.num_predicates, "NUM_RELATION_CLASSES"),
    ):
        if number is not None and len(names) != number:
            raise SpeaqError(
                f"{path}: has {number} {description}, but the mapping dictionary names {len(names)}; give "
                "the dictionary of the data that it was trained on (a detector of other classes can still be "
                "used as MODEL.WEIGHTS of a training)"
            )
        settings.compare(description, len(names), f"MODEL.DETR.{key}")
    configured = model_config(config, vocabulary, np.zeros(0, dtype=np.int64))
    values = dict(architecture.known)
    for name, found in values.items():
        settings.compare(name.replace("_", " "), found, _KEYS[name], getattr(configured, name))
    if not trained_with:
        for item in dataclasses.fields(ModelConfig):
            if item.name.startswith("pixel_") and not settings.lookup(_KEYS[item.name])[1]:
                values[item.name] = item.default  # the published models share these defaults
    values["backbone"] = _merge_backbone(settings, architecture, configured, trained_with)
    merged = dataclasses.replace(configured, **values)
    if merged.hidden_dim % merged.num_heads or merged.hidden_dim % 4:
        raise SpeaqError(
            f"{path}: the hidden size is {merged.hidden_dim}; expected a multiple of 4 and of "
            f"MODEL.DETR.NHEADS, {merged.num_heads}; set MODEL.DETR.NHEADS as it was in the training"
        )
    return merged


def _merge_backbone(
    settings: _Settings, architecture: Architecture, configured: ModelConfig, trained_with: bool
) -> dict[str, Any]:
    """Configuration of the inferred ResNet, with the stride, which has no influence on shapes."""
    found, resnets = architecture.backbone, settings.config.model.resnets
    if found is None:
        return configured.backbone
    settings.compare("the backbone", RESNET, "MODEL.BACKBONE.NAME")
    depth = resnets.depth if resnets.depth in architecture.resnet_depths else architecture.resnet_depths[0]
    settings.compare("ResNet depth", depth, "MODEL.RESNETS.DEPTH")
    settings.compare("stem channels", found["embedding_size"], "MODEL.RESNETS.STEM_OUT_CHANNELS")
    if found["layer_type"] == "bottleneck":
        channels = found["hidden_sizes"][0]
        settings.compare("channels of the first stage", channels, "MODEL.RESNETS.RES2_OUT_CHANNELS")
    stages = len(found["depths"])
    key, last = "MODEL.RESNETS.OUT_FEATURES", max(int(name[-1]) - 1 for name in resnets.out_features)
    if architecture.kind == "backbone" and settings.lookup(key)[1]:
        stages = min(stages, last)  # an ImageNet model has all stages, a detector only those that it uses
    settings.compare("ResNet stages", stages, key, last)
    backbone = {
        **found,
        "hidden_sizes": found["hidden_sizes"][:stages],
        "depths": found["depths"][:stages],
        "out_features": [f"stage{stages}"],
    }
    if trained_with or settings.lookup("MODEL.RESNETS.STRIDE_IN_1X1")[1]:
        backbone["downsample_in_bottleneck"] = resnets.stride_in_1x1
    return backbone
