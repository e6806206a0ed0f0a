"""Annotation files with a given number of relations per predicate."""

import json
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from speaq.config.data import DatasetSection
from speaq.tools.distribution.comparison import Comparison, What

# The 50 predicates of VG150, about in the order of their frequency there.
_VG_PREDICATES = """
on, has, in, of, wearing, near, with, above, holding, behind, under, sitting on, wears, standing on, in
front of, attached to, at, hanging from, over, for, riding, carrying, eating, walking on, playing, covering,
laying on, along, watching, and, between, belonging to, painted on, against, looking at, from, parked on,
to, made of, covered in, mounted on, says, part of, across, flying in, using, on back of, lying on, growing
on, walking in
"""
VG_PREDICATES = [name.strip() for name in _VG_PREDICATES.replace("\n", " ").split(",")]


def long_tail(num_classes: int, total: int, exponent: float = 1.6) -> list[int]:
    """Counts that fall as a power of the rank, 1 at least."""
    weights = (1.0 + np.arange(num_classes)) ** -exponent
    return np.maximum(np.round(total * weights / weights.sum()), 1).astype(int).tolist()


def comparison_of(what: What = "predicates", **sets: dict[str, int]) -> Comparison:
    """A comparison of data sets with these counts by class, each of seven images."""
    return Comparison(
        what=what,
        columns={
            name: pd.Series(counts, pd.Index(counts, dtype=object), dtype=int)
            for name, counts in sets.items()
        },
        num_images=dict.fromkeys(sets, 7),
        num_possible={name: max(len(counts), 1) for name, counts in sets.items()},
    )


def write_dataset(
    folder: Path,
    predicates: dict[str, int],
    *,
    objects: Sequence[str] = ("cat", "dog", "tree"),
    per_image: int = 5,
    split: int = 0,
) -> DatasetSection:
    """Write the dictionary and the HDF5 file of a dataset with this number of relations per predicate.

    Every image has three boxes, with classes that depend on its number, and up to ``per_image`` relations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "label_to_idx": {name: i for i, name in enumerate(objects, 1)},
        "predicate_to_idx": {name: i for i, name in enumerate(predicates, 1)},
    }
    (folder / "dicts.json").write_text(json.dumps(names), encoding="utf-8")
    rows = np.repeat(np.arange(1, len(predicates) + 1), list(predicates.values()))
    np.random.default_rng(0).shuffle(rows)
    images = np.arange(max(-(-len(rows) // per_image), 1))
    first = images * per_image
    owner = np.arange(len(rows)) // per_image
    arrays = {
        "split": np.full(len(images), split),
        "img_to_first_box": 3 * images,
        "img_to_last_box": 3 * images + 2,
        "img_to_first_rel": first if len(rows) else np.full(1, -1),
        "img_to_last_rel": np.minimum(first + per_image, len(rows)) - 1,
        "labels": (np.arange(3 * len(images)) ** 2 % len(objects) + 1)[:, None],
        "boxes_1024": np.tile(np.array([[100, 100, 50, 50]]), (3 * len(images), 1)),
        "relationships": np.stack((3 * owner, 3 * owner + 1 + rows % 2), axis=1).reshape(-1, 2),
        "predicates": rows[:, None],
    }
    with h5py.File(folder / "VG.h5", "w") as file:
        for key, values in arrays.items():
            file[key] = values
    return DatasetSection(
        mapping_dictionary=str(folder / "dicts.json"), vg_attribute_h5=str(folder / "VG.h5")
    )
