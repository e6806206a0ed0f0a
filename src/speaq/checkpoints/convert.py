"""Checkpoints of the published implementation to folders of ours, and back.

Shapes tell most of an architecture; the configuration tells the rest, and may not contradict them.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speaq.checkpoints.architecture import Architecture, infer_architecture
from speaq.checkpoints.names import to_published
from speaq.checkpoints.weights import LoadReport, load_pretrained, load_state, read_weights
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
_STRIDE = "MODEL.RESNETS.STRIDE_IN_1X1"
_PUBLISHED_PIXELS = ("pixel_mean", "pixel_std", "pixel_order")


@dataclass(frozen=True)
class Conversion:
    """A model made from a checkpoint.

    Attributes:
        model: the model.
        architecture: what the shapes told.
        report: which tensors the model has from the checkpoint.
    """

    model: SpeaqModel
    architecture: Architecture
    report: LoadReport


def convert_checkpoint(
    path: Path, *, vocabulary: Vocabulary, config: Config, trained_with: bool = True
) -> Conversion:
    """Make a model from a published checkpoint: a scene graph model, a DETR detector or a ResNet.

    Args:
        path: the checkpoint.
        vocabulary: the names of its classes.
        config: what shapes cannot tell.
        trained_with: whether all of ``config`` belongs to the checkpoint; else only the keys that were set
            do, and pixels are as the published models and `ModelConfig` have them.

    Raises:
        SpeaqError: the checkpoint cannot be read, contradicts itself or the configuration, or has other
            numbers of classes.
    """
    state = read_weights(path)
    try:
        architecture = infer_architecture(state)
    except SpeaqError as error:
        raise SpeaqError(f"{path}: {error}") from None
    model_values = _settle(path, architecture, vocabulary, config, trained_with)
    with torch.device("meta"):  # costs nothing, whatever the sizes are
        shapes = {name: tuple(tensor.shape) for name, tensor in SpeaqModel(model_values).state_dict().items()}
    for name, tensor in state.items():
        if tuple(tensor.shape) != shapes.get(name, tuple(tensor.shape)):
            raise SpeaqError(
                f"{path}: {name} has the shape {tuple(tensor.shape)}, but with the other shapes and the "
                f"configuration it must be {shapes[name]}; the checkpoint is damaged, or of another model"
            )
    model = SpeaqModel(model_values)
    return Conversion(model, architecture, load_state(model, state))


def write_published(source: str | Path, path: Path) -> int:
    """Write a model of ours under the published names, as detectron2 loads it.

    Args:
        source: whatever `Speaq.from_pretrained` takes.
        path: the ``.pth`` file to write.

    Returns:
        How many tensors there are.

    Raises:
        SpeaqError: there is no model, the published one has not its parts, or the file cannot be written.
    """
    state = to_published(load_pretrained(SpeaqModel, source).state_dict())
    with replacing(path) as temporary:
        torch.save({"model": {name: tensor.clone() for name, tensor in state.items()}}, temporary)
    return len(state)


def _settle(
    path: Path, architecture: Architecture, vocabulary: Vocabulary, config: Config, trained_with: bool
) -> ModelConfig:
    """What the shapes tell, else what the configuration says; an error where the two differ."""
    for what, names, number, key in (
        ("object classes", vocabulary.objects, architecture.num_objects, "NUM_CLASSES"),
        ("predicates", vocabulary.predicates, architecture.num_predicates, "NUM_RELATION_CLASSES"),
    ):
        if number is not None and len(names) != number:
            raise SpeaqError(
                f"{path}: has {number} {what}, but the mapping dictionary names {len(names)}; give the "
                "dictionary of the data that it was trained on (a detector of other classes can still be "
                "MODEL.WEIGHTS of a training, as it is)"
            )
        key = f"MODEL.DETR.{key}"
        _compare(path, what, len(names), config, key, _value(config, key))
    configured = model_config(config, vocabulary, np.zeros(0, dtype=np.int64))
    defaults = {item.name: item.default for item in dataclasses.fields(ModelConfig)}
    values: dict[str, Any] = {}
    for name, found in architecture.known().items():
        _compare(path, name.replace("_", " "), found, config, _KEYS[name], getattr(configured, name))
        values[name] = found
    if not trained_with:
        values |= {name: defaults[name] for name in _PUBLISHED_PIXELS if not _is_set(config, _KEYS[name])}
    values["backbone"] = _settle_backbone(path, architecture, configured, config, trained_with)
    settled = dataclasses.replace(configured, **values)
    if settled.hidden_dim % settled.num_heads or settled.hidden_dim % 4:
        raise SpeaqError(
            f"{path}: the hidden size is {settled.hidden_dim}; expected a multiple of 4 and of "
            f"MODEL.DETR.NHEADS, {settled.num_heads}; set MODEL.DETR.NHEADS as it was in the training"
        )
    return settled


def _settle_backbone(
    path: Path, architecture: Architecture, configured: ModelConfig, config: Config, trained_with: bool
) -> dict[str, Any]:
    """Configuration of the ResNet that was found, with the stride that no shape tells."""
    found, resnets = architecture.backbone, config.model.resnets
    if found is None:
        return configured.backbone
    _compare(path, "the backbone", RESNET, config, "MODEL.BACKBONE.NAME", config.model.backbone.name)
    depth = resnets.depth if resnets.depth in architecture.resnet_depths else architecture.resnet_depths[0]
    _compare(path, "ResNet depth", depth, config, "MODEL.RESNETS.DEPTH", resnets.depth)
    key = "MODEL.RESNETS.STEM_OUT_CHANNELS"
    _compare(path, "stem channels", found["embedding_size"], config, key, resnets.stem_out_channels)
    if found["layer_type"] == "bottleneck":
        key, width = "MODEL.RESNETS.RES2_OUT_CHANNELS", resnets.res2_out_channels
        _compare(path, "channels of the first stage", found["hidden_sizes"][0], config, key, width)
    stages = len(found["depths"])
    key, last = "MODEL.RESNETS.OUT_FEATURES", max(int(name[-1]) - 1 for name in resnets.out_features)
    if architecture.kind == "backbone" and _is_set(config, key):
        stages = min(stages, last)  # an ImageNet model has all of them, a detector what it uses
    _compare(path, "ResNet stages", stages, config, key, last)
    stride = resnets.stride_in_1x1 if trained_with or _is_set(config, _STRIDE) else None
    return {
        **found,
        "hidden_sizes": found["hidden_sizes"][:stages],
        "depths": found["depths"][:stages],
        "out_features": [f"stage{stages}"],
        "downsample_in_bottleneck": found["downsample_in_bottleneck"] if stride is None else stride,
    }


def _compare(path: Path, what: str, found: Any, config: Config, key: str, configured: Any) -> None:
    """A key that was set must agree with the checkpoint."""
    if _is_set(config, key) and configured != found:
        value = _value(config, key)
        total = f", which makes {configured}" if configured != value and not isinstance(value, tuple) else ""
        raise SpeaqError(
            f"{path}: the checkpoint has {what} {found}, but {key} is {value}{total}; leave the key out, or "
            "use the configuration of the training that the checkpoint is from"
        )


def _is_set(config: Config, key: str) -> bool:
    """Whether a file or an override has set the dotted key."""
    section: Any = config
    for part in key.lower().split("."):
        if part not in section.model_fields_set:
            return False
        section = getattr(section, part)
    return True


def _value(config: Config, key: str) -> Any:
    section: Any = config
    for part in key.lower().split("."):
        section = getattr(section, part)
    return section
