"""Weights for the start of a training: from saved models, published checkpoints and pretrained backbones."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from speaq.checkpoints.classes import match_classes
from speaq.checkpoints.detr import (
    DETR_TYPES,
    detr_differences,
    resnet_differences,
    saved_vocabulary,
    without_conditional_parts,
)
from speaq.checkpoints.hub import download, is_hub_id
from speaq.checkpoints.names import from_published
from speaq.checkpoints.reading import read_published
from speaq.checkpoints.saved_models import (
    CONFIG_FILE,
    MODEL_FILES,
    WEIGHTS_FILE,
    find_model,
    is_saved_model,
    read_safetensors,
)
from speaq.checkpoints.sources import weights_source
from speaq.config import Config
from speaq.data.aliases import read_aliases
from speaq.errors import SpeaqError, first_names
from speaq.files import CONFIGURATION_BYTES, parse_json, regular
from speaq.model.build import RESNET
from speaq.model.speaq import SpeaqModel

logger = logging.getLogger(__name__)

_OLD_WEIGHTS_FILE = "pytorch_model.bin"
"""The weights of a transformers model that was saved before safetensors."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, by the names of `SpeaqModel`.

    Args:
        path: a ``.safetensors`` file, a ``.pth`` checkpoint, a ``.pkl`` of numpy arrays, the format of
            detectron2's pretrained ResNets, or the folder of a saved model or of a DETR of transformers.

    Raises:
        SpeaqError: the file is missing, unreadable, or needs unsafe unpickling.
    """
    file = _weights_file(path)
    return _translate(file, _read(file))


def _weights_file(path: Path) -> Path:
    """The file of weights at ``path``, or in the folder of a model or training."""
    if path.is_dir():
        old = path / _OLD_WEIGHTS_FILE
        path = old if old.is_file() and not is_saved_model(path) else find_model(path) / WEIGHTS_FILE
    if not path.is_file():
        raise SpeaqError(
            f"{path}: no such weights file; give a .pth, .pkl or .safetensors file, or the folder of a model"
        )
    return path


def _read(path: Path) -> dict[str, Tensor]:
    """Tensors of a weights file, by the names that they have there."""
    return read_safetensors(path) if path.suffix.lower() == ".safetensors" else read_published(path)


def _translate(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file by the names of `SpeaqModel`, without those that mean something else there."""
    try:
        return without_conditional_parts(from_published(tensors))
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
        partial: names of class heads of which only the rows of classes in the checkpoint were loaded; they
            are not among ``loaded``.
    """

    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    mismatched: list[str]
    not_finite: list[str]
    partial: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = f"{len(self.loaded)} tensors loaded"
        for name in ("missing", "unexpected", "mismatched", "not_finite", "partial"):
            names: list[str] = getattr(self, name)
            if names:
                text += f"; {len(names)} {name.replace('_', ' ')} ({first_names(names, 3)})"
        return text


def load_state(model: SpeaqModel, state: dict[str, Tensor], partial: Collection[str] = ()) -> LoadReport:
    """Load the tensors of ``state`` that the model has in the same shape; warn about NaN and infinity.

    Args:
        model: the model.
        state: tensors by the names of the model.
        partial: names of tensors that are only partly from the checkpoint, for the report.
    """
    own = model.state_dict()
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in state if name in own}
    matching = {name: state[name] for name, (found, expected) in shapes.items() if found == expected}
    report = LoadReport(
        loaded=sorted(matching.keys() - set(partial)),
        missing=sorted(name for name in own.keys() - state.keys() if not _is_counter(name)),
        unexpected=sorted(name for name in state.keys() - own.keys() if not _is_counter(name)),
        mismatched=sorted(f"{name} {a} for {b}" for name, (a, b) in shapes.items() if a != b),
        not_finite=sorted(name for name, tensor in matching.items() if not tensor.isfinite().all()),
        partial=sorted(partial),
    )
    if report.not_finite:
        logger.warning(
            "%d tensors contain NaN or infinity; predictions of the model will be useless: %s",
            len(report.not_finite),
            first_names(report.not_finite),
        )
    model.load_state_dict(matching, strict=False)
    return report


def load_matching(
    model: SpeaqModel, source: str | Path, *, synonyms: Mapping[str, str] | None = None
) -> LoadReport:
    """Initialize a model from a checkpoint, with every tensor that has the same name and shape.

    If the checkpoint names its classes, as saved models and those of the hub do, the rows of the class heads
    are matched by these names (see `speaq.checkpoints.classes`). Warns if nothing of the backbone or of the
    transformer was loaded.

    Args:
        model: the model to initialize.
        source: the file of a checkpoint, published ones included, the folder of a saved model, or an id on
            the hub. A DETR of transformers initializes what both models have, another transformers model the
            backbone.
        synonyms: names of classes, and what they stand for, as `speaq.data.aliases.read_aliases` reads them.

    Raises:
        SpeaqError: the file cannot be read, or no tensor matches.
    """
    source = weights_source(source)
    path = download(str(source), MODEL_FILES) if is_hub_id(source) else Path(source)
    values = _read_config(path)
    if values.get("model_type", "speaq") not in ("speaq", *DETR_TYPES):
        report = _load_backbone(model, str(source), values)
    else:
        if values and is_hub_id(source) and not (path / WEIGHTS_FILE).is_file():
            path = download(str(source), [CONFIG_FILE, _OLD_WEIGHTS_FILE])
        report = _load_file(model, _weights_file(path), synonyms or {})
    for part, prefixes in (("backbone", ("backbone.",)), ("transformer", ("encoder.", "decoder."))):
        if not any(name.startswith(prefixes) for name in report.loaded):
            logger.warning("%s: nothing of the %s was loaded; it starts from random weights", source, part)
    return report


def _load_file(model: SpeaqModel, file: Path, synonyms: Mapping[str, str]) -> LoadReport:
    """Load a file of weights, with the configuration beside it if it is that of a model folder."""
    values = _read_config(file.parent) if file.name in (WEIGHTS_FILE, _OLD_WEIGHTS_FILE) else {}
    tensors = _read(file)
    state = _translate(file, tensors)
    for difference in detr_differences(model.config, values, tensors):
        logger.warning("%s: %s", file, difference)
    saved = saved_vocabulary(values)
    if synonyms and not saved.objects:
        logger.warning("%s does not name its classes; the synonyms have no effect", file)
    state, partial = match_classes(
        state, model.state_dict(), saved=saved, vocabulary=model.vocabulary, synonyms=synonyms
    )
    report = load_state(model, state, partial)
    if not report.loaded:
        raise SpeaqError(
            f"{file}: no tensor matches this model ({report}); check that MODEL.WEIGHTS has the "
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
        synonyms = read_aliases(config.model.weights_synonyms or None)
        report = load_matching(model, weights, synonyms=synonyms)
        logger.info("initial weights from %s: %s", weights, report)
    elif backbone.name != RESNET and backbone.pretrained:
        model.backbone.load_pretrained(backbone.name)


def _read_config(folder: Path) -> dict[str, Any]:
    """The values of config.json in a folder; empty if there is none."""
    try:
        file = regular(folder / CONFIG_FILE, CONFIGURATION_BYTES)
        values = parse_json(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _load_backbone(model: SpeaqModel, name: str, values: Mapping[str, Any]) -> LoadReport:
    """Load the weights of a transformers model with the configuration ``values`` into the backbone."""
    expected, model_type = model.config.backbone["model_type"], values["model_type"]
    if model_type != expected:
        raise SpeaqError(
            f"MODEL.WEIGHTS {name}: a {model_type} model, but the backbone is a {expected}; expected a "
            f"model of speaq, a detr, a conditional_detr or a {expected}. To use it as the backbone, set "
            f"MODEL.BACKBONE.NAME to {name}, and leave MODEL.WEIGHTS empty"
        )
    try:
        model.backbone.load_pretrained(name)
    except SpeaqError as error:
        raise SpeaqError(f"MODEL.WEIGHTS {name} does not match the backbone: {error}") from error
    blocks, found = model.config.backbone.get("depths", []), values.get("depths", [])
    if found and list(found[: len(blocks)]) != list(blocks):
        raise SpeaqError(
            f"MODEL.WEIGHTS {name}: a {model_type} with stages of {found} blocks, but the backbone has "
            f"{blocks}; set MODEL.RESNETS.DEPTH to that of the weights"
        )
    if name.startswith("microsoft/resnet-"):
        for difference in resnet_differences(model.config):
            logger.warning("%s: %s", name, difference)
    names = sorted(name for name in model.state_dict() if not _is_counter(name))
    loaded = [name for name in names if name.startswith("backbone.")]
    return LoadReport(loaded, [name for name in names if name not in loaded], [], [], [])


def _is_counter(name: str) -> bool:
    """Whether a tensor counts the batches of a batch norm, which has no effect on its output."""
    return name.endswith("num_batches_tracked")
