"""The tables of ``speaq data stats``: for the terminal and as CSV.

Shape letters: see `speaq.structures`.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from speaq.data.statistics import ClassCounts
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.evaluation.recall import long_tail_groups
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.doctor.check import count_splits, triplet_name
from speaq.tools.doctor.sources import Source

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class CountTable:
    """One table.

    Attributes:
        name: short, as a file name.
        title: above the table.
        columns: the headings; the first column has names.
        rows: the cells; shares are in percent.
        per_class: whether there is one row per class or triplet.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    per_class: bool = False

    def as_rich(self, top: int) -> Table:
        """For a rich console; of a long table the first ``top`` rows."""
        rows = self.rows[:top] if self.per_class else self.rows
        hidden = len(self.rows) - len(rows)
        table = Table(
            title=Text(self.title), title_justify="left", caption=f"and {hidden:,} more" if hidden else None
        )
        for column, cell in zip(self.columns, self.rows[0] if self.rows else self.columns, strict=True):
            table.add_column(column, justify="left" if isinstance(cell, str) else "right")
        for row in rows:
            table.add_row(*(Text(_formatted(cell)) for cell in row))
        return table

    def save(self, path: Path) -> None:
        """Write the whole table as CSV.

        Raises:
            SpeaqError: the file cannot be written.
        """
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows(self.rows)


def count_source(source: Source) -> list[CountTable]:
    """All tables of a data set.

    Raises:
        SpeaqError: a file is malformed, or no image has a split.
    """
    vocabulary = read_vocabulary(source.dictionary)
    arrays = read_annotations(source.annotations, box_scale=source.section.box_scale, vocabulary=vocabulary)
    counts = count_splits(arrays, vocabulary)
    if not counts:
        raise SpeaqError(f"{source.annotations}: no image is of the splits 0, 1 and 2; see speaq data check")
    return [
        _splits(counts),
        _per_image(counts),
        _predicates(counts, vocabulary),
        _objects(counts, vocabulary),
        _triplets(counts, vocabulary),
    ]


def _splits(counts: dict[str, ClassCounts]) -> CountTable:
    columns = ("split", "images", "without boxes", "without relations", "boxes", "relations", "triplets")
    rows: list[tuple[Cell, ...]] = [
        (
            name,
            split.num_images,
            split.num_without_boxes,
            split.num_without_relations,
            split.num_boxes,
            split.num_relations,
            len(split.triplets),
        )
        for name, split in counts.items()
    ]
    return CountTable("splits", "Splits (triplets: distinct ones)", columns, rows)


def _per_image(counts: dict[str, ClassCounts]) -> CountTable:
    rows: list[tuple[Cell, ...]] = []
    for name, split in counts.items():
        for what, per_image in (("boxes", split.boxes_per_image), ("relations", split.relations_per_image)):
            low, median, most, high = np.percentile(per_image, (0, 50, 90, 100)).tolist()
            mean = round(float(per_image.mean()), 2)
            rows.append((name, what, int(low), mean, round(median, 1), round(most, 1), int(high)))
    columns = ("split", "of an image", "least", "mean", "median", "90 % have at most", "most")
    return CountTable("per_image", "Boxes and relations per image", columns, rows)


def _predicates(counts: dict[str, ClassCounts], vocabulary: Vocabulary) -> CountTable:
    """Most frequent first, with head, body and tail as the evaluation groups them by the training split."""
    name, first = _first_split(counts)
    group = {}
    for label, members in long_tail_groups(first.predicate_counts).items():
        group |= dict.fromkeys(members.tolist(), label)
    columns, rows = _classes("predicate", vocabulary.predicates, counts, "predicate_counts")
    order = np.argsort(-first.predicate_counts, kind="stable").tolist()
    rows = [(*row, group[index]) for row, index in zip(rows, order, strict=True)]
    return CountTable(
        "predicates", f"Predicates (relations; group by {name})", (*columns, "group"), rows, per_class=True
    )


def _objects(counts: dict[str, ClassCounts], vocabulary: Vocabulary) -> CountTable:
    columns, rows = _classes("object", vocabulary.objects, counts, "object_counts")
    return CountTable("objects", "Object classes (boxes)", columns, rows, per_class=True)


def _classes(
    kind: str, names: tuple[str, ...], counts: dict[str, ClassCounts], attribute: str
) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Counts per split and the share in the first one, by which the rows are ordered."""
    name, first = _first_split(counts)
    frequency = getattr(first, attribute)
    shares = 100 * frequency / max(frequency.sum(), 1)
    rows: list[tuple[Cell, ...]] = [
        (
            names[index],
            *(int(getattr(split, attribute)[index]) for split in counts.values()),
            round(float(shares[index]), 2),
        )
        for index in np.argsort(-frequency, kind="stable").tolist()
    ]
    return (kind, *counts, f"{name} %"), rows


def _triplets(counts: dict[str, ClassCounts], vocabulary: Vocabulary) -> CountTable:
    name, first = _first_split(counts)
    shares = 100 * first.triplet_counts / max(first.num_relations, 1)
    rows: list[tuple[Cell, ...]] = [
        (
            triplet_name(first.triplets[row], vocabulary),
            int(first.triplet_counts[row]),
            round(float(shares[row]), 2),
        )
        for row in np.argsort(-first.triplet_counts, kind="stable").tolist()
    ]
    return CountTable("triplets", f"Triplets of {name}", ("triplet", name, f"{name} %"), rows, per_class=True)


def _first_split(counts: dict[str, ClassCounts]) -> tuple[str, ClassCounts]:
    """Name and counts of the training split, or of the first one that is not empty."""
    return next(iter(counts.items()))


def _formatted(cell: Cell) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return cell if isinstance(cell, str) else f"{cell:,}"
