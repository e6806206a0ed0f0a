"""Reading the checkpoints of others, without trusting them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from speaq.checkpoints.inspection import NUMPY, inspect_checkpoint, read_arrays
from speaq.errors import SpeaqError
from speaq.files import DAMAGE

# How a page that a server sends instead of a file begins, or the pointer that git keeps for a large one.
_NO_DOWNLOAD = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")


def read_published(path: Path) -> dict[str, Tensor]:
    """Tensors of a published checkpoint, on the CPU, by their names in it. Nothing in the file is executed.

    Args:
        path: what torch.save wrote, or a ``.pkl`` of numpy arrays as detectron2 gives its pretrained ResNets.

    Raises:
        SpeaqError: the file is damaged, holds other things than weights, or claims to be larger than it is.
    """
    try:
        tensors = _tensors(read_arrays(path) if path.suffix == ".pkl" else _read_checkpoint(path))
    except (OSError, *DAMAGE) as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"holds a {refused[1]}" if refused else str(error).partition("\n")[0] or "it ends too early"
        advice = "save its weights again with torch.save({'model': state_dict}, path)"
        if _is_no_download(path):
            reason, advice = "it is a text that a server sent instead", "download it again"
        raise SpeaqError(f"{path}: not a checkpoint of plain tensors ({reason}); {advice}") from error
    if not tensors:
        raise SpeaqError(f"{path}: expected a dictionary of tensors, or one under 'model'; found none")
    return tensors


def _read_checkpoint(path: Path) -> Any:
    inspect_checkpoint(path)
    dtypes = [type(np.dtype(code)) for code in "?bhilBHILefd"]
    with torch.serialization.safe_globals([*((value, name) for name, value in NUMPY.items()), *dtypes]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _tensors(content: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without what training has left beside them."""
    state = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        return {}
    tensors = {
        str(name): torch.as_tensor(value).detach()
        for name, value in state.items()
        if isinstance(value, Tensor | np.ndarray)
    }
    for name, tensor in tensors.items():
        if tensor.numel() == 0 or tensor.is_complex():
            raise ValueError(f"{name!r} is {tuple(tensor.shape)} {tensor.dtype}, not weights")
    return tensors


def _is_no_download(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(512).lstrip().lower().startswith(_NO_DOWNLOAD)
    except OSError:
        return False
