"""Reads the annotations of data sets, and writes statistics as JSON and counts as CSV."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from speaq.config import Config
from speaq.config.data import DatasetSection
from speaq.data.sources import training_places
from speaq.data.vg_annotations import read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.tools.distribution.comparison import (
    SPLIT_NUMBERS,
    Comparison,
    CountedSplit,
    Distribution,
    What,
    compare,
    count,
    shares,
)

_MAX_LISTED = 1000  # missing classes in JSON; the CSV table has all of them


def sets_of(config: Config) -> dict[str, DatasetSection]:
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
    sets: Mapping[str, DatasetSection], kinds: Sequence[What], *, split: CountedSplit = "train"
) -> list[Comparison]:
    """Read the annotations of data sets, and compare their class distributions.

    Image lists are not read, so the filters of a section are not applied.

    Args:
        sets: where the files of each set are (MAPPING_DICTIONARY, VG_ATTRIBUTE_H5), by its name.
        kinds: of classes; a comparison is made for each.
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
    """Write the statistics of a comparison as JSON.

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
            "not_in_vocabulary": unknown[:_MAX_LISTED],
            "num_never_occur": len(unseen),
            "never_occur": unseen[:_MAX_LISTED],
        }
    content = {
        "what": comparison.what,
        "counted": f"{comparison.items} of {comparison.counted}",
        "sets": sets,
        "divergences": [asdict(divergence) for divergence in comparison.divergences()],
    }
    # JSON has no NaN: null instead
    content = json.loads(json.dumps(content), parse_constant=lambda _: None)
    with replacing(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def save_counts(comparison: Comparison, path: Path) -> None:
    """Write a CSV table: a row per class, with its group in the first set, and count and share in every set.

    Count and share are empty where a class is not in the vocabulary of a set.

    Raises:
        SpeaqError: the file cannot be written.
    """
    groups = [group for group, size in comparison.group_sizes.items() for _ in range(size)]
    groups += ["none"] * (len(comparison.names) - len(groups))
    table = pd.DataFrame(
        {
            comparison.stem: pd.Series(comparison.names, dtype=object),
            f"group in {next(iter(comparison.sets))}": groups,
        }
    )
    for name, x, known in zip(comparison.sets, comparison.counts, comparison.known, strict=True):
        table[f"{name} count"] = pd.Series(x).astype("Int64").where(known)
        table[f"{name} share"] = pd.Series(shares(x)).where(known)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, encoding="utf-8", errors="backslashreplace")
