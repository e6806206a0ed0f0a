"""A small model that is fast to build, save and run."""

from typing import Any

from speaq.model.backbone import resnet_config
from speaq.model.config import ModelConfig


def tiny_config(**changes: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "objects": ("cup", "table"),
        "predicates": ("on",),
        "backbone": resnet_config(depth=18, stem_width=8, width=8),
        "hidden_dim": 16,
        "num_heads": 2,
        "feedforward_dim": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "num_queries": 4,
    }
    return ModelConfig(**{**values, **changes})
