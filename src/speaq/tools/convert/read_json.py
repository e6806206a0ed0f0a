"""Reads JSON files of other projects.

The layout of a file is declared as a `TypedDict` of the keys that are needed; pydantic checks it while it
parses the file, and ignores other keys. Errors name the file, the row and the key, what was expected and what
was found.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import FailFast, Field, FiniteFloat, StrictInt, TypeAdapter, ValidationError

from speaq.errors import SpeaqError
from speaq.tools.convert.annotated import SPLITS

T = TypeVar("T")
Id = StrictInt | str
Box = Annotated[list[FiniteFloat], Field(min_length=4, max_length=4)]
Triplet = tuple[StrictInt, StrictInt, StrictInt]  # subject, object, predicate
Rows = Annotated[list[T], FailFast()]  # checked up to the first error: files have millions of rows

_BACKGROUND = ("__background__", "__no_relation__", "N/A")


def read_json(path: Path, layout: TypeAdapter[T]) -> T:
    """The content of a JSON file, checked.

    Raises:
        SpeaqError: the file cannot be read, is not JSON, or does not have this layout.
    """
    try:
        return layout.validate_json(path.read_bytes().removeprefix(BOM_UTF8))
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


def image_sizes(images: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Height and width of images with these keys, (len(images), 2) int64."""
    return np.array([(image["height"], image["width"]) for image in images], dtype=np.int64).reshape(-1, 2)


def look_up(
    path: Path, rows: str, values: Sequence[Any], known: Mapping[Any, int], expected: str
) -> np.ndarray:
    """The numbers of ids, (len(values),) int64.

    Args:
        path: the file, for messages.
        rows: list and key of the values, with ``{}`` for the row, such as ``annotations[{}].image_id``.
        values: one id per row.
        known: numbers by id.
        expected: description of the known ids.

    Raises:
        SpeaqError: an id is not known.
    """
    try:
        return np.array([known[value] for value in values], dtype=np.int64)
    except KeyError:
        row = next(row for row, value in enumerate(values) if value not in known)
        some = ", ".join(map(repr, list(known)[:5])) + (", ..." if len(known) > 5 else "")
        raise SpeaqError(
            f"{path}: {rows.format(row)}: expected {expected} ({some}), found {show(values[row])}."
        ) from None


def number_triplets(
    path: Path,
    names: Sequence[str],
    triplets: Sequence[Sequence[Triplet]],
    images: Sequence[int],
    box_images: np.ndarray,
) -> np.ndarray:
    """Count the boxes of relations over a whole file instead of within their image.

    Args:
        path: the file, for messages.
        names: of the lists of relations, for messages.
        triplets: for each list the rows (subject, object, predicate), boxes from 0.
        images: the image of each list.
        box_images: (N,) image of each box of the file; boxes of an image count in this order.

    Returns:
        The relations (M, 3) of all lists.

    Raises:
        SpeaqError: a relation has a box that its image does not have.
    """
    relations = np.array(list(chain.from_iterable(triplets)), dtype=np.int64).reshape(-1, 3)
    lists = np.repeat(np.arange(len(triplets)), [len(rows) for rows in triplets])
    own = np.asarray(images, dtype=np.int64)[lists]
    order = np.argsort(box_images, kind="stable")
    first, end = (np.searchsorted(box_images[order], own, side=side) for side in ("left", "right"))
    pairs = relations[:, :2]
    bad = np.flatnonzero(((pairs < 0) | (pairs >= (end - first)[:, None])).any(axis=1))
    if len(bad):
        row = bad[0]
        raise SpeaqError(
            f"{path}: {names[int(lists[row])]}: expected [subject, object, predicate] with boxes from 0, of "
            f"which the image has {end[row] - first[row]}, found {relations[row].tolist()}."
        )
    return np.column_stack((order[first[:, None] + pairs], relations[:, 2]))


def class_table(path: Path, what: str, numbered: Mapping[Any, str], used: set[Any]) -> dict[Any, str]:
    """The names of classes by their number, without an unused background class.

    Args:
        path: the file.
        what: kind of class, for messages.
        numbered: names by number.
        used: the numbers that occur.

    Raises:
        SpeaqError: a name occurs twice, or there is none.
    """
    names = {number: name for number, name in numbered.items() if name not in _BACKGROUND or number in used}
    if not names:
        raise SpeaqError(f"{path}: expected {what}, found none.")
    seen: dict[str, Any] = {}
    for number, name in names.items():
        if name in seen:
            raise SpeaqError(
                f"{path}: {what} {seen[name]!r} and {number!r} are both {name!r}; give them different names."
            )
        seen[name] = number
    return names


def split_of(path: Path, *, alone: bool) -> int:
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
