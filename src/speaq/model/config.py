"""What a model is made of: everything needed to build it again, and nothing about training."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of a model, its vocabulary, and how images reach it.

    Attributes:
        objects: C object class names.
        predicates: R predicate names.
        predicate_counts: R occurrences in the training data (empty when unknown).
        backbone: configuration of a transformers backbone; ``model_type`` names its family.
        frozen_norm: batch norms of the backbone are constants (FrozenBN) instead of being trained.
        freeze_at: parts of the backbone that are not trained; 1: the stem, 2: and the first stage, ...
        hidden_dim: D, width of the transformer.
        num_heads: attention heads.
        feedforward_dim: hidden width of the feed-forward networks.
        encoder_layers, decoder_layers: how many of each.
        dropout: probability, in attention, residual branches and feed-forward networks.
        num_queries: Q, entity queries.
        query_multiplier: m, predicate queries per entity query; P = m * Q.
        reference_points: boxes are predicted relative to a learnt point per query.
        dense_head: classes and boxes are also predicted from every encoder token (for the dense loss).
        pixel_mean, pixel_std: per channel, in 0..255, in the order ``pixel_order``.
        pixel_order: "RGB" or "BGR", the channel order the backbone was trained with.
        min_size, max_size: at inference the shortest edge becomes ``min_size`` pixels, the longest at
            most ``max_size``.
        nms_threshold: class-wise suppression at inference, IoU.
    """

    objects: tuple[str, ...]
    predicates: tuple[str, ...]
    predicate_counts: tuple[int, ...] = ()
    backbone: dict[str, Any] = field(default_factory=dict)
    frozen_norm: bool = True
    freeze_at: int = 2
    hidden_dim: int = 256
    num_heads: int = 8
    feedforward_dim: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    dropout: float = 0.1
    num_queries: int = 300
    query_multiplier: int = 1
    reference_points: bool = False
    dense_head: bool = False
    pixel_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, ...] = (58.395, 57.12, 57.375)
    pixel_order: str = "RGB"
    min_size: int = 800
    max_size: int = 1333
    nms_threshold: float = 0.5

    @property
    def vocabulary(self) -> Vocabulary:
        """The class names."""
        return Vocabulary(self.objects, self.predicates)

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return json.dumps({"model_type": "speaq", **dataclasses.asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> "ModelConfig":
        """Read ``config.json``.

        Raises:
            SpeaqError: the file is missing, not JSON, or not the configuration of a speaq model.
        """
        try:
            values = json.loads(path.read_text())
        except FileNotFoundError:
            raise SpeaqError(f"{path}: no such file; expected the config.json of a saved model") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise SpeaqError(f"{path}: not valid JSON ({error}); save the model again") from None
        if not isinstance(values, dict) or values.pop("model_type", None) != "speaq":
            raise SpeaqError(f'{path}: expected the configuration of a speaq model ("model_type": "speaq")')
        known = {item.name: item for item in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        missing = sorted({"objects", "predicates"} - set(values))
        if unknown or missing:
            raise SpeaqError(
                f"{path}: unknown keys {unknown}, missing keys {missing}; written by another version?"
            )
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **lists})
