"""The tables of ``speaq data stats``: for the terminal and as CSV."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from speaq.data.statistics import ClassCounts
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.evaluation.recall import long_tail_groups
from speaq.files import replacing
from speaq.tools.doctor.class_counts import count_splits, triplet_name
from speaq.tools.doctor.sources import Source


@dataclass(frozen=True, slots=True)
class CountTable:
    """One table.

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
    vocabulary = read_vocabulary(source.dictionary)
    arrays = read_annotations(source.annotations, box_scale=source.section.box_scale, vocabulary=vocabulary)
    counts = count_splits(arrays, vocabulary)
    if not counts:
        raise SpeaqError(f"{source.annotations}: no image is of the splits 0, 1 and 2; see speaq data check")
    first = next(iter(counts))  # the training split, or the first one that is not empty
    predicates = _classes(
        "predicate", vocabulary.predicates, {name: split.predicate_counts for name, split in counts.items()}
    )
    groups = long_tail_groups(counts[first].predicate_counts)
    group = {index: label for label, members in groups.items() for index in members.tolist()}
    predicates["group"] = [group[index] for index in predicates.index]
    objects = _classes(
        "object", vocabulary.objects, {name: split.object_counts for name, split in counts.items()}
    )
    names = [triplet_name(triplet, vocabulary) for triplet in counts[first].triplets]
    triplets = _classes("triplet", names, {first: counts[first].triplet_counts})
    return [
        CountTable("splits", "Splits (triplets: distinct ones)", _splits(counts)),
        CountTable("per_image", "Boxes and relations per image", _per_image(counts)),
        CountTable("predicates", f"Predicates (relations; group by {first})", predicates, per_class=True),
        CountTable("objects", "Object classes (boxes)", objects, per_class=True),
        CountTable("triplets", f"Triplets of {first}", triplets, per_class=True),
    ]


def _splits(counts: dict[str, ClassCounts]) -> pd.DataFrame:
    splits = counts.values()
    return pd.DataFrame(
        {
            "split": list(counts),
            "images": [split.num_images for split in splits],
            "without boxes": [split.num_without_boxes for split in splits],
            "without relations": [split.num_without_relations for split in splits],
            "boxes": [split.num_boxes for split in splits],
            "relations": [split.num_relations for split in splits],
            "triplets": [len(split.triplets) for split in splits],
        }
    )


def _per_image(counts: dict[str, ClassCounts]) -> pd.DataFrame:
    columns = ["split", "of an image", "least", "mean", "median", "90 % have at most", "most"]
    rows = []
    for name, split in counts.items():
        for what, per_image in (("boxes", split.boxes_per_image), ("relations", split.relations_per_image)):
            low, median, most, high = np.percentile(per_image, (0, 50, 90, 100)).tolist()
            mean = round(float(per_image.mean()), 2)
            rows.append((name, what, int(low), mean, round(median, 1), round(most, 1), int(high)))
    return pd.DataFrame(rows, columns=columns)


def _classes(kind: str, names: list[str] | tuple[str, ...], counts: dict[str, np.ndarray]) -> pd.DataFrame:
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
