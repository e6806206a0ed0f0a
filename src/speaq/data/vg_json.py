"""Reading a JSON file that may be damaged."""

from pathlib import Path
from typing import Any

from speaq.data.findings import Example, Findings
from speaq.files import parse_json, regular


class RepeatedNames(dict[str, Any]):
    """A JSON object in which a name occurs more than once; ``members`` has them all, as in the file."""

    members: list[tuple[str, Any]]


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
        findings.add(code, [Example(None, path.name, str(error))])
        return None
    findings.add("json-name-twice", repeated, file=path.name)
    if isinstance(content, kind) and content != []:
        return content
    findings.add(code, [Example(None, path.name, f"{content!r:.60}")])
    return None
