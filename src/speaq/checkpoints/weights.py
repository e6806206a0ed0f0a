"""Weights on disk: our own folders, and checkpoints of other implementations."""

import json
import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from speaq.checkpoints.card import CARD_FILE, model_card
from speaq.checkpoints.names import from_published
from speaq.checkpoints.reading import read_published
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.model.build import RESNET
from speaq.model.config import ModelConfig
from speaq.model.speaq import SpeaqModel

logger = logging.getLogger(__name__)

ModelT = TypeVar("ModelT", bound=SpeaqModel)

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


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
        tensors = read_safetensors(path)
        return from_published(tensors) if any(name.startswith("detr.") for name in tensors) else tensors
    return from_published(read_published(path))


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
        not_finite: names that were set and hold NaN or infinity.
    """

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    not_finite: list[str]

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        for name in ("missing", "unexpected", "mismatched", "not_finite"):
            names: list[str] = getattr(self, name)
            if names:
                more = ", ..." if len(names) > 3 else ""
                text += f"; {len(names)} {name.replace('_', ' ')} ({', '.join(names[:3])}{more})"
        return text


def _names(these: dict[str, Tensor], without: dict[str, Tensor]) -> list[str]:
    """Names that only the first has; counts of batches that a norm has seen do not matter."""
    return sorted(name for name in these if name not in without and not name.endswith("num_batches_tracked"))


def load_matching(model: SpeaqModel, source: str | Path) -> LoadReport:
    """Start training from a checkpoint: take every tensor whose name and shape fit.

    Args:
        model: takes them.
        source: a checkpoint file of ours or a published one, the folder of a model, or an id on the hub. A
            transformers model that is none of ours gives its weights to the backbone.

    Raises:
        SpeaqError: the file cannot be read, or nothing in it fits.
    """
    path = _download(str(source), None) if _is_hub_id(source) else Path(source)
    family = _other_family(path)
    if family:
        return _load_backbone(model, str(source), family)
    report = load_state(model, read_weights(path))
    if not report.loaded:
        raise SpeaqError(
            f"{path}: no tensor fits this model ({report}); is MODEL.WEIGHTS of another architecture?"
        )
    return report


def load_initial_weights(model: SpeaqModel, config: Config) -> None:
    """What training starts from: MODEL.WEIGHTS, else the pretrained backbone where a hub model is named.

    MODEL.WEIGHTS is a file, a folder or an id on the hub: see `load_matching`.

    Raises:
        SpeaqError: the weights cannot be read, or do not fit.
    """
    weights, backbone = config.model.weights, config.model.backbone
    if weights:
        report = load_matching(model, weights)
        logger.info("%s: %s", weights, report)
    elif backbone.name != RESNET and backbone.pretrained:
        model.backbone.load_pretrained(backbone.name)


def load_state(model: SpeaqModel, state: dict[str, Tensor]) -> LoadReport:
    """Take every tensor of ``state`` whose name and shape fit; what is NaN or infinite is a warning."""
    own = model.state_dict()
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in state if name in own}
    fitting = {name: state[name] for name, (theirs, ours) in shapes.items() if theirs == ours}
    report = LoadReport(
        loaded=sorted(fitting),
        missing=_names(own, state),
        unexpected=_names(state, own),
        mismatched=sorted(f"{name} {a} for {b}" for name, (a, b) in shapes.items() if a != b),
        not_finite=sorted(name for name, tensor in fitting.items() if not tensor.isfinite().all()),
    )
    if report.not_finite:
        logger.warning(
            "%d tensors hold NaN or infinity, and the model will say nothing of use: %s",
            len(report.not_finite),
            ", ".join(report.not_finite[:5]) + (", ..." if len(report.not_finite) > 5 else ""),
        )
    model.load_state_dict(fitting, strict=False)
    return report


def _other_family(folder: Path) -> str | None:
    """Of a transformers model that is none of ours, its ``model_type``."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kind = values.get("model_type") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) and kind != "speaq" else None


def _load_backbone(model: SpeaqModel, name: str, family: str) -> LoadReport:
    """Take the weights of a transformers model for the backbone alone."""
    own = model.config.backbone["model_type"]
    if family != own:
        raise SpeaqError(
            f"MODEL.WEIGHTS {name}: a {family} model, but the backbone is a {own}; set MODEL.BACKBONE.NAME "
            f"to {name}, and leave MODEL.WEIGHTS empty"
        )
    try:
        model.backbone.load_pretrained(name)
    except SpeaqError as error:
        raise SpeaqError(f"MODEL.WEIGHTS {name} cannot fill the backbone: {error}") from error
    names = sorted(name for name in model.state_dict() if not name.endswith("num_batches_tracked"))
    loaded = [name for name in names if name.startswith("backbone.")]
    return LoadReport(loaded, [name for name in names if name not in loaded], [], [], [])


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


def load_pretrained(cls: type[ModelT], source: str | Path, *, revision: str | None = None) -> ModelT:
    """See :meth:`speaq.pretrained.Speaq.from_pretrained`."""
    if not Path(source).is_dir() and not _is_hub_id(source):
        raise SpeaqError(f"{source}: no such folder, and not a model id of the form owner/name")
    folder = find_checkpoint(_download(str(source), revision) if _is_hub_id(source) else Path(source))
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


def _is_hub_id(source: str | Path) -> bool:
    """Whether it can only be the id of a model on the hub: ``owner/name``, and nothing here has that path."""
    path = Path(source)
    return (
        re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) is not None
        and path.suffix not in (".pth", ".pkl", ".safetensors")
        and not path.exists()
        and not path.parent.is_dir()
    )


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
    # safetensors makes files that others cannot read; the other file has the permissions that are usual here.
    (folder / WEIGHTS_FILE).chmod((folder / CONFIG_FILE).stat().st_mode)


def save_pretrained(model: SpeaqModel, folder: Path, card: str | None = None) -> None:
    """See :meth:`speaq.pretrained.Speaq.save_pretrained`; each file is written whole or not at all."""
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


def push_to_hub(
    model: SpeaqModel, repo_id: str, card: str | None = None, *, private: bool, token: str | None
) -> str:
    """See :meth:`speaq.pretrained.Speaq.push_to_hub`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(token=token)
    try:
        api.create_repo(repo_id, private=private, exist_ok=True)
        keep_card = card is None and api.file_exists(repo_id, CARD_FILE)
        with tempfile.TemporaryDirectory() as folder:
            save_pretrained(model, Path(folder), card or model_card(model.config, name=repo_id))
            ignored = [CARD_FILE] if keep_card else None
            return str(api.upload_folder(repo_id=repo_id, folder_path=folder, ignore_patterns=ignored))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise SpeaqError(f"{repo_id}: the model cannot be uploaded to the hub ({reason})") from error
