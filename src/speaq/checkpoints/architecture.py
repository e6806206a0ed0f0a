"""The architecture of a model, inferred from the shapes of its weights.

Shape letters: see `speaq.structures`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from speaq.errors import SpeaqError
from speaq.model.backbone import resnet_config

Kind = Literal["scene graph model", "detector", "backbone"]
_STAGES = "backbone.body.encoder.stages."
_DEPTHS = (50, 101, 152, 18, 34)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An inferred architecture.

    Attributes:
        kind: a whole model, a plain DETR detector (one decoder of objects), or only a backbone.
        known: the values of `ModelConfig` that were inferred, without the backbone.
        num_objects: C; None if the checkpoint has no such head.
        num_predicates: R; None if the checkpoint has no such head.
        resnet_depths: numbers of layers of the ResNets whose blocks match the weights.
        backbone: configuration of the first matching ResNet.
    """

    kind: Kind
    known: dict[str, Any] = field(default_factory=dict)
    num_objects: int | None = None
    num_predicates: int | None = None
    resnet_depths: tuple[int, ...] = ()
    backbone: dict[str, Any] | None = None


def infer_architecture(state: Mapping[str, Tensor]) -> Architecture:
    """Infer the architecture of a model from its weights.

    Args:
        state: tensors by the names of `SpeaqModel`, of a whole model or of a part.

    Raises:
        SpeaqError: there is neither a ResNet nor a transformer in it, or layers are missing.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    resnet = _infer_resnet(shapes)
    if not any(name.startswith(("decoder.", "encoder.")) for name in shapes):
        if not resnet:
            raise SpeaqError(
                f"contains neither a transformer nor a ResNet; its first names are {_some(sorted(shapes))}"
            )
        return Architecture(kind="backbone", **resnet)
    whole = "decoder.object_embedding.weight" in shapes or "heads.predicate_class.weight" in shapes
    queries = _size(shapes, "decoder.subject_embedding.weight", 0)
    predicate_queries = _size(shapes, "decoder.relation_embedding.weight", 0)
    classes = _size(shapes, "heads.entity_class.weight", 0)
    predicates = _size(shapes, "heads.predicate_class.weight", 0)
    values = {
        "hidden_dim": _size(shapes, "encoder.layers.0.attention.query.weight", 1)
        or _size(shapes, "decoder.subject_layers.0.self_attention.query.weight", 1),
        "feedforward_dim": _size(shapes, "decoder.subject_layers.0.feedforward.expand.weight", 0)
        or _size(shapes, "encoder.layers.0.feedforward.expand.weight", 0),
        "encoder_layers": _count(shapes, "encoder.layers."),
        "decoder_layers": _count(shapes, "decoder.subject_layers.") or None,
        "num_queries": queries,
        "query_multiplier": predicate_queries // queries if queries and predicate_queries else None,
        "reference_points": "point_logits" in shapes if whole else None,
        "dense_head": "token_class.weight" in shapes if whole else None,
    }
    return Architecture(
        kind="scene graph model" if whole else "detector",
        known={name: value for name, value in values.items() if value is not None},
        num_objects=classes - 1 if classes else None,
        num_predicates=predicates - 1 if predicates else None,
        **resnet,
    )


def _infer_resnet(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The depths of the ResNets whose blocks match, and the configuration of the first; empty if none."""
    stem = _size(shapes, "backbone.body.embedder.embedder.convolution.weight", 0)
    width = _size(shapes, f"{_STAGES}0.layers.0.layer.0.convolution.weight", 0)
    if not stem or not width:
        return {}
    blocks = [_count(shapes, f"{_STAGES}{i}.layers.") for i in range(_count(shapes, _STAGES))]
    deep = f"{_STAGES}0.layers.0.layer.2.convolution.weight" in shapes
    candidates = {
        depth: resnet_config(depth=depth, num_stages=len(blocks), stem_width=stem, width=width)
        for depth in _DEPTHS
        if len(blocks) <= 4
    }
    matching = {
        depth: config
        for depth, config in candidates.items()
        if config["depths"] == blocks and (config["layer_type"] == "bottleneck") == deep
    }
    if not matching:
        kind = "three" if deep else "two"
        raise SpeaqError(
            f"its ResNet has stages of {_some(blocks)} blocks with {kind} convolutions, which is none of "
            f"{_some(sorted(_DEPTHS))} layers"
        )
    return {"resnet_depths": tuple(matching), "backbone": next(iter(matching.values()))}


def _size(shapes: Mapping[str, tuple[int, ...]], name: str, axis: int) -> int | None:
    shape = shapes.get(name, ())
    return shape[axis] if len(shape) > axis else None


def _count(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> int:
    """Number of modules under ``prefix``: 0, 1, ... without a gap."""
    numbers = {int(match[1]) for name in shapes if (match := re.match(re.escape(prefix) + r"(\d+)\.", name))}
    for number in range(len(numbers)):
        if number not in numbers:
            raise SpeaqError(
                f"found {prefix}{max(numbers)}, but not {prefix}{number}; the checkpoint is incomplete"
            )
    return len(numbers)


def _some(items: list[Any]) -> str:
    return ", ".join(map(str, items[:5]))
