"""Records of data sets, checked against a layout.

The layout is declared as a `TypedDict` of the keys that are needed; pydantic checks it and ignores other
keys. Errors name the file, the row and the key, what was expected and what was found.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, TypeVar

from pydantic import FailFast, Field, FiniteFloat, StrictInt, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from speaq.data.selection import SPLITS
from speaq.errors import SpeaqError
from speaq.files import regular

T = TypeVar("T")
Id = StrictInt | str
Box = Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
Rows = Annotated[list[T], FailFast()]  # checked up to the first error: files have millions of rows


class Category(TypedDict):
    """An entry of ``categories``."""

    id: Id
    name: str


def names_by_id(items: list[str] | list[Category]) -> dict[Any, str]:
    """Names by the number that annotations have; names without numbers count from 0."""
    table: dict[Id, str] = {}
    for number, item in enumerate(items):
        if isinstance(item, str):
            table[number] = item
        else:
            table[item["id"]] = item["name"]
    return table


def read_json(path: Path, layout: TypeAdapter[T]) -> T:
    """The content of a JSON file, checked.

    Raises:
        SpeaqError: the file cannot be read, is not JSON, or does not have this layout.
    """
    try:
        return layout.validate_json(regular(path).read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}). Check the path.") from error
    except ValidationError as error:
        raise SpeaqError(f"{path}: {describe_error(error)}") from None


def describe_error(error: ValidationError) -> str:
    """Row and key of the first error, what was expected and what was found."""
    first, *others = error.errors(include_url=False)
    if first["type"] == "json_invalid":
        return f"{first['msg']}."
    location = list(first["loc"])
    expected = "this key is missing" if first["type"] == "missing" else first["msg"]
    if location and location[-1] in ("int", "str"):  # one of the alternatives of a union
        del location[-1]
        same = [other["msg"] for other in others if list(other["loc"][:-1]) == location]
        expected = " or ".join([expected, *(text.removeprefix("Input should be ") for text in same)])
    expected = expected.replace("Input should be", "expected")
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    found = first["input"]
    if first["type"] == "missing" and isinstance(found, Mapping):
        shown = ", ".join(map(str, list(found)[:20])) or "no key"
    else:
        shown = show(found)
    return f"{where}: {expected}; found {shown}." if where else f"{expected}; found {shown}."


def split_of(path: PurePath, *, alone: bool) -> int:
    """The split in the name of a file: the one of train, val and test that it contains.

    Args:
        path: the file.
        alone: it is the only one; its name then may have none, and it is for training.

    Raises:
        SpeaqError: the name has none, or more than one.
    """
    found = [number for number, name in enumerate(SPLITS) if name in path.stem.lower()]
    if len(found) == 1:
        return found[0]
    if alone and not found:
        return 0
    raise SpeaqError(f"{path}: expected train, val or test in the name of the file, to know its split.")


def show(value: Any) -> str:
    """A value of a file for messages, at most 60 characters of it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."
