"""Keys that older configuration files may hold and that change nothing here (`ignored_keys.yaml`)."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from speaq.config.nesting import flatten
from speaq.config.values import is_null, read_flag, read_number, read_sequence, read_text


@cache
def silent_defaults() -> dict[str, Any]:
    """Dotted keys, with their defaults, that are never worth a word, such as names of classes."""
    return dict(flatten(_ignored_keys()["SILENT"]))


@cache
def reported_defaults() -> dict[str, Any]:
    """Dotted keys, with their defaults, that are named to the user where they are set to something else."""
    return dict(flatten(_ignored_keys()["REPORTED"]))


@cache
def _ignored_keys() -> dict[str, Any]:
    text = files("speaq.config").joinpath("ignored_keys.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def read_like(default: Any, value: object) -> Any:
    """Read a value as the type of a default; where the default tells no type, as it is written.

    Raises:
        ValueError: the value is of another type ("expected ...").
    """
    match default:
        case bool():
            return read_flag(value)
        case int() | float():
            number = read_number(value)
            return int(number) if isinstance(default, int) and number.is_integer() else number
        case str():
            return read_text(value)
        case list():
            return [read_like(default[0] if default else None, item) for item in read_sequence(value)]
        case _:
            return _as_written(value)


def _as_written(value: object) -> Any:
    """A value of unknown type: None, text, or a list of these."""
    if isinstance(value, (list, tuple)):
        return [_as_written(item) for item in value]
    if isinstance(value, Mapping):
        raise ValueError("expected a value or a list")
    return None if is_null(value) else str(value)
