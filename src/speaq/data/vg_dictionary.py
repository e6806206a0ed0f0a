"""Reading the mapping dictionary of a Visual Genome data set: names and numbers of the classes."""

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.finding_kinds import Severity
from speaq.data.findings import Example, Findings, FirstError
from speaq.data.vg_json import RepeatedNames, read_json
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
    """The classes as far as they could be read, None where there are none, and the whole JSON object."""

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
    content = read_json(path, dict, "dictionary-unreadable", findings)
    if content is None:
        return Dictionary()
    attributes = None
    if "attribute_to_idx" in content:  # not used in training, so nothing in it is an error
        attributes = _class_names(content, "attribute", "warning", findings)
    objects = _class_names(content, "label", "error", findings)
    return Dictionary(objects, _class_names(content, "predicate", "error", findings), attributes, content)


def _class_names(
    content: dict[str, Any], kind: str, severity: Severity, findings: Findings
) -> ClassNames | None:
    """The classes of one kind, from ``<kind>_to_idx``, or from its inverse where that is missing."""
    key, inverse_key = f"{kind}_to_idx", f"idx_to_{kind}"
    table, inverse = content.get(key), _inverse(content.get(inverse_key))

    def report(code: str, examples: list[Example], **fields: Any) -> None:
        findings.add(code, examples, severity=severity, key=key, inverse_key=inverse_key, **fields)

    if not isinstance(table, dict) or not table:
        report("dictionary-key-missing", [Example(None, key, None if table is None else f"{table!r:.80}")])
        members = [(name, number) for number, name in inverse.items() if isinstance(name, str)]
        return _resolved([(name, number) for name, number in members if isinstance(number, int)], inverse)

    entries = table.members if isinstance(table, RepeatedNames) else list(table.items())
    members = [(name, integer) for name, number in entries if (integer := _integer(number)) is not None]
    bad = [
        Example(None, f"{key}[{name!r}]", number)
        for name, number in entries
        if type(number) is not int or _integer(number) is None
    ]
    report("dictionary-number", bad)
    distinct = list(dict.fromkeys(members))
    names = _grouped((number, name) for name, number in distinct)
    shared = [Example(None, f"{key}, number {n}", alike) for n, alike in names.items() if len(alike) > 1]
    report("dictionary-number-twice", shared)
    absent = sorted(set(range(1, len(names) + 1)) - names.keys())
    gaps = [Example(None, f"{key}, number {number}", "no name") for number in absent]
    report("dictionary-gap", gaps, last=len(names))
    similar = _grouped((" ".join(name.casefold().split()), name) for name in dict(distinct))
    alike = [Example(None, key, names) for names in similar.values() if len(names) > 1]
    findings.add("dictionary-similar-names", alike, key=key)

    by_number = {number: name for name, number in members}
    if content.get(inverse_key) is None:
        findings.add("dictionary-no-inverse", count=1, inverse_key=inverse_key)
    elif len(by_number) == len(members):  # names and numbers are one to one
        different = [
            Example(None, f"number {number}", {key: by_number.get(number), inverse_key: inverse.get(number)})
            for number in sorted(by_number.keys() | inverse.keys(), key=str)
            if by_number.get(number) != inverse.get(number)
        ]
        report("dictionary-inverse", different)
    return _resolved(members, inverse)


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
        int(number) if re.fullmatch("0|[1-9][0-9]{0,17}", number) else number: name
        for number, name in table.items()
    }


def _grouped(pairs: Iterable[tuple[Hashable, str]]) -> dict[Any, list[str]]:
    groups: dict[Any, list[str]] = defaultdict(list)
    for key, name in pairs:
        groups[key].append(name)
    return groups


def _resolved(members: list[tuple[str, int]], inverse: dict[Any, Any]) -> ClassNames | None:
    """One name for every number (that of the inverse, else the first), and one class for every name."""
    chosen: dict[int, str] = {}
    for name, number in members:
        if number not in chosen or name == inverse.get(number):
            chosen[number] = name
    numbers = sorted(chosen)
    classes = {name: index for index, name in enumerate(dict.fromkeys(chosen[n] for n in numbers))}
    indices = np.array([classes[chosen[number]] for number in numbers])
    return ClassNames(tuple(classes), np.array(numbers), indices) if members else None
