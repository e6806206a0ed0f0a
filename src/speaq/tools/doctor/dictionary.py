"""The mapping dictionary, read as far as it can be, with everything that is wrong with it.

N: numbers that have a name, C: classes.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speaq.tools.doctor.findings import Example, Findings, Severity
from speaq.tools.doctor.json_file import JsonObject, read_json

_RULE = "Class numbers are 1, 2, 3, ...; readers count on it. --fix renumbers the classes, labels included."


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names of one kind of classes and the numbers that stand for them in the annotations.

    Attributes:
        names: C distinct names, by ascending number.
        numbers: (N,) int64, ascending.
        classes: (N,) int64, the class from 0 of each number.
    """

    names: tuple[str, ...]
    numbers: np.ndarray
    classes: np.ndarray

    def indices(self, numbers: np.ndarray) -> np.ndarray:
        """The classes from 0 of these numbers, -1 where a number has no name."""
        places = np.searchsorted(self.numbers, numbers).clip(max=len(self.numbers) - 1)
        return np.where(self.numbers[places] == numbers, self.classes[places], -1)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What could be read.

    Attributes:
        objects, predicates, attributes: the classes, None where there are none.
        content: the whole JSON object.
    """

    objects: ClassNames | None = None
    predicates: ClassNames | None = None
    attributes: ClassNames | None = None
    content: dict[str, Any] = field(default_factory=dict)


def read_dictionary(path: Path, findings: Findings) -> Dictionary:
    """Read the dictionary and note its mistakes."""
    content, problem = read_json(path, findings)
    if not isinstance(content, JsonObject):
        findings.add(
            "error",
            "dictionary-unreadable",
            "The mapping dictionary cannot be read.",
            "Use the dictionary that belongs to the annotations; classes were not checked.",
            examples=[Example(None, path.name, problem or f"it holds {content!r:.60}")],
        )
        return Dictionary()
    attributes = None
    if "attribute_to_idx" in content:  # not used here, so nothing in it is an error
        attributes = _class_names(content, "attribute", "warning", findings)
    return Dictionary(
        objects=_class_names(content, "label", "error", findings),
        predicates=_class_names(content, "predicate", "error", findings),
        attributes=attributes,
        content=content,
    )


def _class_names(
    content: dict[str, Any], kind: str, severity: Severity, findings: Findings
) -> ClassNames | None:
    """The classes of one kind, by ``<kind>_to_idx``, or by its inverse where that is missing."""
    key, inverse_key = f"{kind}_to_idx", f"idx_to_{kind}"
    inverse = _inverse(content.get(inverse_key))
    table = content.get(key)
    if not isinstance(table, JsonObject) or not table:
        findings.add(
            severity,
            "dictionary-key-missing",
            f"The dictionary has no '{key}' that maps names to numbers.",
            f"Add it; --fix makes it of '{inverse_key}' where that is there.",
            examples=[Example(None, key, None if table is None else f"{table!r:.80}")],
        )
        members = [
            (name, number)
            for number, name in inverse.items()
            if isinstance(number, int) and isinstance(name, str)
        ]
    else:
        members = _members(table, key, severity, findings)
        _check_names(members, key, severity, findings)
        _check_inverse(content, kind, members, severity, findings)
    if not members:
        return None
    return _resolved(members, inverse)


def _members(table: JsonObject, key: str, severity: Severity, findings: Findings) -> list[tuple[str, int]]:
    """The names with a usable number, in the order of the file."""
    members, bad = [], []
    for name, number in table.members:
        whole = _whole(number)
        if type(number) is not int or whole is None:
            bad.append(Example(None, f"{key}[{name!r}]", number))
        if whole is not None:
            members.append((name, whole))
    findings.add(
        severity,
        "dictionary-number",
        "A class number is not a whole number (of 32 bits).",
        "Write numbers without quotes and decimals; --fix does, where the meaning is clear.",
        examples=bad,
    )
    return members


def _whole(value: Any) -> int | None:
    """The whole number that a JSON value means, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**31 else None


def _inverse(table: Any) -> dict[Any, Any]:
    """``idx_to_<kind>`` with numbers for the keys that are; whatever else it has stays."""
    if not isinstance(table, dict):
        return {}
    return {
        int(number) if number.isdecimal() and str(int(number)) == number else number: name
        for number, name in table.items()
    }


def _check_names(members: list[tuple[str, int]], key: str, severity: Severity, findings: Findings) -> None:
    """Gaps in the numbers, numbers that come twice, and names that only look different."""
    sharing: dict[int, list[str]] = {}
    for name, number in dict.fromkeys(members):
        sharing.setdefault(number, []).append(name)
    absent = sorted(set(range(1, len(sharing) + 1)) - sharing.keys())
    findings.add(
        severity,
        "dictionary-gap",
        f"The numbers of '{key}' are not 1 to {len(sharing)}.",
        _RULE,
        examples=[Example(None, f"{key}, number {number}", "no name") for number in absent],
    )
    findings.add(
        severity,
        "dictionary-number-twice",
        f"Names of '{key}' share a number.",
        "Give every name a number of its own. Which name the annotations mean cannot be told: --fix keeps "
        "the one that the inverse table has, else the first.",
        examples=[
            Example(None, f"{key}, number {number}", alike)
            for number, alike in sharing.items()
            if len(alike) > 1
        ],
    )
    folded: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for name, _ in members):
        folded.setdefault(" ".join(name.casefold().split()), []).append(name)
    findings.add(
        "warning",
        "dictionary-similar-names",
        f"Names of '{key}' differ in spaces or upper case only.",
        "Make one class of them if they mean the same.",
        examples=[Example(None, key, alike) for alike in folded.values() if len(alike) > 1],
    )


def _check_inverse(
    content: dict[str, Any],
    kind: str,
    members: list[tuple[str, int]],
    severity: Severity,
    findings: Findings,
) -> None:
    """Whether ``idx_to_<kind>`` says the same; compared where names and numbers are one to one."""
    key, inverse_key = f"{kind}_to_idx", f"idx_to_{kind}"
    table, inverse = {number: name for name, number in members}, _inverse(content.get(inverse_key))
    if content.get(inverse_key) is None:
        findings.add(
            "note",
            "dictionary-no-inverse",
            f"The dictionary has no '{inverse_key}'.",
            "It is not needed here; other programs may ask for it. --fix adds it.",
            count=1,
        )
    elif len(table) == len(members):
        findings.add(
            severity,
            "dictionary-inverse",
            f"'{inverse_key}' is not the inverse of '{key}'.",
            f"Correct one of the two. --fix takes '{key}' as right, as readers do.",
            examples=[
                Example(None, f"number {number}", {key: table.get(number), inverse_key: inverse.get(number)})
                for number in sorted(table.keys() | inverse.keys(), key=str)
                if table.get(number) != inverse.get(number)
            ],
        )


def _resolved(members: list[tuple[str, int]], inverse: dict[Any, Any]) -> ClassNames:
    """One name for every number, and one class for every name."""
    candidates: dict[int, list[str]] = {}
    for name, number in members:
        candidates.setdefault(number, []).append(name)
    numbers = sorted(candidates)
    chosen = [
        inverse[number] if inverse.get(number) in candidates[number] else candidates[number][0]
        for number in numbers
    ]
    classes = {name: index for index, name in enumerate(dict.fromkeys(chosen))}
    return ClassNames(tuple(classes), np.array(numbers), np.array([classes[name] for name in chosen]))
