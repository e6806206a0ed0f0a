"""Reading a JSON file that may be damaged."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speaq.data.findings import Example, Findings


class RepeatedNames(dict[str, Any]):
    """A JSON object in which a name occurs more than once.

    Attributes:
        members: names and values as in the file.
    """

    members: Sequence[tuple[str, Any]]


def read_json(path: Path, findings: Findings) -> tuple[Any, str]:
    """The content of a file and an empty string, or None and why it could not be read."""
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
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=make_object)
    except (OSError, ValueError, RecursionError) as error:
        return None, str(error)
    findings.add("json-name-twice", repeated, fields={"file": path.name})
    return content, ""


def members_of(table: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and values of a JSON object as in the file, repeated names included."""
    return list(table.members if isinstance(table, RepeatedNames) else table.items())
