"""The findings of a check for the terminal and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from speaq.data.findings import SEVERITIES, Finding
from speaq.data.selection import SPLITS
from speaq.errors import printable
from speaq.files import replacing
from speaq.tools.data_check.check import DatasetCheck
from speaq.tools.data_check.mix import check_mix

_STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
_MAX_CLASSES = 8  # classes that are shown


class Report:
    """The checks of one or more data sets, and the findings on every two of them.

    Args:
        checks: one per data set.
        limit: examples to keep of each finding on two data sets.
    """

    def __init__(self, checks: Sequence[DatasetCheck], *, limit: int) -> None:
        self.checks, self.mix = checks, check_mix(checks, limit=limit)

    @property
    def findings(self) -> list[Finding]:
        """All of them."""
        return [*(finding for check in self.checks for finding in check.findings), *self.mix]

    def count(self, severity: str) -> int:
        """Findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def show(self, console: Console) -> None:
        """Print everything."""
        for check in self.checks:
            heading = Text.assemble((check.source.name, "bold"), f"  {check.source.annotations}")
            console.print(heading, soft_wrap=True)
            if splits := _splits(check):
                console.print(_split_table(check, splits))
                console.print(_frequent_classes(splits))
            _show_findings(check.findings, console)
            for obstacle in check.obstacles:
                console.print(Text(f"It cannot be counted or repaired: {obstacle}.", "bold red"))
        if self.mix:
            console.print(Text("The data sets of the mix compared", "bold"))
            _show_findings(self.mix, console)
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
                "image_data": check.source.section.image_data,
                "mapping_dictionary": check.source.section.mapping_dictionary,
                "vg_attribute_h5": check.source.section.vg_attribute_h5,
                "parquet": check.source.section.parquet,
                "obstacles": list(check.obstacles),
                "findings": [asdict(finding) for finding in check.findings],
                "splits": _splits(check),
            }
            for check in self.checks
        ]
        counts = {f"{severity}s": self.count(severity) for severity in SEVERITIES}
        content = {**counts, "sets": sets, "between": [asdict(finding) for finding in self.mix]}
        with replacing(path) as temporary:
            text = json.dumps(content, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")


def _splits(check: DatasetCheck) -> dict[str, dict[str, Any]]:
    """The counts of each split: five numbers, and the frequencies of the classes."""
    if check.valid is None:
        return {}
    names = check.valid.vocabulary
    return {
        split: {
            "images": counts.num_images,
            "images_without_boxes": counts.num_without_boxes,
            "images_without_relations": counts.num_without_relations,
            "boxes": counts.num_boxes,
            "relations": counts.num_relations,
            "objects": dict(zip(names.objects, counts.object_counts.tolist(), strict=True)),
            "predicates": dict(zip(names.predicates, counts.predicate_counts.tolist(), strict=True)),
            **({"sources": counts.source_counts} if counts.source_counts else {}),
        }
        for split, counts in check.counts.items()
    }


def _split_table(check: DatasetCheck, splits: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("split")
    for heading in ("images", "valid", "without boxes", "without relations", "boxes", "relations"):
        table.add_column(heading, justify="right")
    assert check.arrays is not None
    for number, name in enumerate(SPLITS):
        in_file = np.count_nonzero(check.arrays.values["split"] == number)
        counts = list(splits[name].values())[:5] if name in splits else [0] * 5
        table.add_row(name, *(f"{count:,}" for count in (in_file, *counts)))
    return table


def _frequent_classes(splits: dict[str, dict[str, Any]]) -> Text:
    """The most frequent classes of the training split, or of the first split that is not empty."""
    split, counts = next(iter(splits.items()))
    text = Text()
    for kind in ("objects", "predicates", "sources"):
        if kind not in counts:
            continue
        classes = sorted(counts[kind].items(), key=lambda item: -item[1])[:_MAX_CLASSES]
        listed = ", ".join(f"{name or '(not known)'} {count:,}" for name, count in classes if count)
        text.append(f"{len(counts[kind])} {kind}, in {split}: ", "bold")
        text.append(f"{listed}{', ...' if len(counts[kind]) > _MAX_CLASSES else ''}\n")
    text.rstrip()
    return text


def _show_findings(findings: Iterable[Finding], console: Console) -> None:
    for finding in findings:
        severity = (finding.severity, _STYLES[finding.severity])
        console.print(Text.assemble(severity, "  ", (finding.code, "bold"), f"  {finding.count:,}"))
        lines = [
            Text(printable(finding.what)),
            *(Text(printable(str(case)), "dim") for case in finding.examples),
        ]
        if finding.count > len(finding.examples) > 0:
            lines.append(Text(f"and {finding.count - len(finding.examples):,} more", "dim"))
        if finding.advice:
            lines.append(Text(printable(f"-> {finding.advice}")))
        for line in lines:
            console.print(Padding(line, (0, 0, 0, 4), expand=False))
