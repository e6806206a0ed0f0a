"""The configuration: every key that acts, its type, default and meaning, in `Config` and its sections."""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from speaq.config.checks import conflicts
from speaq.config.data import SOURCE_NAME, DataLoader, Datasets, Input, MixedSource
from speaq.config.model import Model
from speaq.config.nesting import flatten, nest
from speaq.config.training import Evaluation, Solver, Wandb
from speaq.config.values import Choice, Flag, Integer, NonEmptyText, Section
from speaq.config.without_effect import reported_defaults, silent_defaults
from speaq.files import replacing

_SOURCES = "DATASETS.MULTI_DATASET.SOURCES."
_ANY_NAME = "<NAME>"
_OTHER_NAME, _CHIEF_NAME = ".SYNTHETIC_ATTRIBUTE_H5", ".VG_ATTRIBUTE_H5"


class Config(Section):
    """Everything that a run can be told.

    `Config()` has the defaults; `load_config` reads files and overrides.
    """

    cudnn_benchmark: Flag = False
    """Let cuDNN search for the fastest convolutions."""
    float32_precision: Choice[Literal["", "highest", "high", "medium"]] = ""
    """Precision of float32 matrix products (torch.set_float32_matmul_precision); empty: as torch has it."""
    output_dir: NonEmptyText = "./output"
    """Folder of checkpoints, logs and results."""
    seed: Annotated[Integer, Field(ge=-1, lt=2**32)] = -1
    """Seed of all randomness; -1: a new one at every run."""

    dataloader: DataLoader = DataLoader()
    datasets: Datasets = Datasets()
    input: Input = Input()
    model: Model = Model()
    solver: Solver = Solver()
    test: Evaluation = Evaluation()
    wandb: Wandb = Wandb()

    unused: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """Keys without effect that were set, by dotted key (no key itself)."""

    @model_validator(mode="after")
    def _keys_agree(self) -> Self:
        found = conflicts(self)
        if found:
            text = "; ".join(f"{' and '.join(conflict.keys)}: {conflict.reason}" for conflict in found)
            raise PydanticCustomError("conflict", "{text}", {"text": text, "conflicts": found})
        return self

    @property
    def without_effect(self) -> tuple[str, ...]:
        """Dotted keys that were set to something other than the default and change nothing here."""
        defaults = reported_defaults()
        return tuple(key for key, value in self.unused.items() if key in defaults and value != defaults[key])

    def to_yaml(self) -> str:
        """All acting keys, and those without effect that were set, as YAML that reads back to the same."""
        acting = dict(flatten(self.model_dump(mode="json", by_alias=True)))
        tree = nest({**acting, **self.unused})
        return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)

    def save(self, path: str | Path) -> None:
        """Write `to_yaml()` to a file, whose folder is made if need be.

        Raises:
            SpeaqError: the file cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Sections in block style, lists in one line, and text that is read back as it was."""


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Only double quotes keep line breaks other than \n and what else is not printable.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_text)


@cache
def acting_defaults() -> dict[str, Any]:
    """Every key that acts, dotted, with its default (lists for tuples)."""
    return dict(flatten(Config().model_dump(mode="json", by_alias=True)))


@cache
def key_defaults() -> dict[str, Any]:
    """Every key that is accepted, dotted, with its default (lists for tuples).

    Keys of a source of a mix have <NAME> in the place of its name; see `general_key`.
    """
    acting = dict(acting_defaults())
    source = flatten(MixedSource().model_dump(mode="json", by_alias=True), f"{_SOURCES}{_ANY_NAME}.")
    acting.update(source)
    synonyms = {
        key.removesuffix(_CHIEF_NAME) + _OTHER_NAME: default
        for key, default in acting.items()
        if key.endswith(_CHIEF_NAME)
    }
    return {**acting, **synonyms, **reported_defaults(), **silent_defaults()}


def general_key(key: str) -> str:
    """A key or section as `key_defaults` has it: <NAME> for the name of a source of a mix."""
    if not key.startswith(_SOURCES):
        return key
    name, dot, rest = key.removeprefix(_SOURCES).partition(".")
    return f"{_SOURCES}{_ANY_NAME if re.fullmatch(SOURCE_NAME, name) else ''}{dot}{rest}"


def chief_key(key: str) -> str:
    """The chief name of a key that has two."""
    return key.removesuffix(_OTHER_NAME) + _CHIEF_NAME if key.endswith(_OTHER_NAME) else key


@cache
def section_names() -> frozenset[str]:
    """Dotted names of all sections, such as MODEL and MODEL.DETR; of a source of a mix, see `general_key`."""
    return frozenset(
        ".".join(parts[:depth])
        for parts in (key.split(".") for key in key_defaults())
        for depth in range(1, len(parts))
    )
