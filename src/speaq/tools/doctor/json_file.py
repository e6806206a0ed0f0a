"""Reading a JSON file that may be damaged."""

import json
from pathlib import Path
from typing import Any

from speaq.tools.doctor.findings import Example, Findings


class JsonObject(dict[str, Any]):
    """A JSON object that remembers members whose name comes more than once.

    Attributes:
        members: names and values as in the file.
    """

    members: list[tuple[str, Any]]


def read_json(path: Path, findings: Findings) -> tuple[Any, str]:
    """The content of a file, objects as `JsonObject`, and why it could not be read, else ""."""
    twice: list[Example] = []

    def make_object(members: list[tuple[str, Any]]) -> JsonObject:
        content = JsonObject(members)
        content.members = members
        if len(content) < len(members):
            names = [name for name, _ in members]
            twice.append(Example(None, path.name, next(name for name in names if names.count(name) > 1)))
        return content

    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=make_object)
    except (OSError, ValueError, RecursionError) as error:
        return None, str(error)
    findings.add(
        "error",
        "json-name-twice",
        f"An object in {path.name} has a name more than once.",
        "Keep one. --fix makes one class of the numbers of a name; elsewhere the last value counts.",
        examples=twice,
    )
    return content, ""
