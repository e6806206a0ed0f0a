"""Distributions from the files of data sets, and their figures as JSON and CSV."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from speaq.config import Config
from speaq.config.data import GenomeSection
from speaq.data.sources import training_places
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.tools.distribution.counts import (
    SPLIT_NUMBERS,
    Comparison,
    CountedSplit,
    Distribution,
    What,
    compare,
    count,
    shares,
)

_NAMES_LISTED = 1000  # of what a set lacks, in JSON; the table of counts has all of it


def sets_of(config: Config) -> dict[str, GenomeSection]:
    """The data sets that a configuration trains on, by name of the source: "real", "synthetic", ...

    Raises:
        SpeaqError: the configuration does not say what to train on, or the path of a file is not set.
    """
    sets = {}
    for name, place in training_places(config.datasets).items():
        for key in ("mapping_dictionary", "vg_attribute_h5"):
            if not getattr(place.section, key):
                raise SpeaqError(f"{place.key}.{key.upper()} is not set: give it a path.")
        sets[name] = place.section
    return sets


def compare_sets(
    sets: Mapping[str, GenomeSection], kinds: Sequence[What], *, split: CountedSplit = "train"
) -> list[Comparison]:
    """Read the annotations of data sets, and compare how their classes are distributed.

    Images and image lists are not needed, so no filter of a section is applied.

    Args:
        sets: where the files of each set are (MAPPING_DICTIONARY, VG_ATTRIBUTE_H5), by its name.
        kinds: what to count, a comparison each.
        split: which images, as the files mark them: validation images that a training sets aside are "train".

    Raises:
        SpeaqError: a file is missing or malformed, or a set has no image of the split.
    """
    counted: dict[What, dict[str, Distribution]] = {what: {} for what in kinds}
    for name, section in sets.items():
        vocabulary = read_vocabulary(Path(section.mapping_dictionary))
        path = Path(section.vg_attribute_h5)
        annotations = read_annotations(path, box_scale=section.box_scale, vocabulary=vocabulary)
        images = _images_of(path, annotations.split, split)
        for what in kinds:
            counted[what][name] = count(annotations, vocabulary, what, images)
    return [compare(what, distributions, split=split) for what, distributions in counted.items()]


def _images_of(path: Path, marks: np.ndarray, split: CountedSplit) -> np.ndarray:
    """The rows of the images of a split."""
    images = np.arange(len(marks)) if split == "all" else np.flatnonzero(marks == SPLIT_NUMBERS[split])
    if not len(images):
        numbers, counts = np.unique(marks, return_counts=True)
        found = ", ".join(f"{n} of split {s}" for s, n in zip(numbers, counts, strict=True)) or "no image"
        expected = "images" if split == "all" else f"images of split {SPLIT_NUMBERS[split]} ({split})"
        raise SpeaqError(f"{path}: expected {expected}; found {found}. Count another split, or all.")
    return images


def save_statistics(comparison: Comparison, path: Path) -> None:
    """Write all figures of a comparison as JSON.

    Raises:
        SpeaqError: the file cannot be written.
    """
    sets = {}
    for row, (name, statistics) in enumerate(comparison.statistics().items()):
        unknown, unseen = comparison.missing(name)
        by_first = {group: float(values[row]) for group, values in comparison.shares_by_first().items()}
        sets[name] = asdict(statistics) | {
            "shares_in_groups_of_first_set": by_first,
            "num_not_in_vocabulary": len(unknown),
            "not_in_vocabulary": unknown[:_NAMES_LISTED],
            "num_never_occur": len(unseen),
            "never_occur": unseen[:_NAMES_LISTED],
        }
    content = {
        "what": comparison.what,
        "counted": f"{comparison.items} of {comparison.counted}",
        "sets": sets,
        "divergences": [asdict(divergence) for divergence in comparison.divergences()],
    }
    with replacing(path) as temporary:
        text = json.dumps(_without_nan(content), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def _without_nan(value: Any) -> Any:
    """The same with None for NaN, which JSON does not have."""
    match value:
        case dict():
            return {key: _without_nan(member) for key, member in value.items()}
        case list() | tuple():
            return [_without_nan(member) for member in value]
        case float() if math.isnan(value):
            return None
    return value


def save_counts(comparison: Comparison, path: Path) -> None:
    """Write a CSV table: a row per class, with its group in the first set, and count and share in every set.

    Count and share are empty where a class is not in the vocabulary of a set.

    Raises:
        SpeaqError: the file cannot be written.
    """
    groups = [group for group, size in comparison.group_sizes.items() for _ in range(size)]
    groups += ["none"] * (len(comparison.names) - len(groups))
    columns = {comparison.stem: comparison.names, f"group in {next(iter(comparison.sets))}": groups}
    for name, x, known in zip(comparison.sets, comparison.counts, comparison.known, strict=True):
        columns[f"{name} count"] = _cells(x, known)
        columns[f"{name} share"] = _cells(shares(x), known & (x.sum() > 0))
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _cells(values: np.ndarray, given: np.ndarray) -> list[Any]:
    return [value if there else "" for value, there in zip(values.tolist(), given.tolist(), strict=True)]
