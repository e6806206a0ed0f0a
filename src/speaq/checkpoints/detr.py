"""What a DETR detector and a torchvision ResNet differ in from a model that they initialize."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from speaq.model.config import ModelConfig
from speaq.structures import Vocabulary

DETR_TYPES = ("detr", "conditional_detr")
"""The ``model_type`` of the detectors of transformers that initialize a model."""

_CONDITIONAL = "decoder.ref_point_head."
_CONDITIONAL_PARTS = ("heads.", "decoder.subject_embedding.")


def without_conditional_parts(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that mean the same in a DETR, if they are those of a Conditional DETR.

    Its query embeddings and heads belong to reference points and to classes without "no object" (Meng et al.,
    ICCV 2021).

    Args:
        state: tensors by the names of `SpeaqModel`.
    """
    if not any(name.startswith(_CONDITIONAL) for name in state):
        return dict(state)
    return {name: tensor for name, tensor in state.items() if not name.startswith(_CONDITIONAL_PARTS)}


def saved_vocabulary(values: Mapping[str, Any]) -> Vocabulary:
    """The class names in the config.json of a saved model or of a DETR of transformers; empty if unknown."""
    labels = values.get("id2label")
    if values.get("model_type") == "detr" and isinstance(labels, dict):
        return Vocabulary(tuple(str(labels.get(str(place), "")) for place in range(len(labels))), ())
    names = (values.get(kind) for kind in ("objects", "predicates"))
    return Vocabulary(*(tuple(map(str, each)) if isinstance(each, list) else () for each in names))


def detr_differences(
    config: ModelConfig, values: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Iterator[str]:
    """Sentences about settings without weights in which a model (``config``) differs from the checkpoint.

    The checkpoint has ``tensors`` by its own names; ``values`` is its config.json, or empty.
    """
    if values.get("model_type") in DETR_TYPES:
        for key, default, own in (
            ("encoder_attention_heads", 8, config.num_heads),
            ("activation_function", "relu", "relu"),
            ("position_embedding_type", "sine", "sine"),
            ("dilation", False, False),
        ):
            found = values.get(key, default)
            if found != own:
                yield f"the checkpoint has {key} {found}, the model {own}; its features will differ"
    elif not any("layer1.0.conv1." in name for name in tensors):
        return
    yield from resnet_differences(config)


def resnet_differences(config: ModelConfig) -> Iterator[str]:
    """A sentence about the keys in which a model differs from torchvision's ResNets, and so from DETR."""
    found = {
        "INPUT.FORMAT": (config.pixel_order, "RGB"),
        "MODEL.PIXEL_MEAN": (config.pixel_mean, ModelConfig.pixel_mean),
        "MODEL.PIXEL_STD": (config.pixel_std, ModelConfig.pixel_std),
        "MODEL.RESNETS.STRIDE_IN_1X1": (config.backbone.get("downsample_in_bottleneck", False), False),
    }
    settings = [f"{key} {expected}" for key, (own, expected) in found.items() if own != expected]
    if settings:
        yield f"the checkpoint was probably trained with other images or strides; set {', '.join(settings)}"
