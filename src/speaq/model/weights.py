"""Weights on disk: our own folders, and the parameter names of published checkpoints.

A published name is one of the original implementation, such as
``detr.transformer.decoder.subject_layers.0.self_attn.in_proj_weight``.
"""

import pickle
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from speaq.errors import SpeaqError
from speaq.model.config import ModelConfig

if TYPE_CHECKING:
    from speaq.model.speaq import Speaq

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

# Published names (after "detr.") to ours, part by part; the first pattern that fits is applied.
_STAGE = "backbone.body.encoder.stages.{stage}.layers.{1}."
_GRAPH = r"transformer\.decoder\.(subject|object|relation)_graph_query_"
_PUBLISHED = [
    (r"backbone\.0\.backbone\.stem\.conv1\.", "backbone.body.embedder.embedder."),
    (r"backbone\.0\.backbone\.res(\d)\.(\d+)\.shortcut\.", _STAGE + "shortcut."),
    (r"backbone\.0\.backbone\.res(\d)\.(\d+)\.conv(\d)\.", _STAGE + "layer.{conv}."),
    (r"input_proj\.", "projection."),
    (r"query_embed\.", "decoder.subject_embedding."),
    (r"object_query_embed\.", "decoder.object_embedding."),
    (r"relation_query_embed\.", "decoder.relation_embedding."),
    (r"transformer\.object_embed\.", "heads.entity_class."),
    (r"transformer\.relation_embed\.", "heads.predicate_class."),
    (r"transformer\.object_bbox_coords\.", "heads.box."),
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

    Packed attention matrices (``in_proj_*``) are split into query, key and value.

    Args:
        state: tensors by published name.

    Returns:
        Tensors by our name; names that we do not know keep theirs, so that they can be reported.
    """
    ours: dict[str, Tensor] = {}
    for published, tensor in state.items():
        if published.endswith("num_batches_tracked"):
            continue
        name = _rename(published.removeprefix("detr."))
        packed = re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name)
        split = re.fullmatch(r"(.+)\.([qkv])_proj_weight", name)
        if packed:
            for part, chunk in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                ours[f"{packed[1]}.{part}.{packed[2]}"] = chunk
        elif split:
            part = {"q": "query", "k": "key", "v": "value"}[split[2]]
            ours[f"{split[1]}.{part}.weight"] = tensor
        else:
            ours[name] = tensor
    return ours


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file by our names: ``.safetensors`` of ours, or a published ``.pth``.

    Raises:
        SpeaqError: the file is missing, unreadable, or needs unsafe unpickling.
    """
    if path.is_dir():
        path = find_checkpoint(path) / WEIGHTS_FILE
    if not path.is_file():
        raise SpeaqError(
            f"{path}: no such weights file; give a .pth or .safetensors file, or the folder of a model"
        )
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise SpeaqError(
            f"{path}: not a checkpoint of plain tensors ({str(error).splitlines()[0]}); save its weights "
            "again with torch.save({'model': state_dict}, path)"
        ) from error
    state = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise SpeaqError(f"{path}: expected a dictionary of tensors, or one under 'model'; found none")
    return from_published({name: value for name, value in state.items() if isinstance(value, Tensor)})


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SpeaqError(
            f"{path}: not a readable safetensors file ({error}); copy or save it again"
        ) from error


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a checkpoint.

    Attributes:
        loaded: our names that were set.
        missing: our names that the checkpoint has not.
        unexpected: names of the checkpoint that we have not.
        mismatched: names of another shape, with both shapes in words.
    """

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        for name in ("missing", "unexpected", "mismatched"):
            names: list[str] = getattr(self, name)
            if names:
                text += f"; {len(names)} {name} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        return text


def load_matching(model: "Speaq", path: Path) -> LoadReport:
    """Start training from a checkpoint: take every tensor whose name and shape fit.

    Raises:
        SpeaqError: the file cannot be read, or nothing in it fits.
    """
    state, own = read_weights(path), model.state_dict()
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in state if name in own}
    fitting = {name: state[name] for name, (theirs, ours) in shapes.items() if theirs == ours}
    report = LoadReport(
        loaded=sorted(fitting),
        missing=sorted(
            name for name in own if name not in state and not name.endswith("num_batches_tracked")
        ),
        unexpected=sorted(name for name in state if name not in own),
        mismatched=sorted(f"{name} {a} for {b}" for name, (a, b) in shapes.items() if a != b),
    )
    if not fitting:
        raise SpeaqError(
            f"{path}: no tensor fits this model ({report}); is MODEL.WEIGHTS of another architecture?"
        )
    model.load_state_dict(fitting, strict=False)
    return report


def is_pretrained(folder: Path) -> bool:
    """Whether ``folder`` holds a saved model."""
    return (folder / CONFIG_FILE).is_file() and (folder / WEIGHTS_FILE).is_file()


def find_checkpoint(folder: Path) -> Path:
    """The folder that holds the weights: ``folder`` itself, or in a training's output the best or newest one.

    Raises:
        SpeaqError: there is none.
    """
    newest = sorted((folder / "checkpoints").glob("iter_*"))
    for candidate in (folder, folder / "best", *reversed(newest)):
        if is_pretrained(candidate):
            return candidate
    raise SpeaqError(
        f"{folder}: no model here; expected {CONFIG_FILE} and {WEIGHTS_FILE}, or a training's output"
    )


def load_pretrained(cls: "type[Speaq]", source: str | Path, *, revision: str | None) -> "Speaq":
    """See :meth:`speaq.model.speaq.Speaq.from_pretrained`."""
    folder = Path(source)
    if not folder.is_dir():
        if folder.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) or folder.parent.is_dir():
            raise SpeaqError(f"{source}: no such folder, and not a model id of the form owner/name")
        folder = _download(str(source), revision)
    folder = find_checkpoint(folder)
    model = cls(ModelConfig.from_json(folder / CONFIG_FILE))
    state, own = _load_safetensors(folder / WEIGHTS_FILE), model.state_dict()
    problems = [f"missing {name}" for name in own if name not in state]
    problems += [f"unexpected {name}" for name in state if name not in own]
    problems += [
        f"{name} is {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if problems:
        raise SpeaqError(
            f"{folder / WEIGHTS_FILE}: does not fit {CONFIG_FILE} beside it: {'; '.join(problems[:3])} "
            f"({len(problems)} problems)"
        )
    model.load_state_dict(state)
    return model


def _download(repo_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_id, revision=revision, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SpeaqError(
            f"{repo_id}: neither a folder here nor a model on the hub that can be read ({reason})"
        ) from None


def save_pretrained(model: "Speaq", folder: Path) -> None:
    """See :meth:`speaq.model.speaq.Speaq.save_pretrained`; each file is written whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
        save_file(state, Path(temporary) / WEIGHTS_FILE, metadata={"format": "pt"})
        (Path(temporary) / CONFIG_FILE).write_text(model.config.to_json())
        for name in (WEIGHTS_FILE, CONFIG_FILE):
            (Path(temporary) / name).replace(folder / name)


def push_to_hub(model: "Speaq", repo_id: str, *, private: bool, token: str | None) -> str:
    """See :meth:`speaq.model.speaq.Speaq.push_to_hub`."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, Path(folder))
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))
