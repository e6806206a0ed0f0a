"""Translation of parameter names between the published implementation and `SpeaqModel`.

A published name is one of the original implementation, such as
``detr.transformer.decoder.subject_layers.0.self_attn.in_proj_weight``. A plain DETR detector (``DETR`` there)
and detectron2's ResNets (``res2.0.conv1.weight``) use parts of the same scheme.

D: hidden size, K: width of keys and values.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from speaq.errors import SpeaqError

_PREFIX = "detr."
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


def _convolution(published: str, ours: str) -> Iterator[tuple[str, str]]:
    """A convolution, and the norm that follows it."""
    yield f"{published}.norm", f"{ours}.normalization"
    yield published, f"{ours}.convolution"


def _places() -> Iterator[tuple[str, str]]:
    """Every module by its published name (without "detr.") and its name in `SpeaqModel`; # is a number."""
    yield from _convolution(_RESNET + "stem.conv1", "backbone.body.embedder.embedder")
    for stage in range(2, 6):
        published, ours = f"{_RESNET}res{stage}.#.", f"backbone.body.encoder.stages.{stage - 2}.layers.#."
        yield from _convolution(published + "shortcut", ours + "shortcut")
        for conv in range(1, 4):
            yield from _convolution(f"{published}conv{conv}", f"{ours}layer.{conv - 1}")
    yield "input_proj", "projection"
    for theirs, part in _ENCODER.items():
        yield f"transformer.encoder.layers.#.{theirs}", f"encoder.layers.#.{part}"
    yield "query_embed", "decoder.subject_embedding"
    decoder = "transformer.decoder."
    for kind in _KINDS:
        for theirs, part in _DECODER.items():
            yield f"{decoder}{kind}_layers.#.{theirs}", f"decoder.{kind}_layers.#.{part}"
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

Table = list[tuple[re.Pattern[str], str]]


def _table(pairs: list[tuple[str, str]]) -> Table:
    return [(re.compile(re.escape(a).replace(r"\#", r"(\d+)") + r"\."), b + ".") for a, b in pairs]


_TO_OURS = _table(list(_places()))
_TO_PUBLISHED = _table([(ours, published) for published, ours in _places()])


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


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate published parameters to those of `SpeaqModel`.

    Packed attention matrices (``in_proj_*``) are split into query, key and value. The decoder of a plain DETR
    detector is used three times: for subjects, objects and predicates.

    Args:
        state: tensors by published name.

    Returns:
        Tensors by the names of `SpeaqModel`; unknown names are kept, so that they can be reported.
    """
    ours: dict[str, Tensor] = {}
    for published, tensor in state.items():
        if published.endswith("num_batches_tracked"):
            continue
        plain = published.removeprefix("module.").removeprefix(_PREFIX)
        for replica in _replicas(plain):
            name = _rename(replica, _TO_OURS) or plain
            ours.update(_split(name.replace("out_proj.", "output."), tensor))
    return ours


def _split(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The query, key and value parameters in a packed attention parameter; other parameters unchanged."""
    packed = re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name)
    single = re.fullmatch(r"(.+)\.([qkv])_proj_weight", name)
    if packed and tensor.ndim and tensor.shape[0] % 3 == 0:
        for part, chunk in zip(_PARTS, tensor.chunk(3), strict=True):
            yield f"{packed[1]}.{part}.{packed[2]}", chunk
    elif single:
        part = next(part for part in _PARTS if part.startswith(single[2]))
        yield f"{single[1]}.{part}.weight", tensor
    else:
        yield name, tensor


def to_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate parameters of `SpeaqModel` to published ones: the inverse of `from_published`.

    The three matrices of an attention become one ``in_proj_weight`` (3 D, D), or stay apart where keys and
    values are wider than queries (K != D), as PyTorch's attention has them; their biases are always one.

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
        theirs = _rename(new, _TO_PUBLISHED)
        if theirs is None:
            raise SpeaqError(
                f"{name}: the published model has no such parameter; only a model with a ResNet backbone, "
                "without reference points and dense head, can be written under the published names"
            )
        published[_PREFIX + theirs.replace(".output.", ".out_proj.")] = value
    return published
