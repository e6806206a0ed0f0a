"""Keys of older configuration files that are accepted and have no effect (`ignored_keys.yaml`)."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from speaq.config.field_types import is_null, read_flag, read_number, read_sequence, read_text
from speaq.config.settings import flatten


@cache
def ignored_defaults(*groups: str) -> dict[str, Any]:
    """Dotted keys without effect, with their former defaults.

    Args:
        groups: REPORTED keys are listed in a warning if they differ from the default, SILENT ones are not;
            by default both.
    """
    text = files("speaq.config").joinpath("ignored_keys.yaml").read_text(encoding="utf-8")
    tree = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {
        key: default for group in groups or ("REPORTED", "SILENT") for key, default in flatten(tree[group])
    }


def read_like(default: Any, value: object) -> Any:
    """Read a value as the type of a default; a default of None or of an empty list accepts any type.

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
    if isinstance(value, (list, tuple)):
        return [read_like(None, item) for item in value]
    if isinstance(value, Mapping):
        raise ValueError("expected a value or a list")
    return None if is_null(value) else str(value)
