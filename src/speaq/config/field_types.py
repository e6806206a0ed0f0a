"""Types of configuration values, and the base class of configuration sections.

A value arrives as text (from a YAML scalar or the command line), as a list, as None, or as a Python object
from a caller. The type of its key decides how the text is read: `1e-4` is a number for a learning rate and a
name for a folder. Every reader raises `ValueError("expected ...")`, which becomes part of the message.
"""

import ast
import contextlib
import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from speaq.files import expand

T = TypeVar("T")

_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def is_null(value: object) -> bool:
    """Whether the value is YAML's null or Python's None, also as text."""
    return value is None or (isinstance(value, str) and value in ("None", "null"))


def read_flag(value: object) -> bool:
    """True or False, also as yes/no and on/off in any case."""
    if isinstance(value, str):
        value = _FLAGS.get(value.strip().lower())
    if not isinstance(value, bool):
        raise ValueError("expected True or False")
    return value


def read_number(value: object) -> float:
    """A finite number."""
    number = math.nan
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise ValueError("expected a number")
    return number


def read_integer(value: object) -> int:
    """A whole number; `1e5` and `20.0` are whole numbers too."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return int(value)
    try:
        number = read_number(value)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError("expected a whole number")
    return int(number)


def read_text(value: object) -> str:
    """Text; null is the empty text."""
    if is_null(value):
        return ""
    if isinstance(value, int) and not isinstance(value, bool):  # an image id in a list
        return str(value)
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("expected text")
    return value


def read_path(value: object) -> str:
    """A path as text; ``~`` and environment variables (``$NAME``) are replaced."""
    return expand(read_text(value))


def read_folders(value: object) -> str | tuple[str, ...]:
    """One path as text, or several as a list; a text in brackets is a list, too."""
    if isinstance(value, (list, tuple)) or (isinstance(value, str) and value.strip()[:1] in ("(", "[")):
        return tuple(map(read_path, read_sequence(value)))
    return read_path(value)


def read_sequence(value: object) -> list[Any]:
    """The elements of a list, of a tuple as text such as `('VG_train',)`, or of `a,b` without brackets.

    A single value is a list of one element; null is the empty list.
    """
    if is_null(value):
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    if isinstance(value, (bool, int, float)):
        return [value]
    if not isinstance(value, str):
        raise ValueError("expected a list")
    text = value.strip()
    if text[:1] in ("(", "["):
        with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            literal = ast.literal_eval(text)
            if isinstance(literal, (list, tuple)):
                return list(literal)
        # A shell removes the quotes of ('VG_train',); the rest is not Python, but unambiguous.
        text = text[1:].removesuffix(")").removesuffix("]")
    return [part.strip().strip("'\"") for part in text.split(",") if part.strip()]


class _AnySpelling:
    """Reads the choices of a `Literal` in any case, with or without spaces and underscores."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {_folded(choice): choice for choice in get_args(source)}

        def read(value: object) -> object:
            if is_null(value):
                value = "none" if "none" in choices else ""
            return choices.get(_folded(value), value)

        return core_schema.no_info_before_validator_function(read, handler(source))


def _folded(value: object) -> str:
    return str(value).strip().casefold().replace(" ", "").replace("_", "")


Flag = Annotated[bool, BeforeValidator(read_flag)]
Text = Annotated[str, BeforeValidator(read_text)]
NonEmptyText = Annotated[str, Field(min_length=1), BeforeValidator(read_text)]
PathText = Annotated[str, BeforeValidator(read_path)]
Folders = Annotated[str | tuple[str, ...], BeforeValidator(read_folders)]
NonEmptyPathText = Annotated[str, Field(min_length=1), BeforeValidator(read_path)]
Integer = Annotated[int, BeforeValidator(read_integer)]
Natural = Annotated[Integer, Field(ge=0, lt=2**31)]
Count = Annotated[Integer, Field(ge=1, lt=2**31)]
Number = Annotated[float, BeforeValidator(read_number)]
NonNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(ge=0, le=1)]
Several = Annotated[tuple[T, ...], BeforeValidator(read_sequence)]
Choice = Annotated[T, _AnySpelling()]


class Conflict(NamedTuple):
    """Dotted keys whose values cannot be combined, and the reason."""

    keys: tuple[str, ...]
    reason: str


class Section(BaseModel):
    """A group of keys; attribute names are the keys in lower case. Sections are immutable."""

    model_config = ConfigDict(
        alias_generator=str.upper,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def conflicts(self) -> Iterator[Conflict]:
        """Values of this section that cannot be combined; sections with such rules override this."""
        return iter(())

    @model_validator(mode="after")
    def _check_conflicts(self) -> Self:
        found = list(self.conflicts())
        if found:
            text = "; ".join(f"{' and '.join(keys)}: {reason}" for keys, reason in found)
            raise PydanticCustomError("conflict", "{text}", {"text": text, "conflicts": found})
        return self
