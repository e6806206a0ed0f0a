"""Reads the annotations of data sets, and writes charts, statistics (JSON) and counts (CSV)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from speaq.config import Config
from speaq.config.data import DatasetSection
from speaq.data.sources import training_places
from speaq.data.statistics import ClassCounts, count_annotations
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.distribution.charts import draw_all, draw_cumulative, draw_top
from speaq.tools.distribution.comparison import SPLIT_NUMBERS, Comparison, CountedSplit, What
from speaq.tools.distribution.summary import draw_summary
from speaq.visualize.charts import chart_style

_MAX_LISTED = 1000  # missing classes in JSON; the CSV table has all of them


def sets_of(config: Config) -> dict[str, DatasetSection]:
    """The data sets that a configuration trains on, by name of the source: "real", "synthetic", ...

    Raises:
        SpeaqError: the configuration does not name training data, or the path of a file is not set.
    """
    sets = {}
    for name, place in training_places(config.datasets).items():
        for key in ("mapping_dictionary", "vg_attribute_h5"):
            if not getattr(place.section, key):
                raise SpeaqError(f"{place.key}.{key.upper()} is not set: give it a path.")
        sets[name] = place.section
    return sets


def compare_sets(
    sets: Mapping[str, DatasetSection], kinds: Sequence[What], *, split: CountedSplit = "train"
) -> list[Comparison]:
    """Read the annotations of data sets (MAPPING_DICTIONARY, VG_ATTRIBUTE_H5), and compare them.

    A comparison is made for each kind of class. The splits are those of the files: validation images that a
    training sets aside are "train". Image lists are not read, so the filters of a section are not applied.

    Raises:
        SpeaqError: a file is missing or malformed, or a set has no image of the split.
    """
    counted: dict[str, tuple[ClassCounts, Vocabulary]] = {}
    num_possible: dict[str, dict[What, int]] = {}
    for name, section in sets.items():
        vocabulary = read_vocabulary(Path(section.mapping_dictionary))
        path = Path(section.vg_attribute_h5)
        annotations = read_annotations(path, box_scale=section.box_scale, vocabulary=vocabulary)
        images = _images_of(path, annotations.split, split)
        counted[name] = count_annotations(annotations, vocabulary, images), vocabulary
        objects, predicates = len(vocabulary.objects), len(vocabulary.predicates)
        triplets = objects**2 * predicates
        num_possible[name] = {"objects": objects, "predicates": predicates, "triplets": triplets}
    return [
        Comparison(
            what=what,
            columns={name: _column(what, *counts) for name, counts in counted.items()},
            num_images={name: counts.num_images for name, (counts, _) in counted.items()},
            num_possible={name: possible[what] for name, possible in num_possible.items()},
            split=split,
        )
        for what in kinds
    ]


def _images_of(path: Path, marks: np.ndarray, split: CountedSplit) -> np.ndarray:
    """The rows of the images of a split."""
    images = np.arange(len(marks)) if split == "all" else np.flatnonzero(marks == SPLIT_NUMBERS[split])
    if not len(images):
        numbers, counts = np.unique(marks, return_counts=True)
        found = ", ".join(f"{n} of split {s}" for s, n in zip(numbers, counts, strict=True)) or "no image"
        expected = "images" if split == "all" else f"images of split {SPLIT_NUMBERS[split]} ({split})"
        raise SpeaqError(f"{path}: expected {expected}; found {found}. Count another split, or all.")
    return images


def _column(what: What, counted: ClassCounts, vocabulary: Vocabulary) -> pd.Series:
    """Counts by class name; duplicate relations count each time."""
    objects, predicates = vocabulary.objects, vocabulary.predicates
    if what == "objects":
        return pd.Series(counted.object_counts, pd.Index(objects, dtype=object))
    if what == "predicates":
        return pd.Series(counted.predicate_counts, pd.Index(predicates, dtype=object))
    order = np.lexsort(counted.triplets[:, [1, 2, 0]].T)  # by subject, then predicate, then object
    names = [f"{objects[s]} - {predicates[p]} - {objects[o]}" for s, o, p in counted.triplets[order].tolist()]
    column = pd.Series(counted.triplet_counts[order], pd.Index(names, dtype=object))
    return column.groupby(level=0, sort=False).sum()  # a name can be ambiguous if a class has a " - "


def save_charts(comparison: Comparison, folder: Path, *, ending: str = "png") -> None:
    """Write the four charts of a comparison, as png, pdf or svg.

    Raises:
        SpeaqError: a chart cannot be written.
    """
    charts = {
        f"top_{comparison.what}_comparison": draw_top,
        f"{comparison.stem}_distribution_comparison": draw_all,
        f"cumulative_{comparison.stem}_distribution": draw_cumulative,
        f"{comparison.stem}_statistics_summary": draw_summary,
    }
    with chart_style([*comparison.sets, *comparison.counts.index]):
        for name, draw in charts.items():
            with replacing(folder / f"{name}.{ending}") as temporary:
                draw(comparison).savefig(temporary)


def save_statistics(comparison: Comparison, path: Path) -> None:
    """Write the statistics of a comparison as JSON; undefined ones are null.

    Raises:
        SpeaqError: the file cannot be written.
    """
    sets = {}
    for name in comparison.sets:
        unknown, unseen = comparison.missing(name)
        sets[name] = comparison.statistics(name) | {
            "shares_in_groups_of_first_set": comparison.shares_by_first[name].to_dict(),
            "num_not_in_vocabulary": len(unknown),
            "not_in_vocabulary": unknown[:_MAX_LISTED],
            "num_never_occur": len(unseen),
            "never_occur": unseen[:_MAX_LISTED],
        }
    content = {
        "what": comparison.what,
        "counted": f"{comparison.items} of {comparison.counted}",
        "sets": sets,
        "divergences": comparison.divergences(),
    }
    content = json.loads(json.dumps(content), parse_constant=lambda _: None)  # JSON has no NaN
    with replacing(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def save_counts(comparison: Comparison, path: Path) -> None:
    """Write a CSV table: a row per class, with its group in the first set, and count and share in every set.

    Count and share are empty where a class is not in the vocabulary of a set.

    Raises:
        SpeaqError: the file cannot be written.
    """
    table = pd.DataFrame({f"group in {comparison.sets[0]}": comparison.groups}, comparison.counts.index)
    for name in comparison.sets:
        table[f"{name} count"] = comparison.counts[name].astype("Int64")
        table[f"{name} share"] = comparison.shares[name].where(comparison.counts[name].notna())
    with replacing(path) as temporary:
        table.to_csv(temporary, index_label=comparison.stem, encoding="utf-8", errors="backslashreplace")
