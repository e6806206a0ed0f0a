"""Weights on disk: our own folders, and checkpoints of other implementations."""

import codecs
import pickle
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from speaq.errors import SpeaqError
from speaq.files import DAMAGE
from speaq.model.config import ModelConfig
from speaq.model.conversion import from_published

if TYPE_CHECKING:
    from speaq.model.speaq import Speaq

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"

# What detectron2 writes besides tensors: numpy arrays, and numbers such as the best metric so far. A pickle
# names the two functions that make them by a module which numpy 2 moved.
_NUMPY = {"_reconstruct": np.empty(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
_HARMLESS = {
    **{f"numpy.{core}.multiarray.{name}": _NUMPY[name] for core in ("core", "_core") for name in _NUMPY},
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "_codecs.encode": codecs.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays in plain containers, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """The harmless class or function of that name."""
        try:
            return _HARMLESS[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"holds a {module}.{name}") from None


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file by our names.

    Args:
        path: ``.safetensors`` of ours or the folder of it, a published ``.pth``, or a ``.pkl`` of numpy
            arrays as detectron2 gives its pretrained ResNets.

    Raises:
        SpeaqError: the file is missing, unreadable, or needs unsafe unpickling.
    """
    if path.is_dir():
        path = find_checkpoint(path) / WEIGHTS_FILE
    if not path.is_file():
        raise SpeaqError(
            f"{path}: no such weights file; give a .pth, .pkl or .safetensors file, or the folder of a model"
        )
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    try:
        content = _read_pickle(path) if path.suffix == ".pkl" else _read_checkpoint(path)
    except (OSError, *DAMAGE) as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"holds a {refused[1]}" if refused else str(error).partition("\n")[0] or "it ends too early"
        raise SpeaqError(
            f"{path}: not a checkpoint of plain tensors ({reason}); save its weights again with "
            "torch.save({'model': state_dict}, path)"
        ) from error
    state = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    tensors = {
        str(name): torch.as_tensor(value)
        for name, value in (state.items() if isinstance(state, dict) else ())
        if isinstance(value, Tensor | np.ndarray)
    }
    if not tensors:
        raise SpeaqError(f"{path}: expected a dictionary of tensors, or one under 'model'; found none")
    return from_published(tensors)


def _read_checkpoint(path: Path) -> Any:
    dtypes = [type(np.dtype(code)) for code in "?bhilBHILefd"]
    with torch.serialization.safe_globals([*((value, name) for name, value in _HARMLESS.items()), *dtypes]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        return _ArrayUnpickler(file, encoding="latin1").load()


def read_safetensors(path: Path, advice: str = "copy or save it again") -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file.

    Args:
        path: the file.
        advice: what to do about a file that cannot be read, for the message.

    Raises:
        SpeaqError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SpeaqError(f"{path}: not a readable safetensors file ({error}); {advice}") from error


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


def _names(these: dict[str, Tensor], without: dict[str, Tensor]) -> list[str]:
    """Names that only the first has; counts of batches that a norm has seen do not matter."""
    return sorted(name for name in these if name not in without and not name.endswith("num_batches_tracked"))


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
        missing=_names(own, state),
        unexpected=_names(state, own),
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


def models_in_training(output_dir: Path) -> list[Path]:
    """The models among the checkpoints that a training has left in its output folder, the newest last."""
    folders = [
        folder
        for folder in (output_dir / "checkpoints").glob("iter_*")
        if re.fullmatch(r"iter_\d+", folder.name) and is_pretrained(folder)
    ]
    return sorted(folders, key=lambda folder: int(folder.name.removeprefix("iter_")))


def find_checkpoint(folder: Path) -> Path:
    """The folder that holds the weights: ``folder`` itself, or in a training's output the best or newest one.

    Raises:
        SpeaqError: there is none.
    """
    for candidate in (folder, folder / "best", *reversed(models_in_training(folder))):
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
    state, own = read_safetensors(folder / WEIGHTS_FILE), model.state_dict()
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


def write_model(folder: Path, config: str, state: Mapping[str, Tensor]) -> None:
    """Write the two files of a saved model: ``config`` as JSON text and the tensors of ``state``."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CONFIG_FILE).write_text(config)


def save_pretrained(model: "Speaq", folder: Path) -> None:
    """See :meth:`speaq.model.speaq.Speaq.save_pretrained`; each file is written whole or not at all."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            write_model(Path(temporary), model.config.to_json(), model.state_dict())
            for name in (WEIGHTS_FILE, CONFIG_FILE):
                (Path(temporary) / name).replace(folder / name)
    except (OSError, SafetensorError) as error:
        raise SpeaqError(f"{folder}: cannot write a model here: {error}") from error


def push_to_hub(model: "Speaq", repo_id: str, *, private: bool, token: str | None) -> str:
    """See :meth:`speaq.model.speaq.Speaq.push_to_hub`."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    api.create_repo(repo_id, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(model, Path(folder))
        return str(api.upload_folder(repo_id=repo_id, folder_path=folder))
