"""What a check finds: one entry per kind of mistake, with its number of cases and the first few of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Example:
    """One case.

    Attributes:
        image: id of the image, None where none is concerned or its id is not known.
        place: where in the file, such as ``boxes_1024[17]`` or ``entry 3``.
        found: what is there, as JSON can hold it.
    """

    image: Any
    place: str
    found: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of mistake.

    Attributes:
        severity: an error makes training fail or its result wrong; a warning is likely a mistake; a note is
            worth knowing.
        code: short, and the same in every version.
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
    """Collects what the checks of one data set find.

    Args:
        limit: examples to keep of each finding.

    Attributes:
        image_ids: ids of the annotation rows, as soon as they are known.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.image_ids: Sequence[Any] = ()
        self._found: list[Finding] = []

    def add(
        self,
        severity: Severity,
        code: str,
        what: str,
        advice: str,
        *,
        examples: Sequence[Example] = (),
        count: int | None = None,
        images: Sequence[Any] = (),
    ) -> None:
        """Note a kind of mistake, if there is a case of it; cases of the same kind are put together.

        Args:
            severity: see `Finding`, also for the next three.
            code: short name.
            what: what is wrong.
            advice: what to do.
            examples: cases.
            count: number of cases where it is not that of the examples.
            images: ids of the images concerned where they are not those of the examples.
        """
        count = len(examples) if count is None else count
        if not count:
            return
        concerned = images or [case.image for case in examples if case.image is not None]
        kind = (severity, code, what)
        former = next((one for one in self._found if (one.severity, one.code, one.what) == kind), None)
        if former is not None:
            self._found.remove(former)
            count, examples = former.count + count, [*former.examples, *examples]
            concerned = [*former.images, *concerned]
        self._found.append(
            Finding(
                severity=severity,
                code=code,
                count=int(count),
                what=what,
                advice=advice,
                examples=tuple(examples[: self.limit]),
                images=tuple(concerned),
            )
        )

    def add_rows(
        self,
        severity: Severity,
        code: str,
        what: str,
        advice: str,
        *,
        key: str,
        bad: np.ndarray,
        values: np.ndarray,
        owners: np.ndarray | None = None,
    ) -> None:
        """Note the rows of an array that are wrong, if any.

        Args:
            severity: see `Finding`, also for the next three.
            code: short name.
            what: what is wrong.
            advice: what to do.
            key: name of the array.
            bad: (rows,) bool.
            values: (rows, ...), what to show.
            owners: (rows,) the image row of each row, -1 for none; by default row i belongs to image i.
        """
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        concerned = rows if owners is None else owners[rows]
        examples = [
            Example(self.image_id(image), f"{key}[{row}]", _plain(values[row].tolist()))
            for row, image in zip(rows[: self.limit].tolist(), concerned[: self.limit].tolist(), strict=True)
        ]
        images = [self.image_id(image) for image in np.unique(concerned).tolist()]
        self.add(
            severity,
            code,
            what,
            advice,
            examples=examples,
            count=len(rows),
            images=[name for name in images if name is not None],
        )

    def image_id(self, row: int) -> Any:
        """The id of an annotation row, None where it is not known."""
        return self.image_ids[row] if 0 <= row < len(self.image_ids) else None

    def ordered(self) -> tuple[Finding, ...]:
        """All findings, errors first."""
        return tuple(sorted(self._found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _plain(value: Any) -> Any:
    """The value with text for the numbers that JSON does not know."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
