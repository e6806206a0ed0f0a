"""The findings of a check for the terminal and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from speaq.data.findings import SEVERITIES, Finding
from speaq.data.visual_genome import SPLITS
from speaq.files import replacing
from speaq.tools.doctor.check import DatasetCheck

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MAX_CLASSES = 8  # classes that are shown
_INDENT = (0, 0, 0, 4)


@dataclass(frozen=True, slots=True)
class Report:
    """The checks of one or more data sets.

    Attributes:
        checks: one per data set.
        between: findings that concern two data sets of a mix.
    """

    checks: Sequence[DatasetCheck]
    between: tuple[Finding, ...] = ()

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return [*(finding for check in self.checks for finding in check.findings), *self.between]

    def count(self, severity: str) -> int:
        """Findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def show(self, console: Console) -> None:
        """Print everything."""
        for check in self.checks:
            source = check.source
            console.print(Text.assemble((source.name, "bold"), f"  {source.annotations}"), soft_wrap=True)
            if check.counts:
                console.print(_split_table(check))
                console.print(_frequent(check))
            for finding in check.findings:
                _show_finding(finding, console)
            for obstacle in check.obstacles:
                console.print(Text(f"It can be neither counted nor repaired: {obstacle}.", "bold red"))
        if self.between:
            console.print(Text("Between the data sets of the mix", "bold"))
            for finding in self.between:
                _show_finding(finding, console)
        console.print(self.summary())

    def summary(self) -> Text:
        """How many findings there are."""
        counts = [(severity, self.count(severity)) for severity in SEVERITIES]
        return Text(", ").join(
            Text(f"{count} {severity}{'' if count == 1 else 's'}", _STYLES[severity] if count else "")
            for severity, count in counts
        )

    def save(self, path: Path) -> None:
        """Write everything as JSON.

        Raises:
            SpeaqError: the file cannot be written.
        """
        content = {
            **{f"{severity}s": self.count(severity) for severity in SEVERITIES},
            "sets": [_as_json(check) for check in self.checks],
            "between": [asdict(finding) for finding in self.between],
        }
        with replacing(path) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _split_table(check: DatasetCheck) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("split")
    for heading in ("images", "usable", "without boxes", "without relations", "boxes", "relations"):
        table.add_column(heading, justify="right")
    split = np.empty(0) if check.arrays is None or check.arrays.split is None else check.arrays.split
    for number, name in enumerate(SPLITS):
        row = [int((split == number).sum())]
        if counts := check.counts.get(name):
            row += [
                counts.num_images,
                counts.num_without_boxes,
                counts.num_without_relations,
                counts.num_boxes,
                counts.num_relations,
            ]
        table.add_row(name, *(f"{cell:,}" for cell in row + [0] * (6 - len(row))))
    return table


def _frequent(check: DatasetCheck) -> Text:
    """The most frequent classes of the training split, or of the first split that is not empty."""
    name, counts = next(iter(check.counts.items()))
    text = Text()
    usable = check.usable
    assert usable is not None
    for kind, names, frequency in (
        ("objects", usable.vocabulary.objects, counts.object_counts),
        ("predicates", usable.vocabulary.predicates, counts.predicate_counts),
    ):
        order = np.argsort(-frequency, kind="stable")[:_MAX_CLASSES].tolist()
        listed = ", ".join(f"{names[index]} {frequency[index]:,}" for index in order if frequency[index])
        text.append(f"{len(names)} {kind}, in {name}: ", "bold")
        text.append(f"{listed}{', ...' if len(names) > _MAX_CLASSES else ''}\n")
    text.rstrip()
    return text


def _show_finding(finding: Finding, console: Console) -> None:
    severity = (finding.severity, _STYLES[finding.severity])
    console.print(Text.assemble(severity, "  ", (finding.code, "bold"), f"  {finding.count:,}"))
    console.print(Padding(Text(finding.what), _INDENT, expand=False))
    for case in finding.examples:
        console.print(Padding(Text(str(case), "dim"), _INDENT, expand=False))
    if finding.count > len(finding.examples) > 0:
        console.print(
            Padding(Text(f"and {finding.count - len(finding.examples):,} more", "dim"), _INDENT, expand=False)
        )
    if finding.advice:
        console.print(Padding(Text(f"-> {finding.advice}"), _INDENT, expand=False))


def _as_json(check: DatasetCheck) -> dict[str, Any]:
    source = check.source
    content: dict[str, Any] = {
        "name": source.name,
        "images": str(source.images),
        "image_data": str(source.image_data),
        "mapping_dictionary": str(source.dictionary),
        "vg_attribute_h5": str(source.annotations),
        "obstacles": list(check.obstacles),
        "findings": [asdict(finding) for finding in check.findings],
        "splits": {},
    }
    for name, counts in check.counts.items():
        assert check.usable is not None
        vocabulary = check.usable.vocabulary
        content["splits"][name] = {
            "images": counts.num_images,
            "images_without_boxes": counts.num_without_boxes,
            "images_without_relations": counts.num_without_relations,
            "boxes": counts.num_boxes,
            "relations": counts.num_relations,
            "objects": dict(zip(vocabulary.objects, counts.object_counts.tolist(), strict=True)),
            "predicates": dict(zip(vocabulary.predicates, counts.predicate_counts.tolist(), strict=True)),
        }
    return content
