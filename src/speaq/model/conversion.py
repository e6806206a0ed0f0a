"""Parameter names of other implementations, translated to ours.

A published name is one of the original implementation, such as
``detr.transformer.decoder.subject_layers.0.self_attn.in_proj_weight``. A plain DETR detector (``DETR`` there)
and detectron2's ResNets (``res2.0.conv1.weight``) use parts of the same scheme.
"""

import re
from collections.abc import Iterator, Mapping

from torch import Tensor

# Published names (after "detr.") to ours, part by part; the first pattern that fits is applied.
_RESNET = r"(?:backbone\.0\.backbone\.)?"
_STAGE = "backbone.body.encoder.stages.{stage}.layers.{1}."
_GRAPH = r"transformer\.decoder\.(subject|object|relation)_graph_query_"
_PUBLISHED = [
    (_RESNET + r"stem\.conv1\.", "backbone.body.embedder.embedder."),
    (_RESNET + r"res(\d)\.(\d+)\.shortcut\.", _STAGE + "shortcut."),
    (_RESNET + r"res(\d)\.(\d+)\.conv(\d)\.", _STAGE + "layer.{conv}."),
    (r"input_proj\.", "projection."),
    (r"query_embed\.", "decoder.subject_embedding."),
    (r"object_query_embed\.", "decoder.object_embedding."),
    (r"relation_query_embed\.", "decoder.relation_embedding."),
    (r"(?:transformer\.object_embed|class_embed)\.", "heads.entity_class."),
    (r"transformer\.relation_embed\.", "heads.predicate_class."),
    (r"(?:transformer\.object_bbox_coords|bbox_embed)\.", "heads.box."),
    (r"transformer\.decoder\.subject_norm\.", "decoder.entity_norm."),
    (r"transformer\.decoder\.(object|relation)_pos_attn\.(\d+)\.", "decoder.{0}_position.{1}.attention."),
    (r"transformer\.decoder\.(object|relation)_pos_linear\.(\d+)\.", "decoder.{0}_position.{1}.linear."),
    (_GRAPH + r"attn\.(\d+)\.", "decoder.{0}_graph.{1}.attention."),
    (_GRAPH + r"residual\.(\d+)\.", "decoder.{0}_graph.{1}.linear."),
    (_GRAPH + r"norm\.", "decoder.{0}_graph_norm."),
    (r"transformer\.", ""),
]
_ENCODER_PARTS = {"self_attn": "attention", "norm1": "attention_norm", "norm2": "feedforward_norm"}
_DECODER_PARTS = {
    "self_attn": "self_attention",
    "multihead_attn": "cross_attention",
    "norm1": "self_norm",
    "norm2": "cross_norm",
    "norm3": "feedforward_norm",
}
_LAYER_PARTS = {"linear1": "feedforward.expand", "linear2": "feedforward.contract"}

# The one decoder of a detector initialises all three of ours (Iterative Scene Graph Generation, README).
_DETECTOR = {
    "transformer.decoder.layers.": ("subject_layers.", "object_layers.", "relation_layers."),
    "transformer.decoder.norm.": ("subject_norm.", "relation_norm."),
}


def _replicas(name: str) -> Iterator[str]:
    """The published names of a scene graph model that take the parameter ``name`` of a detector."""
    for prefix, places in _DETECTOR.items():
        if name.startswith(prefix):
            yield from ("transformer.decoder." + place + name.removeprefix(prefix) for place in places)
            return
    yield name


def _rename(name: str) -> str:
    """Our name of the module that the published parameter ``name`` (without "detr.") belongs to."""
    for pattern, replacement in _PUBLISHED:
        match = re.match(pattern, name)
        if match:
            groups = match.groups()
            numbers = {}
            if "{stage}" in replacement:
                numbers["stage"] = int(groups[0]) - 2
            if "{conv}" in replacement:
                numbers["conv"] = int(groups[2]) - 1
            name = replacement.format(*groups, **numbers) + name[match.end() :]
            break
    layer = re.match(r"(encoder|decoder)\.(\w*layers\.\d+)\.(\w+)\.", name)
    if layer:
        parts = _LAYER_PARTS | (_ENCODER_PARTS if layer[1] == "encoder" else _DECODER_PARTS)
        name = f"{layer[1]}.{layer[2]}.{parts.get(layer[3], layer[3])}.{name[layer.end() :]}"
    if name.startswith("backbone."):
        name = re.sub(r"\.norm\.", ".normalization.", name)
        name = re.sub(r"(embedder|shortcut|layer\.\d)\.weight$", r"\1.convolution.weight", name)
    return name.replace("out_proj.", "output.")


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Translate published parameters to ours.

    Packed attention matrices (``in_proj_*``) are split into query, key and value. The decoder of a plain DETR
    detector is taken three times: for subjects, objects and predicates.

    Args:
        state: tensors by published name.

    Returns:
        Tensors by our name; names that we do not know keep theirs, so that they can be reported.
    """
    ours: dict[str, Tensor] = {}
    for published, tensor in state.items():
        if published.endswith("num_batches_tracked"):
            continue
        for replica in _replicas(published.removeprefix("module.").removeprefix("detr.")):
            ours.update(_split(_rename(replica), tensor))
    return ours


def _split(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """The parameters of ours that one published attention parameter holds; any other one as it is."""
    packed = re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name)
    single = re.fullmatch(r"(.+)\.([qkv])_proj_weight", name)
    if packed and tensor.ndim and tensor.shape[0] % 3 == 0:
        for part, chunk in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
            yield f"{packed[1]}.{part}.{packed[2]}", chunk
    elif single:
        part = {"q": "query", "k": "key", "v": "value"}[single[2]]
        yield f"{single[1]}.{part}.weight", tensor
    else:
        yield name, tensor
