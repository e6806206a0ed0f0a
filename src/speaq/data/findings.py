"""What is wrong with a data set: a `Finding` per kind of problem, with its number of cases and a few of them.

The readers of this package report to `Findings`, which collects everything (``speaq data check``), or to
`FirstError`, which raises the first error (training).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speaq.data.finding_kinds import KINDS, Severity
from speaq.errors import SpeaqError

SEVERITIES: tuple[Severity, ...] = tuple(KINDS)
_USUAL_SEVERITY: dict[str, Severity] = {code: severity for severity, kinds in KINDS.items() for code in kinds}
_MAX_CHARACTERS = 70  # of a value in a message


@dataclass(frozen=True, slots=True)
class Example:
    """One case: the id of the image (None: not known), the place in the file, and the JSON value there."""

    image: Any
    place: str
    found: Any

    def __str__(self) -> str:
        found = self.found if isinstance(self.found, str) else json.dumps(self.found, ensure_ascii=False)
        shortened = found if len(found) <= _MAX_CHARACTERS else f"{found[:_MAX_CHARACTERS]}..."
        is_named = self.image is None or f"image {self.image}" in self.place
        return f"{'' if is_named else f'image {self.image}, '}{self.place}: {shortened}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of problem.

    Attributes:
        severity: an error makes training fail or its result wrong; a warning is likely a mistake; a note is
            worth knowing.
        code: of the kind, see `KINDS`.
        count: number of cases.
        what: what is wrong.
        advice: what to do about it.
        examples: the first cases.
        images: ids of all images concerned.
    """

    severity: Severity
    code: str
    count: int
    what: str
    advice: str
    examples: tuple[Example, ...]
    images: tuple[Any, ...]


class Findings:
    """Collects what the readers and checks of one data set find, with up to ``limit`` examples of each.

    ``image_ids`` are the ids of the annotation rows, as soon as they are known.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.image_ids: Sequence[Any] = ()
        self._found: dict[tuple[Severity, str, str], Finding] = {}

    def add(
        self,
        code: str,
        examples: Sequence[Example] = (),
        /,
        *,
        count: int | None = None,
        images: Sequence[Any] = (),
        severity: Severity | None = None,
        **fields: Any,
    ) -> None:
        """Report the cases of a kind of problem, if there are any; those of the same kind are put together.

        ``count``, ``images`` and ``severity`` replace those of the examples and of the kind; ``fields`` are
        the values for the braces in its texts.
        """
        number = len(examples) if count is None else int(count)
        if not number:
            return
        usual_severity = _USUAL_SEVERITY[code]
        what, advice = (text.format_map(fields) for text in KINDS[usual_severity][code])
        concerned = images or [case.image for case in examples if case.image is not None]
        key = severity or usual_severity, code, what
        if former := self._found.pop(key, None):
            number, examples = former.count + number, [*former.examples, *examples]
            concerned = [*former.images, *concerned]
        self._found[key] = Finding(
            severity=key[0],
            code=code,
            count=number,
            what=what,
            advice=advice,
            examples=tuple(examples[: self.limit]),
            images=tuple(concerned),
        )

    def add_rows(
        self,
        code: str,
        key: str,
        bad: np.ndarray,
        values: np.ndarray,
        /,
        *,
        owners: np.ndarray | None = None,
        start: int = 0,
        **fields: Any,
    ) -> None:
        """Report the rows of the array ``key`` that are ``bad`` (rows,) bool, and show their ``values``.

        ``owners`` (rows,) is the image row of each row, -1 for none; by default row i belongs to image i.
        The first row has the number ``start``.
        """
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        concerned = rows if owners is None else owners[rows]
        examples = [
            Example(self.image_id(image), f"{key}[{start + row}]", _as_json(values[row].tolist()))
            for row, image in zip(rows[: self.limit].tolist(), concerned[: self.limit].tolist(), strict=True)
        ]
        images = [self.image_id(image) for image in np.unique(concerned).tolist()]
        known = [image_id for image_id in images if image_id is not None]
        self.add(code, examples, count=len(rows), images=known, **fields)

    def image_id(self, row: int) -> Any:
        """The id of an annotation row, None where it is not known."""
        return self.image_ids[row] if 0 <= row < len(self.image_ids) else None

    def ordered(self) -> tuple[Finding, ...]:
        """All findings, errors first."""
        return tuple(sorted(self._found.values(), key=lambda finding: SEVERITIES.index(finding.severity)))


class FirstError(Findings):
    """Raises the first error in a file as `SpeaqError`, unless its code is among ``accepted``."""

    def __init__(self, path: Path, *, accepted: Sequence[str] = ()) -> None:
        super().__init__(limit=1)
        self.path, self.accepted = path, accepted

    def add(self, code: str, examples: Sequence[Example] = (), /, **options: Any) -> None:
        """Raise `SpeaqError` if this is an error that is not accepted."""
        super().add(code, examples, **options)
        for finding in self._found.values():
            if finding.severity == "error" and finding.code not in self.accepted:
                found = f" Found {finding.examples[0]}." if finding.examples else ""
                advice, _, fix = finding.advice.partition("--fix")
                if fix:
                    advice += "'speaq data check' lists all problems and writes a repaired copy (--fix)."
                raise SpeaqError(f"{self.path}: {finding.what}{found} {advice}")


def _as_json(value: Any) -> Any:
    """The value with text for the numbers that JSON does not have."""
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
