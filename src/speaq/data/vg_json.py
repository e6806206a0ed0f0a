"""Reading a JSON file that may be damaged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speaq.data.findings import Example, Findings
from speaq.files import parse_json, regular


class RepeatedNames(dict[str, Any]):
    """A JSON object in which a name occurs more than once; ``members`` has them all, as in the file."""

    members: list[tuple[str, Any]]


def unreadable(path: Path, error: Exception) -> Example:
    """Why a file cannot be read; of a missing one, the error of the system would repeat the path."""
    return Example(None, path.name, str(error) if path.exists() else "there is no such file")


def read_json(path: Path, kind: type, code: str, findings: Findings) -> Any:
    """The content of a file, or None after a finding ``code`` where it is not JSON of this kind, or empty."""
    repeated: list[Example] = []

    def make_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(members)
        if len(content) == len(members):
            return content
        content = RepeatedNames(content)
        content.members = members
        names = [name for name, _ in members]
        repeated.append(Example(None, path.name, next(name for name in names if names.count(name) > 1)))
        return content

    try:
        content = parse_json(regular(path).read_text(encoding="utf-8-sig"), object_pairs_hook=make_object)
    except (OSError, ValueError) as error:
        findings.add(code, [unreadable(path, error)])
        return None
    findings.add("json-name-twice", repeated, file=path.name)
    if isinstance(content, kind) and content != []:
        return content
    findings.add(code, [Example(None, path.name, f"{content!r:.60}")])
    return None


_CHUNK, _LONGEST = 2**20, 2**24  # characters


def iterate_json(path: Path) -> Iterator[Any]:
    """The items of a JSON list, one by one, without the whole text in memory.

    Raises:
        OSError, ValueError: the file cannot be read, is not a JSON list, or has an item of 16 million
            characters.
    """
    decoder = json.JSONDecoder()
    with regular(path).open(encoding="utf-8-sig") as file:
        text, start, position = file.read(_CHUNK).lstrip(), "[", 0
        while text.startswith(start, position):  # "[" at first, then "," after each item
            item, end = None, len(text)
            while True:  # read on until the item and what follows it are in the text
                try:
                    item, end = decoder.raw_decode(text, _skip(text, position + 1))
                    end = _skip(text, end)
                except (ValueError, RecursionError):
                    end = len(text)
                if end < len(text):
                    break
                more = file.read(_CHUNK)
                if not more or len(text) - position > _LONGEST:
                    raise ValueError(f"expected an item after {text[position : position + 60]!r}")
                text, position = text[position:] + more, 0
            yield item
            start, position = ",", end
        if not text.startswith("]", position):
            raise ValueError(f"expected a JSON list, found {text[position : position + 60]!r}")


def _skip(text: str, position: int) -> int:
    """The position of the next character that is not a space."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
