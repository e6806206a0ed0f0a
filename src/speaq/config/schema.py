"""The root of the configuration, `Config`, and the list of all keys that are accepted."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BeforeValidator, Field

from speaq.config.data import SOURCE_NAME, DataLoader, Datasets, Input, MixedSource
from speaq.config.field_types import (
    Choice,
    Conflict,
    Flag,
    Integer,
    NonEmptyPathText,
    Positive,
    Section,
    read_folders,
    read_path,
)
from speaq.config.ignored_keys import ignored_defaults
from speaq.config.model import Model
from speaq.config.settings import flatten, nest
from speaq.config.training import Evaluation, Solver, Wandb
from speaq.files import replacing

_SOURCES = "DATASETS.MULTI_DATASET.SOURCES."
Minutes = Annotated[Positive, Field(le=1e6)]
_SYNONYM, _CANONICAL = ".SYNTHETIC_ATTRIBUTE_H5", ".VG_ATTRIBUTE_H5"


class Config(Section):
    """The configuration of a run.

    `Config()` has the defaults; `load_config` reads files and overrides.
    """

    cudnn_benchmark: Flag = False
    """Let cuDNN search for the fastest convolutions."""
    dist_step_minutes: Minutes = 10.0
    """Minutes to wait in a step or an evaluation for the processes on other GPUs and machines."""
    dist_wait_minutes: Minutes = 30.0
    """Minutes to wait at the start for the processes on other GPUs and machines."""
    float32_precision: Choice[Literal["", "highest", "high", "medium"]] = ""
    """torch.set_float32_matmul_precision: highest, high or medium; empty: torch's default."""
    output_dir: NonEmptyPathText = "./output"
    """Folder of checkpoints, logs and results."""
    seed: Annotated[Integer, Field(ge=-1, lt=2**32)] = -1
    """Seed of all random numbers; -1: a new one for every run."""

    dataloader: DataLoader = DataLoader()
    datasets: Datasets = Datasets()
    input: Input = Input()
    model: Model = Model()
    solver: Solver = Solver()
    test: Evaluation = Evaluation()
    wandb: Wandb = Wandb()

    unused: dict[str, Any] = Field(default_factory=dict, exclude=True)
    """Keys without effect that were set, by dotted key (not a key itself)."""

    def conflicts(self) -> Iterator[Conflict]:
        """Early stopping without data to evaluate on."""
        if self.test.early_stopping.patience and not self.datasets.test:
            keys = ("TEST.EARLY_STOPPING.PATIENCE", "DATASETS.TEST")
            yield Conflict(keys, "early stopping needs a dataset to evaluate on, such as ('VG_val',)")

    @property
    def without_effect(self) -> tuple[str, ...]:
        """Dotted keys that were set to something other than their former default and have no effect."""
        defaults = ignored_defaults("REPORTED")
        return tuple(key for key, value in self.unused.items() if key in defaults and value != defaults[key])

    def to_yaml(self) -> str:
        """The whole configuration, and the keys without effect that were set, as YAML that can be loaded."""
        effective = dict(flatten(self.model_dump(mode="json", by_alias=True)))
        tree = nest({**effective, **self.unused})
        return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)

    def save(self, path: str | Path) -> None:
        """Write `to_yaml()` to a file; its folder is created if it is missing.

        Raises:
            SpeaqError: the file cannot be written.
        """
        with replacing(path) as temporary:
            temporary.write_text(self.to_yaml(), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Writes sections in block style, lists on one line, and text so that it is read back unchanged."""


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Only double quotes keep line breaks other than \n and characters that are not printable.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_text)


class Key(NamedTuple):
    """A key that has an effect; ``is_path``: its value is the path of a file or folder, or several of them.

    In ``name``, <NAME> stands for the name of a further source of a mix, see `general_key`.
    """

    name: str
    default: Any
    description: str
    is_path: bool


@cache
def effective_keys() -> tuple[Key, ...]:
    """Every key that has an effect, in the order of the schema."""
    return tuple(_keys(Config(), ""))


def _keys(section: Section, prefix: str) -> Iterator[Key]:
    for name, field in type(section).model_fields.items():
        default, key = getattr(section, name), prefix + name.upper()
        if isinstance(default, Section):
            yield from _keys(default, f"{key}.")
        elif f"{key}." == _SOURCES:
            yield from _keys(MixedSource(), f"{_SOURCES}<NAME>.")
        elif not field.exclude:
            readers = {item.func for item in field.metadata if isinstance(item, BeforeValidator)}
            yield Key(key, default, str(field.description), not readers.isdisjoint((read_path, read_folders)))


@cache
def key_defaults() -> dict[str, Any]:
    """Every dotted key that is accepted, with its default (lists for tuples)."""
    keys = {
        name: list(default) if isinstance(default, tuple) else default
        for name, default, *_ in effective_keys()
    }
    synonyms = {name.replace(_CANONICAL, _SYNONYM): default for name, default in keys.items()}
    return {**keys, **synonyms, **ignored_defaults()}


@cache
def section_names() -> tuple[str, ...]:
    """Dotted names of all sections, such as MODEL and MODEL.DETR, in the order of the keys."""
    keys = (key.split(".") for key in key_defaults())
    return tuple(dict.fromkeys(".".join(parts[:i]) for parts in keys for i in range(1, len(parts))))


def general_key(key: str) -> str:
    """A key or section with <NAME> for the name of a further source of a mix, as in `effective_keys`."""
    if not key.startswith(_SOURCES):
        return key
    name, dot, rest = key.removeprefix(_SOURCES).partition(".")
    return f"{_SOURCES}{'<NAME>' if re.fullmatch(SOURCE_NAME, name) else ''}{dot}{rest}"


def canonical_key(key: str) -> str:
    """The canonical name of a key that has two names."""
    return key.removesuffix(_SYNONYM) + _CANONICAL if key.endswith(_SYNONYM) else key
