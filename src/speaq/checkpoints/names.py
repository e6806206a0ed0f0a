"""Translation of parameter names between the published implementation and `SpeaqModel`.

A published name is one of the original implementation, such as
``detr.transformer.decoder.subject_layers.0.self_attn.in_proj_weight``. A plain DETR detector (``DETR`` there)
and detectron2's ResNets (``res2.0.conv1.weight``) use parts of the same scheme. Three more schemes are read:
DETR's own (``backbone.0.body.layer1.0.conv1.weight``), torchvision's ResNets (``layer1.0.conv1.weight``) and
DETR in transformers (``model.encoder.layers.0.self_attn.q_proj.weight``).
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from speaq.errors import SpeaqError

_PREFIX = "detr."
# What distributed training, compilation, Lightning and the published model put before a name, or into it.
_WRAPPERS = re.compile(r"(?:(?:module|model|_orig_mod|_forward_module|detr)\.)+")
_INNER_WRAPPERS = re.compile(r"\b(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# The backbone of DETR's own checkpoints, of DETR in transformers, and of its image classifiers.
_BACKBONE = re.compile(r"(?:backbone\.(?:0\.body|(?:conv_encoder\.)?model(?:\._backbone)?)|resnet)\.")
_RESNET = "backbone.0.backbone."
_KINDS = ("subject", "object", "relation")
_PARTS = ("query", "key", "value")
_FEEDFORWARD = {"linear1": "feedforward.expand", "linear2": "feedforward.contract"}
_ENCODER = {"self_attn": "attention", "norm1": "attention_norm", "norm2": "feedforward_norm", **_FEEDFORWARD}
_DECODER = {
    "self_attn": "self_attention",
    "multihead_attn": "cross_attention",
    "norm1": "self_norm",
    "norm2": "cross_norm",
    "norm3": "feedforward_norm",
    **_FEEDFORWARD,
}


def _convolution(published: str, name: str) -> Iterator[tuple[str, str]]:
    """A convolution, and the norm that follows it."""
    yield f"{published}.norm", f"{name}.normalization"
    yield published, f"{name}.convolution"


def _places() -> Iterator[tuple[str, str]]:
    """Every module by its published name (without "detr.") and its name in `SpeaqModel`; # is a number."""
    yield from _convolution(_RESNET + "stem.conv1", "backbone.body.embedder.embedder")
    for stage in range(2, 6):
        published, name = f"{_RESNET}res{stage}.#.", f"backbone.body.encoder.stages.{stage - 2}.layers.#."
        yield from _convolution(published + "shortcut", name + "shortcut")
        for conv in range(1, 4):
            yield from _convolution(f"{published}conv{conv}", f"{name}layer.{conv - 1}")
    yield "input_proj", "projection"
    for published, part in _ENCODER.items():
        yield f"transformer.encoder.layers.#.{published}", f"encoder.layers.#.{part}"
    yield "query_embed", "decoder.subject_embedding"
    decoder = "transformer.decoder."
    for kind in _KINDS:
        for published, part in _DECODER.items():
            yield f"{decoder}{kind}_layers.#.{published}", f"decoder.{kind}_layers.#.{part}"
        yield f"{decoder}{kind}_graph_query_attn.#", f"decoder.{kind}_graph.#.attention"
        yield f"{decoder}{kind}_graph_query_residual.#", f"decoder.{kind}_graph.#.linear"
        yield f"{decoder}{kind}_graph_query_norm.#", f"decoder.{kind}_graph_norm.#"
    for kind in ("object", "relation"):
        yield f"{kind}_query_embed", f"decoder.{kind}_embedding"
        yield f"{decoder}{kind}_pos_attn.#", f"decoder.{kind}_position.#.attention"
        yield f"{decoder}{kind}_pos_linear.#", f"decoder.{kind}_position.#.linear"
    yield decoder + "subject_norm", "decoder.entity_norm"
    yield decoder + "relation_norm", "decoder.relation_norm"
    yield "transformer.object_embed", "heads.entity_class"
    yield "transformer.relation_embed", "heads.predicate_class"
    yield "transformer.object_bbox_coords.layers.#", "heads.box.layers.#"


# Names of a detector and of a plain backbone that differ. The decoder of a detector initializes all three
# decoders of a scene graph model (Iterative Scene Graph Generation, README).
_DETECTOR = {
    "transformer.decoder.layers.": tuple(f"transformer.decoder.{kind}_layers." for kind in _KINDS),
    "transformer.decoder.norm.": ("transformer.decoder.subject_norm.", "transformer.decoder.relation_norm."),
    "class_embed.": ("transformer.object_embed.",),
    "bbox_embed.": ("transformer.object_bbox_coords.",),
    "stem.": (_RESNET + "stem.",),
    **{f"res{stage}.": (f"{_RESNET}res{stage}.",) for stage in range(2, 6)},
}

# Modules of DETR in transformers, new and old names, by their names in DETR itself.
_TRANSFORMERS_PLACES = [
    ("query_position_embeddings", "query_embed"),
    ("input_projection", "input_proj"),
    ("class_labels_classifier", "class_embed"),
    ("bbox_predictor", "bbox_embed"),
    ("decoder.layernorm", "transformer.decoder.norm"),
    *(
        (f"{part}.layers.#.{name}", f"transformer.{part}.layers.#.{published}")
        for part in ("encoder", "decoder")
        for name, published in {
            "self_attn": "self_attn",
            "self_attn_layer_norm": "norm1",
            "encoder_attn": "multihead_attn",
            "encoder_attn_layer_norm": "norm2",
            "final_layer_norm": "norm2" if part == "encoder" else "norm3",
            "mlp.fc1": "linear1",
            "mlp.fc2": "linear2",
            "fc1": "linear1",
            "fc2": "linear2",
            "sa_v_proj": "self_attn.v_proj",
            "ca_v_proj": "multihead_attn.v_proj",
        }.items()
    ),
]
_PROJECTIONS = {"q": "query", "k": "key", "v": "value", "o": "output", "out": "output"}


def _torchvision_places() -> Iterator[tuple[str, str]]:
    """Every module of torchvision's ResNets, and its name in `SpeaqModel`."""
    yield "conv1", "backbone.body.embedder.embedder.convolution"
    yield "bn1", "backbone.body.embedder.embedder.normalization"
    for stage in range(4):
        layer, name = f"layer{stage + 1}.#.", f"backbone.body.encoder.stages.{stage}.layers.#."
        yield f"{layer}downsample.0", f"{name}shortcut.convolution"
        yield f"{layer}downsample.1", f"{name}shortcut.normalization"
        for conv in range(3):
            yield f"{layer}conv{conv + 1}", f"{name}layer.{conv}.convolution"
            yield f"{layer}bn{conv + 1}", f"{name}layer.{conv}.normalization"


Table = list[tuple[re.Pattern[str], str]]


def _table(pairs: list[tuple[str, str]]) -> Table:
    return [(re.compile(re.escape(a).replace(r"\#", r"(\d+)") + r"\."), b + ".") for a, b in pairs]


_FROM_PUBLISHED = _table(list(_places()))
_TO_PUBLISHED = _table([(name, published) for published, name in _places()])
_FROM_TRANSFORMERS = _table(_TRANSFORMERS_PLACES)
_FROM_TORCHVISION = _table(list(_torchvision_places()))


def _rename(name: str, table: Table) -> str | None:
    """The translated name of a parameter; None if its module is not in the table."""
    for pattern, place in table:
        match = pattern.match(name)
        if match:
            for number in match.groups():
                place = place.replace("#", number, 1)
            return place + name[match.end() :]
    return None


def _replicas(name: str) -> Iterator[str]:
    """The parameters of a published scene graph model that the parameter ``name`` initializes."""
    for prefix, places in _DETECTOR.items():
        if name.startswith(prefix):
            yield from (place + name.removeprefix(prefix) for place in places)
            return
    yield name


def _translate(name: str) -> Iterator[str]:
    """The parameters of `SpeaqModel` that the parameter ``name`` initializes; an unknown name is kept."""
    backbone = _BACKBONE.match(name)
    if backbone:
        rest = name[backbone.end() :]
        yield _rename(rest, _FROM_TORCHVISION) or f"backbone.body.{rest}"
        return
    for replica in _replicas(_rename(name, _FROM_TRANSFORMERS) or name):
        yield _rename(replica, _FROM_PUBLISHED) or _rename(replica, _FROM_TORCHVISION) or name


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate the parameters of other implementations to those of `SpeaqModel`, whose own names are kept.

    Prefixes that wrappers add (``module.``, ``_orig_mod.``, ``model.``) are removed. Packed attention
    matrices (``in_proj_*``) are split into query, key and value. The decoder of a plain DETR detector is used
    three times: for subjects, objects and predicates.

    Args:
        state: tensors by published name.

    Returns:
        Tensors by the names of `SpeaqModel`; unknown names are kept, so that they can be reported.

    Raises:
        SpeaqError: two names differ in such a prefix only.
    """
    translated: dict[str, Tensor] = {}
    origins: dict[str, str] = {}
    for published, tensor in state.items():
        if published.endswith("num_batches_tracked"):
            continue
        name = _INNER_WRAPPERS.sub("", published)
        prefix = _WRAPPERS.match(name)
        name = name[prefix.end() :] if prefix else name
        if origins.setdefault(name, published) != published:
            raise SpeaqError(
                f"has both {origins[name]} and {published}; save the tensors of one of the two models only"
            )
        for translation in _translate(name):
            translated.update(_split(translation, tensor))
    return translated


def _split(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The query, key and value parameters in a packed attention parameter; other parameters unchanged."""
    if name.startswith("backbone."):
        yield name, tensor
        return
    packed = re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name)
    single = re.fullmatch(r"(.+)\.([qkv])_proj_weight", name)
    if packed and tensor.ndim and tensor.shape[0] % 3 == 0:
        for part, chunk in zip(_PARTS, tensor.chunk(3), strict=True):
            yield f"{packed[1]}.{part}.{packed[2]}", chunk
    elif single:
        yield f"{single[1]}.{_PROJECTIONS[single[2]]}.weight", tensor
    else:
        yield re.sub(r"\b(q|k|v|o|out)_proj\.", lambda match: f"{_PROJECTIONS[match[1]]}.", name), tensor


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate parameters of `SpeaqModel` to published ones: the inverse of `from_published`.

    The three matrices of an attention are packed into one ``in_proj_weight`` (3 D, D), or remain separate if
    keys and values are wider than queries, as in PyTorch's attention; their biases are always packed.

    Args:
        state: tensors of a whole scene graph model.

    Raises:
        SpeaqError: the published model has no such parameter.
    """
    published: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new, value = name, tensor
        part = re.fullmatch(r"(.+attention)\.(query|key|value)\.(weight|bias)", name)
        if part:
            module, which, kind = part.groups()
            together = [state[f"{module}.{each}.{kind}"] for each in _PARTS]
            if together[0].shape != together[1].shape:
                new = f"{module}.{which[0]}_proj_weight"
            elif which == "query":
                new, value = f"{module}.in_proj_{kind}", torch.cat(together)
            else:  # packed together with the query
                continue
        renamed = _rename(new, _TO_PUBLISHED)
        if renamed is None:
            raise SpeaqError(
                f"{name}: the published model has no such parameter; only a model with a ResNet backbone, "
                "without reference points and dense head, can be written under the published names"
            )
        published[_PREFIX + renamed.replace(".output.", ".out_proj.")] = value
    return published
