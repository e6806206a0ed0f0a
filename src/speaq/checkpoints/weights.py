"""Weights for the start of a training: from saved models, published checkpoints and pretrained backbones."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from speaq.checkpoints.hub import download, is_hub_id
from speaq.checkpoints.names import from_published
from speaq.checkpoints.reading import read_published
from speaq.checkpoints.saved_models import (
    CONFIG_FILE,
    MODEL_FILES,
    WEIGHTS_FILE,
    find_model,
    read_safetensors,
)
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.model.build import RESNET
from speaq.model.speaq import SpeaqModel

logger = logging.getLogger(__name__)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, by the names of `SpeaqModel`.

    Args:
        path: a ``.safetensors`` file or the folder of a saved model, a published ``.pth`` checkpoint, or a
            ``.pkl`` of numpy arrays, the format of detectron2's pretrained ResNets.

    Raises:
        SpeaqError: the file is missing, unreadable, or needs unsafe unpickling.
    """
    if path.is_dir():
        path = find_model(path) / WEIGHTS_FILE
    if not path.is_file():
        raise SpeaqError(
            f"{path}: no such weights file; give a .pth, .pkl or .safetensors file, or the folder of a model"
        )
    tensors = read_safetensors(path) if path.suffix.lower() == ".safetensors" else read_published(path)
    try:
        return from_published(tensors)
    except SpeaqError as error:
        raise SpeaqError(f"{path}: {error}") from None


@dataclass(frozen=True)
class LoadReport:
    """Which tensors of a checkpoint were loaded into a model.

    Attributes:
        loaded: names that were loaded.
        missing: names of the model that the checkpoint does not contain.
        unexpected: names of the checkpoint that the model does not have.
        mismatched: names with different shapes, followed by both shapes.
        not_finite: names that were loaded and contain NaN or infinity.
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
                text += f"; {len(names)} {name.replace('_', ' ')} ({_list_names(names, 3)})"
        return text


def load_state(model: SpeaqModel, state: dict[str, Tensor]) -> LoadReport:
    """Load the tensors of ``state`` that the model has in the same shape; warn about NaN and infinity."""
    own = model.state_dict()
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in state if name in own}
    matching = {name: state[name] for name, (found, expected) in shapes.items() if found == expected}
    report = LoadReport(
        loaded=sorted(matching),
        missing=sorted(name for name in own.keys() - state.keys() if not _is_counter(name)),
        unexpected=sorted(name for name in state.keys() - own.keys() if not _is_counter(name)),
        mismatched=sorted(f"{name} {a} for {b}" for name, (a, b) in shapes.items() if a != b),
        not_finite=sorted(name for name, tensor in matching.items() if not tensor.isfinite().all()),
    )
    if report.not_finite:
        logger.warning(
            "%d tensors contain NaN or infinity; predictions of the model will be useless: %s",
            len(report.not_finite),
            _list_names(report.not_finite, 5),
        )
    model.load_state_dict(matching, strict=False)
    return report


def load_matching(model: SpeaqModel, source: str | Path) -> LoadReport:
    """Initialize a model from a checkpoint, with every tensor that has the same name and shape.

    Args:
        model: the model to initialize.
        source: the file of a checkpoint, published ones included, the folder of a saved model, or an id on
            the hub. Any other transformers model initializes the backbone.

    Raises:
        SpeaqError: the file cannot be read, or no tensor matches.
    """
    path = download(str(source), MODEL_FILES) if is_hub_id(source) else Path(source)
    other_type = _other_model_type(path)
    if other_type:
        return _load_backbone(model, str(source), other_type)
    report = load_state(model, read_weights(path))
    if not report.loaded:
        raise SpeaqError(
            f"{path}: no tensor matches this model ({report}); check that MODEL.WEIGHTS has the "
            "same architecture"
        )
    return report


def load_initial_weights(model: SpeaqModel, config: Config) -> None:
    """Load MODEL.WEIGHTS (see `load_matching`), or without it the pretrained weights of a hub backbone.

    Raises:
        SpeaqError: the weights cannot be read, or do not match.
    """
    weights, backbone = config.model.weights, config.model.backbone
    if weights:
        report = load_matching(model, weights)
        logger.info("initial weights from %s: %s", weights, report)
    elif backbone.name != RESNET and backbone.pretrained:
        model.backbone.load_pretrained(backbone.name)


def _other_model_type(folder: Path) -> str | None:
    """The ``model_type`` of a transformers model in ``folder`` that is not a `SpeaqModel`."""
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    model_type = values.get("model_type") if isinstance(values, dict) else None
    return model_type if isinstance(model_type, str) and model_type != "speaq" else None


def _load_backbone(model: SpeaqModel, name: str, model_type: str) -> LoadReport:
    """Load the weights of a transformers model into the backbone."""
    expected = model.config.backbone["model_type"]
    if model_type != expected:
        raise SpeaqError(
            f"MODEL.WEIGHTS {name}: a {model_type} model, but the backbone is a {expected}; set "
            f"MODEL.BACKBONE.NAME to {name}, and leave MODEL.WEIGHTS empty"
        )
    try:
        model.backbone.load_pretrained(name)
    except SpeaqError as error:
        raise SpeaqError(f"MODEL.WEIGHTS {name} does not match the backbone: {error}") from error
    names = sorted(name for name in model.state_dict() if not _is_counter(name))
    loaded = [name for name in names if name.startswith("backbone.")]
    return LoadReport(loaded, [name for name in names if name not in loaded], [], [], [])


def _is_counter(name: str) -> bool:
    """Whether a tensor counts the batches of a batch norm, which has no effect on its output."""
    return name.endswith("num_batches_tracked")


def _list_names(names: list[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
