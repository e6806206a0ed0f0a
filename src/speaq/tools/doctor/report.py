"""The findings of a check for the terminal, as JSON, and as an exit code."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from speaq.data.findings import SEVERITIES, Finding
from speaq.data.statistics import ClassCounts
from speaq.data.visual_genome import SPLITS
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.doctor.check import DatasetCheck
from speaq.tools.doctor.mix import check_mix

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MAX_CLASSES = 8  # classes that are shown
_COUNTS = ("images", "images_without_boxes", "images_without_relations", "boxes", "relations")


class Report:
    """The checks of one or more data sets, and the findings between those of a mix.

    Args:
        checks: one per data set.
        limit: examples to keep of each finding between the data sets.
    """

    def __init__(self, checks: Sequence[DatasetCheck], *, limit: int) -> None:
        self.checks, self.between = checks, check_mix(checks, limit=limit)

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return [*(finding for check in self.checks for finding in check.findings), *self.between]

    def count(self, severity: str) -> int:
        """Findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def exit_code(self, *, strict: bool) -> int:
        """1 if there is an error, or with ``strict`` a warning; else 0."""
        return int(self.count("error") > 0 or (strict and self.count("warning") > 0))

    def show(self, console: Console) -> None:
        """Print everything."""
        for check in self.checks:
            heading = Text.assemble((check.source.name, "bold"), f"  {check.source.annotations}")
            console.print(heading, soft_wrap=True)
            if splits := _splits(check):
                console.print(_split_table(check, splits))
                console.print(_frequent_classes(splits))
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
        sets = [
            {
                "name": check.source.name,
                "images": str(check.source.images),
                "image_data": str(check.source.image_data),
                "mapping_dictionary": str(check.source.dictionary),
                "vg_attribute_h5": str(check.source.annotations),
                "obstacles": list(check.obstacles),
                "findings": [asdict(finding) for finding in check.findings],
                "splits": _splits(check),
            }
            for check in self.checks
        ]
        content = {
            **{f"{severity}s": self.count(severity) for severity in SEVERITIES},
            "sets": sets,
            "between": [asdict(finding) for finding in self.between],
        }
        with replacing(path) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _splits(check: DatasetCheck) -> dict[str, dict[str, Any]]:
    """The counts of each split: numbers by the names of `_COUNTS`, and the frequencies of the classes."""
    if check.valid is None:
        return {}
    vocabulary = check.valid.vocabulary
    return {name: _as_json(counts, vocabulary) for name, counts in check.counts.items()}


def _as_json(counts: ClassCounts, vocabulary: Vocabulary) -> dict[str, Any]:
    numbers = (
        counts.num_images,
        counts.num_without_boxes,
        counts.num_without_relations,
        counts.num_boxes,
        counts.num_relations,
    )
    return dict(zip(_COUNTS, numbers, strict=True)) | {
        "objects": dict(zip(vocabulary.objects, counts.object_counts.tolist(), strict=True)),
        "predicates": dict(zip(vocabulary.predicates, counts.predicate_counts.tolist(), strict=True)),
    }


def _split_table(check: DatasetCheck, splits: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("split")
    for heading in ("images", "usable", "without boxes", "without relations", "boxes", "relations"):
        table.add_column(heading, justify="right")
    assert check.arrays is not None
    in_file = np.bincount(check.arrays.values["split"].clip(min=-1) + 1, minlength=4).tolist()[1:4]
    for name, number in zip(SPLITS, in_file, strict=True):
        cells = [number, *(splits.get(name, {}).get(key, 0) for key in _COUNTS)]
        table.add_row(name, *(f"{cell:,}" for cell in cells))
    return table


def _frequent_classes(splits: dict[str, dict[str, Any]]) -> Text:
    """The most frequent classes of the training split, or of the first split that is not empty."""
    split, counts = next(iter(splits.items()))
    text = Text()
    for kind in ("objects", "predicates"):
        classes = sorted(counts[kind].items(), key=lambda item: -item[1])[:_MAX_CLASSES]
        listed = ", ".join(f"{name} {count:,}" for name, count in classes if count)
        text.append(f"{len(counts[kind])} {kind}, in {split}: ", "bold")
        text.append(f"{listed}{', ...' if len(counts[kind]) > _MAX_CLASSES else ''}\n")
    text.rstrip()
    return text


def _show_finding(finding: Finding, console: Console) -> None:
    severity = (finding.severity, _STYLES[finding.severity])
    console.print(Text.assemble(severity, "  ", (finding.code, "bold"), f"  {finding.count:,}"))
    lines = [Text(finding.what), *(Text(str(case), "dim") for case in finding.examples)]
    if finding.count > len(finding.examples) > 0:
        lines.append(Text(f"and {finding.count - len(finding.examples):,} more", "dim"))
    if finding.advice:
        lines.append(Text(f"-> {finding.advice}"))
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 4), expand=False))
