"""JSON of other projects, read in columns, with messages that name file, entry and what was expected.

N: entries of a list.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS

_BACKGROUND = ("__background__", "__no_relation__", "N/A")


class Entries:
    """A list of JSON objects in a file.

    Args:
        path: the file.
        name: of the list, such as ``annotations``.
        items: the list.

    Raises:
        SpeaqError: it is no list.
    """

    def __init__(self, path: Path, name: str, items: Any) -> None:
        if not isinstance(items, list):
            raise SpeaqError(f"{path}: expected a list '{name}', found {type(items).__name__}.")
        self.path, self.name, self.items = path, name, items

    def __len__(self) -> int:
        return len(self.items)

    def error(self, number: int, message: str) -> SpeaqError:
        """A mistake in one entry."""
        return SpeaqError(f"{self.path}: {self.name}[{number}] {message}")

    def column(self, key: str) -> list[Any]:
        """The N values of a key that every entry must have."""
        try:
            return [entry[key] for entry in self.items]
        except (KeyError, TypeError):
            for number, entry in enumerate(self.items):
                if not isinstance(entry, dict):
                    raise self.error(number, f"must be an object, found {_shown(entry)}.") from None
                if key not in entry:
                    raise self.error(
                        number, f"has no '{key}'; found {', '.join(entry) or 'nothing'}."
                    ) from None
            raise

    def texts(self, key: str) -> list[str]:
        """The N values of a key, which must be strings."""
        values = self.column(key)
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(number, f"needs text in '{key}', found {_shown(value)}.")
        return values

    def ids(self, key: str) -> list[Any]:
        """The N values of a key, which must be whole numbers or strings."""
        values = self.column(key)
        for number, value in enumerate(values):
            if type(value) not in (int, str):
                raise self.error(number, f"needs a number or text in '{key}', found {_shown(value)}.")
        return values

    def integers(self, key: str) -> np.ndarray:
        """The N values of a key, which must be whole numbers, (N,) int64."""
        values = self.column(key)
        for number, value in enumerate(values):
            if type(value) is not int and not (isinstance(value, float) and value.is_integer()):
                raise self.error(number, f"needs a whole number in '{key}', found {_shown(value)}.")
        return np.array(values, dtype=np.int64)

    def boxes(self, key: str) -> np.ndarray:
        """The N values of a key, which must be four finite numbers, (N, 4) float64."""
        values = self.column(key)
        array = four_numbers(values)
        if array is None:
            bad = next(number for number, value in enumerate(values) if four_numbers([value]) is None)
            raise self.error(bad, f"needs four numbers in '{key}', found {_shown(values[bad])}.")
        return array

    def sizes(self) -> np.ndarray:
        """Height and width of N images, (N, 2) int64."""
        return np.column_stack((self.integers("height"), self.integers("width")))

    def indices(self, key: str, known: dict[Any, int], what: str) -> np.ndarray:
        """The N values of a key looked up, (N,) int64; ``what`` says what they must name."""
        values = self.column(key)
        try:
            return np.array([known[value] for value in values], dtype=np.int64)
        except (KeyError, TypeError):
            bad = next(n for n, v in enumerate(values) if not isinstance(v, int | str) or v not in known)
            raise self.error(
                bad, f"has the '{key}' {_shown(values[bad])}; expected {what} ({_some(list(known))})."
            ) from None


def four_numbers(values: Sequence[Any]) -> np.ndarray | None:
    """The values as (N, 4) float64; None if some is not four finite numbers."""
    try:
        array = np.array(values, dtype=np.float64)
    except (ValueError, TypeError):
        return None
    if array.size == 0 and not len(values):
        return np.empty((0, 4))
    return array if array.shape == (len(values), 4) and np.isfinite(array).all() else None


def class_table(path: Path, what: str, numbered: dict[Any, Any], used: set[Any]) -> dict[Any, str]:
    """The names of classes by their number, without an unused background class.

    Args:
        path: the file.
        what: kind of class, for messages.
        numbered: names by number.
        used: the numbers that occur.

    Raises:
        SpeaqError: a name is no text or comes twice, or there is none.
    """
    names = {number: name for number, name in numbered.items() if name not in _BACKGROUND or number in used}
    if not names:
        raise SpeaqError(f"{path}: expected {what}, found none.")
    seen: dict[str, Any] = {}
    for number, name in names.items():
        if not isinstance(name, str):
            raise SpeaqError(f"{path}: expected names of {what}, found {_shown(name)} for {number!r}.")
        if name in seen:
            raise SpeaqError(
                f"{path}: {what} {seen[name]!r} and {number!r} are both {name!r}; give them different names."
            )
        seen[name] = number
    return names


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        SpeaqError: it cannot be read, or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}). Check the path.") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise SpeaqError(f"{path}: expected JSON ({error}).") from error


def read_object(path: Path, *keys: str) -> dict[str, Any]:
    """The content of a JSON file that must be an object with these keys."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise SpeaqError(f"{path}: expected a JSON object, found {type(content).__name__}.")
    missing = [key for key in keys if key not in content]
    if missing:
        found = ", ".join(list(content)[:20]) or "nothing"
        raise SpeaqError(
            f"{path}: expected the keys {', '.join(keys)}; '{missing[0]}' is missing, found {found}."
        )
    return content


def split_of(path: Path, *, alone: bool) -> int:
    """The split that the name of a file tells: the one of train, val and test that it has in it.

    Args:
        path: the file.
        alone: it is the only one; it then may name none, and is for training.

    Raises:
        SpeaqError: the name tells none, or more than one.
    """
    found = [number for number, name in enumerate(SPLITS) if name in path.stem.lower()]
    if len(found) == 1:
        return found[0]
    if alone and not found:
        return 0
    raise SpeaqError(f"{path}: expected train, val or test in the name of the file, to know its split.")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _some(values: list[Any]) -> str:
    return ", ".join(map(repr, values[:5])) + (", ..." if len(values) > 5 else "")
