"""The configuration saved with a model: its architecture, vocabulary and pre-processing."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError, with_config

from speaq.errors import SpeaqError
from speaq.files import CONFIGURATION_BYTES, parse_json, regular
from speaq.structures import Vocabulary

Names = Annotated[tuple[str, ...], Field(min_length=1)]
Channels = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
Pixels = Annotated[int, Field(ge=1, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The architecture of a model, its vocabulary and its pre-processing.

    Attributes:
        objects: C object class names.
        predicates: R predicate names.
        predicate_counts: R occurrences in the training data (empty when unknown).
        backbone: configuration of a transformers backbone; ``model_type`` names its family.
        frozen_norm: use frozen batch norms (constants) in the backbone.
        freeze_at: number of backbone parts that are not trained; 1: the stem, 2: also the first stage, ...
        hidden_dim: D, width of the transformer.
        num_heads: attention heads.
        feedforward_dim: hidden width of the feed-forward networks.
        encoder_layers, decoder_layers: numbers of layers; decoder_layers is L.
        dropout: probability in attention, residual branches and feed-forward networks.
        num_queries: Q, entity queries.
        query_multiplier: m, predicate queries per entity query; P = m * Q.
        reference_points: predict boxes relative to a learnt reference point per query.
        dense_head: predict classes and boxes from every encoder token too, for the dense auxiliary loss.
        pixel_mean, pixel_std: per channel, in 0..255, in the order ``pixel_order``.
        pixel_order: "RGB" or "BGR", the channel order the backbone was trained with.
        min_size, max_size: at inference the shortest edge becomes ``min_size`` pixels, the longest at
            most ``max_size``.
        nms_threshold: IoU threshold of the class-wise NMS at inference.
    """

    objects: Names
    predicates: Names
    predicate_counts: tuple[NonNegativeInt, ...] = ()
    backbone: dict[str, Any] = field(default_factory=dict)
    frozen_norm: bool = True
    freeze_at: NonNegativeInt = 2
    hidden_dim: PositiveInt = 256
    num_heads: PositiveInt = 8
    feedforward_dim: PositiveInt = 2048
    encoder_layers: NonNegativeInt = 6
    decoder_layers: PositiveInt = 6
    dropout: Share = 0.1
    num_queries: PositiveInt = 300
    query_multiplier: PositiveInt = 1
    reference_points: bool = False
    dense_head: bool = False
    pixel_mean: Channels = (123.675, 116.28, 103.53)
    pixel_std: Channels = (58.395, 57.12, 57.375)
    pixel_order: Literal["RGB", "BGR"] = "RGB"
    min_size: Pixels = 800
    max_size: Pixels = 1333
    nms_threshold: Share = 0.5

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
        advice = "save the model again, or use the version that wrote it"
        try:
            values = parse_json(regular(path, CONFIGURATION_BYTES).read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise SpeaqError(f"{path}: cannot read the config.json of a model ({error.strerror})") from None
        except ValueError as error:
            raise SpeaqError(f"{path}: not valid JSON ({error}); {advice}") from None
        if not isinstance(values, dict) or values.pop("model_type", None) != "speaq":
            raise SpeaqError(f'{path}: expected the configuration of a speaq model ("model_type": "speaq")')
        try:
            config = TypeAdapter(cls).validate_json(json.dumps(values))
        except RecursionError:
            raise SpeaqError(f"{path}: not valid JSON (nested too deeply); {advice}") from None
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
            raise SpeaqError(f"{path}: {'; '.join(problems[:3])}; {advice}") from None
        if config.hidden_dim % config.num_heads or config.hidden_dim % 4:
            raise SpeaqError(
                f"{path}: hidden_dim is {config.hidden_dim}; expected a multiple of 4 and of num_heads, "
                f"{config.num_heads}; {advice}"
            )
        return config
