"""Counts of classes and triplets by split: what is notable, and the tables of ``speaq data stats``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from speaq.data.findings import Example, Findings
from speaq.data.selection import SPLITS
from speaq.data.statistics import ClassCounts, count_annotations
from speaq.data.vg_annotations import AnnotationArrays, read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.evaluation.long_tail import long_tail_groups
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.data_check.parquet import in_visual_genome_format
from speaq.tools.data_check.sources import Source


def count_splits(annotations: AnnotationArrays, vocabulary: Vocabulary) -> dict[str, ClassCounts]:
    """Count train, val and test, as far as the data set has them."""
    rows = {name: np.flatnonzero(annotations.split == number) for number, name in enumerate(SPLITS)}
    return {
        name: count_annotations(annotations, vocabulary, images)
        for name, images in rows.items()
        if len(images)
    }


def check_class_counts(counts: dict[str, ClassCounts], vocabulary: Vocabulary, findings: Findings) -> None:
    """Report classes that never occur in training, and test triplets that training does not have."""
    train, test = counts.get("train"), counts.get("test")
    if train is None:
        return
    for code, names, numbers in (
        ("object-unused", vocabulary.objects, train.object_counts),
        ("predicate-unused", vocabulary.predicates, train.predicate_counts),
    ):
        unused = [Example(None, names[index], 0) for index in np.flatnonzero(numbers == 0).tolist()]
        findings.add(code, unused)
    if test is not None:
        shape = (len(train.object_counts), len(train.object_counts), len(train.predicate_counts))
        seen, tested = (np.ravel_multi_index(tuple(part.triplets.T), shape) for part in (train, test))
        rows = np.flatnonzero(~np.isin(tested, seen))
        examples = [
            Example(None, _triplet_name(test.triplets[row], vocabulary), int(test.triplet_counts[row]))
            for row in rows[: findings.limit].tolist()
        ]
        num_relations = int(test.triplet_counts[rows].sum())
        findings.add("zero-shot", examples, count=len(rows), num_relations=num_relations)


def _triplet_name(triplet: np.ndarray, vocabulary: Vocabulary) -> str:
    subject, object_, predicate = triplet.tolist()
    return f"{vocabulary.objects[subject]} {vocabulary.predicates[predicate]} {vocabulary.objects[object_]}"


@dataclass(frozen=True, slots=True)
class CountTable:
    """One table of ``speaq data stats``.

    Attributes:
        name: short, as a file name.
        title: above the table.
        content: the columns; the first one has names, and shares are in percent.
        per_class: whether there is one row per class or triplet.
    """

    name: str
    title: str
    content: pd.DataFrame
    per_class: bool = False

    def as_rich(self, top: int) -> Table:
        """For a rich console; of a table with a row per class the first ``top`` rows."""
        rows = self.content.head(top) if self.per_class else self.content
        hidden = len(self.content) - len(rows)
        table = Table(
            title=Text(self.title), title_justify="left", caption=f"and {hidden:,} more" if hidden else None
        )
        for column, values in self.content.items():
            is_text = values.dtype.kind not in "iuf" or self.content.empty
            table.add_column(str(column), justify="left" if is_text else "right")
        for row in rows.itertuples(index=False):
            table.add_row(*(Text(_formatted(cell)) for cell in row))
        return table

    def save(self, path: Path) -> None:
        """Write the whole table as CSV.

        Raises:
            SpeaqError: the file cannot be written.
        """
        with replacing(path) as temporary:
            self.content.to_csv(temporary, index=False, lineterminator="\r\n")


def count_source(source: Source) -> list[CountTable]:
    """All tables of a data set.

    Raises:
        SpeaqError: a file is malformed, or no image has a split.
    """
    with in_visual_genome_format(source) as (files, _):
        vocabulary = read_vocabulary(files.dictionary)
        box_scale = files.section.box_scale
        arrays = read_annotations(files.annotations, box_scale=box_scale, vocabulary=vocabulary)
    counts = count_splits(arrays, vocabulary)
    if not counts:
        raise SpeaqError(f"{source.annotations}: no image is of the splits 0, 1 and 2; see speaq data check")
    first = next(iter(counts))  # the training split, or the first one that is not empty
    frequencies = {name: split.predicate_counts for name, split in counts.items()}
    predicates = _classes("predicate", vocabulary.predicates, frequencies)
    for group, members in long_tail_groups(counts[first].predicate_counts).items():
        predicates.loc[members, "group"] = group
    frequencies = {name: split.object_counts for name, split in counts.items()}
    objects = _classes("object", vocabulary.objects, frequencies)
    names = [_triplet_name(triplet, vocabulary) for triplet in counts[first].triplets]
    triplets = _classes("triplet", names, {first: counts[first].triplet_counts})
    names = sorted({name for split in counts.values() for name in split.source_counts})
    frequencies = {
        name: np.array([split.source_counts.get(source, 0) for source in names], dtype=np.int64)
        for name, split in counts.items()
    }
    sources = _classes("source", [name or "(not known)" for name in names], frequencies)
    return [
        CountTable("splits", "Splits (triplets: distinct ones)", _splits(counts)),
        CountTable("per_image", "Boxes and relations per image", _per_image(counts)),
        *([CountTable("sources", "Sources of relations", sources)] if names else []),
        CountTable("predicates", f"Predicates (relations; group by {first})", predicates, per_class=True),
        CountTable("objects", "Object classes (boxes)", objects, per_class=True),
        CountTable("triplets", f"Triplets of {first}", triplets, per_class=True),
    ]


def _splits(counts: dict[str, ClassCounts]) -> pd.DataFrame:
    rows = [
        {
            "split": name,
            "images": split.num_images,
            "without boxes": split.num_without_boxes,
            "without relations": split.num_without_relations,
            "boxes": split.num_boxes,
            "relations": split.num_relations,
            "triplets": len(split.triplets),
        }
        for name, split in counts.items()
    ]
    return pd.DataFrame(rows)


def _per_image(counts: dict[str, ClassCounts]) -> pd.DataFrame:
    columns = ["split", "of an image", "least", "mean", "median", "90 % have at most", "most"]
    rows = []
    for name, split in counts.items():
        for what, per_image in (("boxes", split.boxes_per_image), ("relations", split.relations_per_image)):
            low, median, most, high = np.percentile(per_image, (0, 50, 90, 100)).tolist()
            mean = round(float(per_image.mean()), 2)
            rows.append((name, what, int(low), mean, round(median, 1), round(most, 1), int(high)))
    return pd.DataFrame(rows, columns=columns)


def _classes(kind: str, names: Sequence[str], counts: dict[str, np.ndarray]) -> pd.DataFrame:
    """Counts per split and the share in the first one, by which the rows are ordered, most frequent first."""
    first = next(iter(counts))
    table = pd.DataFrame({kind: list(names), **counts})
    shares = 100 * table[first] / max(table[first].sum(), 1)
    table[f"{first} %"] = [round(share, 2) for share in shares.tolist()]
    return table.sort_values(first, ascending=False, kind="stable")


def _formatted(cell: str | int | float) -> str:
    if isinstance(cell, float):
        return f"{cell:,.2f}"
    return cell if isinstance(cell, str) else f"{cell:,}"
