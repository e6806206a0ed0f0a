"""Checkpoints of a training, which are also saved models.

``OUTPUT_DIR/checkpoints/iter_0001000/`` contains ``config.json`` and ``model.safetensors``, like every saved
model, and ``trainer.pt`` with the state of optimizer, schedule and loops, to resume exactly. With SOLVER.EMA
the saved model is the averaged one, and ``trainer.pt`` also contains the trained weights. ``sha256.json`` has
the hashes of these files, by which `find_checkpoint` recognizes damaged ones.
"""

import hashlib
import json
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from safetensors import SafetensorError

from speaq.checkpoints.saved_models import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    checkpoint_folders,
    models_in_training,
    read_safetensors,
    write_model,
)
from speaq.errors import SpeaqError
from speaq.files import CONFIGURATION_BYTES, parse_json, read_tensors, regular, replacing_folder
from speaq.model.config import ModelConfig

logger = logging.getLogger("speaq.training")

TRAINER_FILE = "trainer.pt"
HASHES_FILE = "sha256.json"
TRAINED_STATE = "current_model_state"
"""The trained weights in a checkpoint whose ``state_dict`` is averaged, as in Lightning's WeightAveraging."""
AVERAGED_STATE = "averaged_state_dict"
"""The averaged weights in a checkpoint that is loaded; its ``state_dict`` then has the trained ones."""
_FILES = (CONFIG_FILE, WEIGHTS_FILE, TRAINER_FILE)
_PREFIX = "model."
_STATE = {"global_step", "lr_schedulers", "optimizer_states", "samples", "seed", "skipped_steps"}


class FolderCheckpoint(CheckpointIO):
    """Reads and writes a checkpoint of the Trainer as a folder, with the weights as safetensors."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to the folder ``path``, completely or not at all.

        Raises:
            SpeaqError: it cannot be written, for instance because the disk is full.
        """
        rest = dict(checkpoint)
        config = rest.pop("model_config")
        weights = {name.removeprefix(_PREFIX): tensor for name, tensor in rest.pop("state_dict").items()}
        try:
            with replacing_folder(Path(path)) as partial:
                write_model(partial, config, weights)
                torch.save(rest, partial / TRAINER_FILE)
                hashes = {name: _hash(partial / name) for name in _FILES}
                (partial / HASHES_FILE).write_text(json.dumps(hashes, indent=2) + "\n")
        except (SafetensorError, RuntimeError) as error:  # what safetensors and torch raise for a full disk
            reason = str(error).partition("\n")[0]
            raise SpeaqError(f"{path}: cannot write this checkpoint: {reason}") from error

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the folder ``path``.

        Raises:
            SpeaqError: a file is missing or damaged.
        """
        folder = Path(path)
        state = read_state(folder)
        weights = read_safetensors(folder / WEIGHTS_FILE, _advice(folder))
        state["state_dict"] = {_PREFIX + name: tensor for name, tensor in weights.items()}
        if TRAINED_STATE in state:
            state[AVERAGED_STATE] = state["state_dict"]
            state["state_dict"] = state.pop(TRAINED_STATE)
        return state

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the folder ``path``, which no reader finds half deleted."""
        folder = Path(path)
        hidden = folder.with_name(f".{folder.name}.former")
        with suppress(OSError):
            folder.replace(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def read_state(folder: Path) -> dict[str, Any]:
    """The content of the checkpoint ``folder`` without the weights.

    Raises:
        SpeaqError: the file is missing or damaged.
    """
    state = read_tensors(folder / TRAINER_FILE, _advice(folder))
    if not isinstance(state, dict) or _STATE - state.keys():
        raise SpeaqError(f"{folder / TRAINER_FILE}: not the state of a training; {_advice(folder)}")
    return state


def _advice(folder: Path) -> str:
    return f"delete {folder} to resume from the checkpoint before it"


def complete_checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoints from which a training can be resumed, from oldest to newest."""
    return [folder for folder in models_in_training(output_dir) if (folder / TRAINER_FILE).is_file()]


def remove_unfinished(output_dir: Path) -> None:
    """Delete the temporary files and folders of a training that was killed; to be called under its lock."""
    patterns = (".writing-*", "best/.writing-*", "best/.saving-*", "checkpoints/.iter_*")
    for path in [path for pattern in patterns for path in output_dir.glob(pattern)]:
        shutil.rmtree(path, ignore_errors=True)


def newest_checkpoint(output_dir: Path) -> Path | None:
    """The newest checkpoint from which a training can be resumed, if there is one."""
    return next(reversed(complete_checkpoints(output_dir)), None)


def find_checkpoint(output_dir: Path) -> Path | None:
    """The newest checkpoint that is not damaged, if there is one; newer ones that are damaged are logged.

    Files are compared with their hashes; checkpoints of earlier versions have none.

    Raises:
        SpeaqError: all checkpoints are damaged.
    """
    damages: list[str] = []
    for folder in reversed(checkpoint_folders(output_dir)):
        damage = _find_damage(folder)
        if damage is None:
            if damages:
                logger.warning("%s; using the older checkpoint %s", "; ".join(damages), folder)
            return folder
        damages.append(damage)
    if damages:
        raise SpeaqError(
            f"{'; '.join(damages)}; no older checkpoint is left. Restore one from a copy, or start again in "
            f"another OUTPUT_DIR, with MODEL.WEIGHTS {output_dir / 'best'} if that model exists"
        )
    return None


def _find_damage(folder: Path) -> str | None:
    """Which file of a checkpoint is missing or damaged, and how; None if none is."""
    file = folder / HASHES_FILE
    try:
        hashes = None
        if file.exists():
            hashes = parse_json(regular(file, CONFIGURATION_BYTES).read_text())
        for file in (folder / name for name in _FILES):
            found = _hash(file) if hashes is not None else regular(file).stat().st_size
            if hashes is not None and found != hashes[file.name]:
                return f"{file}: damaged; its SHA-256 hash is not the one in {HASHES_FILE}"
        ModelConfig.from_json(folder / CONFIG_FILE)
    except OSError as error:
        return f"{file}: cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError) as error:
        return f"{folder / HASHES_FILE}: not the hashes of this checkpoint ({error})"
    except SpeaqError as error:
        return str(error).partition(";")[0]
    return None


def _hash(file: Path) -> str:
    with regular(file).open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def published_checkpoint(output_dir: Path) -> Path | None:
    """The newest checkpoint that the published code (Detectron2) left in its OUTPUT_DIR, if there is one.

    That is the file that ``last_checkpoint`` names, or the last of ``model_0004999.pth`` and so on.
    """
    found = sorted(output_dir.glob("model_*.pth"))  # model_final.pth is the last one by name
    try:
        named = output_dir / Path((output_dir / "last_checkpoint").read_text(errors="replace").strip()).name
    except OSError:
        return found[-1] if found else None
    return named if named.is_file() else found[-1] if found else None
