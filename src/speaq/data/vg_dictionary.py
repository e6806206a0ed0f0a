"""Reading the mapping dictionary of a Visual Genome data set: names and numbers of the classes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.finding_kinds import Severity
from speaq.data.findings import Example, Findings, FirstError
from speaq.data.vg_json import members_of, read_json
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True)
class ClassNames:
    """Names of one kind of classes and the numbers that stand for them in the annotations.

    Attributes:
        names: C distinct names, by ascending number.
        numbers: (numbers with a name,) int64, ascending.
        classes: likewise, the class from 0 of each number.
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
    """The content of a dictionary as far as it could be read.

    Attributes:
        objects, predicates, attributes: the classes, None where there are none.
        content: the whole JSON object.
    """

    objects: ClassNames | None = None
    predicates: ClassNames | None = None
    attributes: ClassNames | None = None
    content: dict[str, Any] = field(default_factory=dict)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the class names of a sound dictionary: ``label_to_idx`` and ``predicate_to_idx``, numbers from 1.

    Raises:
        SpeaqError: the file is missing, is not JSON, or names and numbers are not one to one.
    """
    dictionary = read_dictionary(path, FirstError(path))
    assert dictionary.objects is not None and dictionary.predicates is not None
    return Vocabulary(dictionary.objects.names, dictionary.predicates.names)


def read_dictionary(path: Path, findings: Findings) -> Dictionary:
    """Read as much of the dictionary as possible, and report its mistakes."""
    content, problem = read_json(path, findings)
    if not isinstance(content, dict):
        example = Example(None, path.name, problem or f"it holds {content!r:.60}")
        findings.add("dictionary-unreadable", [example])
        return Dictionary()
    attributes = None
    if "attribute_to_idx" in content:  # not used in training, so nothing in it is an error
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
    """The classes of one kind, from ``<kind>_to_idx``, or from its inverse where that is missing."""
    key, inverse_key = f"{kind}_to_idx", f"idx_to_{kind}"
    fields = {"key": key, "inverse_key": inverse_key}
    table, inverse = content.get(key), _inverse(content.get(inverse_key))
    if not isinstance(table, dict) or not table:
        example = Example(None, key, None if table is None else f"{table!r:.80}")
        findings.add("dictionary-key-missing", [example], severity=severity, fields=fields)
        members = [
            (name, number)
            for number, name in inverse.items()
            if isinstance(number, int) and isinstance(name, str)
        ]
    else:
        members = [(name, _integer(number)) for name, number in members_of(table)]
        bad = [
            Example(None, f"{key}[{name!r}]", number)
            for (name, number), (_, integer) in zip(members_of(table), members, strict=True)
            if type(number) is not int or integer is None
        ]
        findings.add("dictionary-number", bad, severity=severity, fields=fields)
        members = [(name, number) for name, number in members if number is not None]
        _check_names(members, key, severity, findings)
        if content.get(inverse_key) is None:
            findings.add("dictionary-no-inverse", count=1, fields=fields)
        else:
            _check_inverse(members, inverse, fields, severity, findings)
    return _resolved(members, inverse) if members else None


def _integer(value: Any) -> int | None:
    """The integer that a JSON value means, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**31 else None


def _inverse(table: Any) -> dict[Any, Any]:
    """``idx_to_<kind>`` with integers for the keys that are; whatever else it has stays."""
    if not isinstance(table, dict):
        return {}
    return {
        int(number) if number.isdecimal() and str(int(number)) == number else number: name
        for number, name in table.items()
    }


def _check_names(members: list[tuple[str, int]], key: str, severity: Severity, findings: Findings) -> None:
    """Gaps in the numbers, numbers of several names, and names that only look different."""
    sharing: dict[int, list[str]] = {}
    for name, number in dict.fromkeys(members):
        sharing.setdefault(number, []).append(name)
    fields = {"key": key, "count": len(sharing)}
    shared = [
        Example(None, f"{key}, number {number}", alike) for number, alike in sharing.items() if len(alike) > 1
    ]
    findings.add("dictionary-number-twice", shared, severity=severity, fields=fields)
    absent = sorted(set(range(1, len(sharing) + 1)) - sharing.keys())
    gaps = [Example(None, f"{key}, number {number}", "no name") for number in absent]
    findings.add("dictionary-gap", gaps, severity=severity, fields=fields)
    folded: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for name, _ in members):
        folded.setdefault(" ".join(name.casefold().split()), []).append(name)
    similar = [Example(None, key, alike) for alike in folded.values() if len(alike) > 1]
    findings.add("dictionary-similar-names", similar, fields=fields)


def _check_inverse(
    members: list[tuple[str, int]],
    inverse: dict[Any, Any],
    fields: dict[str, str],
    severity: Severity,
    findings: Findings,
) -> None:
    """Whether ``idx_to_<kind>`` is the inverse; compared where names and numbers are one to one."""
    table = {number: name for name, number in members}
    if len(table) < len(members):
        return
    examples = [
        Example(
            None,
            f"number {number}",
            {fields["key"]: table.get(number), fields["inverse_key"]: inverse.get(number)},
        )
        for number in sorted(table.keys() | inverse.keys(), key=str)
        if table.get(number) != inverse.get(number)
    ]
    findings.add("dictionary-inverse", examples, severity=severity, fields=fields)


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
