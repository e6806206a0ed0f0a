"""Saved models: folders with ``config.json`` and ``model.safetensors``, here or on the Hugging Face hub."""

import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from speaq.checkpoints.card import CARD_FILE, model_card
from speaq.checkpoints.hub import CHECKPOINT_SUFFIXES, download, is_hub_id
from speaq.checkpoints.sources import local_source
from speaq.errors import SpeaqError
from speaq.files import DAMAGE
from speaq.model.config import ModelConfig
from speaq.model.speaq import SpeaqModel

ModelT = TypeVar("ModelT", bound=SpeaqModel)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
MODEL_FILES = [CONFIG_FILE, WEIGHTS_FILE]
_REGISTRATIONS = (register_module_parameter_registration_hook, register_module_buffer_registration_hook)


def is_saved_model(folder: Path) -> bool:
    """Whether ``folder`` holds a saved model."""
    return all((folder / name).is_file() for name in MODEL_FILES)


def checkpoint_folders(output_dir: Path) -> list[Path]:
    """The folders of checkpoints in the output folder of a training, from oldest to newest."""
    folders = (output_dir / "checkpoints").glob("iter_*")
    numbered = [folder for folder in folders if re.fullmatch(r"iter_\d+", folder.name)]
    return sorted(numbered, key=iteration_of)


def iteration_of(folder: Path) -> int:
    """The number in the name of a checkpoint, such as 1000 of ``iter_0001000``."""
    return int(folder.name.removeprefix("iter_"))


def models_in_training(output_dir: Path) -> list[Path]:
    """The checkpoints in the output folder of a training that hold a model, from oldest to newest."""
    return [folder for folder in checkpoint_folders(output_dir) if is_saved_model(folder)]


def find_model(folder: Path) -> Path:
    """The folder of a saved model: ``folder`` itself, or the best or newest model of a training's output.

    Raises:
        SpeaqError: there is none.
    """
    if folder.is_file():
        raise SpeaqError(_advice_for_a_file(folder))
    for candidate in (folder, folder / "best", *reversed(models_in_training(folder))):
        if is_saved_model(candidate):
            return candidate
    raise SpeaqError(
        f"{folder}: no saved model; expected {CONFIG_FILE} and {WEIGHTS_FILE}, or a training's output"
    )


def _advice_for_a_file(path: Path) -> str:
    """What to do with a file that was given instead of the folder of a model."""
    if path.name == WEIGHTS_FILE and is_saved_model(path.parent):
        return f"{path}: a file of a saved model; give its folder, {path.parent}"
    if path.suffix.lower() in CHECKPOINT_SUFFIXES:
        return (
            f"{path}: a checkpoint file: convert it first with "
            f"`speaq convert {path} FOLDER --mapping DICTS.json`, and give the folder"
        )
    return f"{path}: a file; expected the folder of a saved model, or a model id on the hub"


def read_safetensors(path: Path, advice: str = "copy or save it again") -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file; the message about a file that cannot be read ends with ``advice``.

    Raises:
        SpeaqError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SpeaqError(f"{path}: not a readable safetensors file ({error}); {advice}") from error


def load_pretrained(cls: type[ModelT], source: str | Path, *, revision: str | None = None) -> ModelT:
    """See :meth:`speaq.pretrained.Speaq.from_pretrained`."""
    source = local_source(source)
    if is_hub_id(source):
        source = download(str(source), MODEL_FILES, revision)
    elif not Path(source).exists():
        raise SpeaqError(f"{source}: no such folder, and not a model id of the form owner/name")
    folder = find_model(Path(source))
    config = ModelConfig.from_json(folder / CONFIG_FILE)
    state = read_safetensors(folder / WEIGHTS_FILE)
    try:
        with _limited(sum(tensor.numel() for tensor in state.values())):
            model = cls(config)
    except SpeaqError as error:
        raise SpeaqError(f"{folder / CONFIG_FILE}: {error}") from error
    except (ImportError, *DAMAGE) as error:  # of transformers and torch, for values that do not fit
        reason = str(error).strip().partition("\n")[0]
        raise SpeaqError(f"{folder / CONFIG_FILE}: not a model that can be built ({reason})") from error
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        problems = [line.strip() for line in str(error).splitlines()[1:]]
        raise SpeaqError(
            f"{folder / WEIGHTS_FILE}: does not match {CONFIG_FILE} beside it: {' '.join(problems[:3])}"
        ) from None
    return model


@contextmanager
def _limited(elements: int) -> Iterator[None]:
    """Refuse modules much larger than the ``elements`` of their weights, before their memory is used."""
    limit, built, thread = 2 * elements + 2**16, 0, threading.get_ident()

    def count(module: nn.Module, name: str, tensor: Tensor | None) -> None:
        nonlocal built
        if tensor is not None and thread == threading.get_ident():
            built += tensor.numel()
            if built > limit:
                raise ValueError(f"it has far more than the {elements:,} parameters in {WEIGHTS_FILE}")

    hooks = [register(count) for register in _REGISTRATIONS]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def write_model(folder: Path, config: str, state: Mapping[str, Tensor]) -> None:
    """Write the two files of a saved model: ``config`` as JSON text and the tensors of ``state``."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    (folder / CONFIG_FILE).write_text(config)
    # safetensors creates files that only their owner can read; use the default permissions instead.
    (folder / WEIGHTS_FILE).chmod((folder / CONFIG_FILE).stat().st_mode)


def save_pretrained(model: SpeaqModel, folder: Path, card: str | None = None) -> None:
    """See :meth:`speaq.pretrained.Speaq.save_pretrained`; each file is replaced only when it is complete."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as temporary:
            write_model(Path(temporary), model.config.to_json(), model.state_dict())
            names = [WEIGHTS_FILE, CONFIG_FILE]
            if card is not None or not (folder / CARD_FILE).exists():
                card = card or model_card(model.config, name=folder.resolve().name)
                (Path(temporary) / CARD_FILE).write_text(card, encoding="utf-8")
                names.append(CARD_FILE)
            for name in names:
                (Path(temporary) / name).replace(folder / name)
    except (OSError, SafetensorError) as error:
        raise SpeaqError(f"{folder}: cannot write a model here: {error}") from error
