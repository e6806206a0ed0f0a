"""Class distributions of data sets, their statistics, and how far data sets differ.

A class is a predicate, an object class or a triplet. Classes of several data sets are matched by name.
x: (K,) how often each of K classes occurs, n = sum(x), p = x / n. Statistics that are undefined for n = 0
are NaN.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import entr, rel_entr

from speaq.evaluation.long_tail import long_tail_groups

What = Literal["predicates", "objects", "triplets"]
CountedSplit = Literal["train", "val", "test", "all"]

SPLIT_NUMBERS = {"train": 0, "val": 1, "test": 2}


def shares(x: np.ndarray) -> np.ndarray:
    """The shares p (K,), float64."""
    total = x.sum()
    return x / total if total else np.full(len(x), np.nan)


def entropy(x: np.ndarray) -> float:
    """H = -sum_k p_k log2 p_k in bits: 0 for a single occurring class, log2 K for equal shares."""
    return float(entr(shares(x)).sum() / math.log(2))


def gini(x: np.ndarray) -> float:
    """G = sum_i (2 i - K - 1) x_(i) / (K n), x_(1) <= ... <= x_(K): 0 for equal shares, 1 - 1 / K at most."""
    ranks = 2 * np.arange(1, len(x) + 1) - len(x) - 1
    return float(ranks @ np.sort(x) / (len(x) * x.sum())) if x.sum() else math.nan


def classes_to_cover(x: np.ndarray, percent: int) -> int:
    """The least number of classes that together make up ``percent`` of n; 0 for n = 0."""
    if not x.sum():
        return 0
    return int(np.searchsorted(100 * np.cumsum(-np.sort(-x)), percent * x.sum())) + 1


def jensen_shannon(x: np.ndarray, y: np.ndarray) -> float:
    """JS = (KL(p || m) + KL(q || m)) / 2 in bits, m = (p + q) / 2: 0 for p = q, 1 for disjoint classes."""
    p, q = shares(x), shares(y)
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2 / math.log(2))


def total_variation(x: np.ndarray, y: np.ndarray) -> float:
    """TV = sum_k |p_k - q_k| / 2, from 0 to 1."""
    return float(np.abs(shares(x) - shares(y)).sum() / 2)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How often the classes of one kind occur in one or more data sets.

    Attributes:
        what: the kind of class.
        columns: by data set, the counts by the distinct names of its classes: of its vocabulary, or of the
            triplets that occur.
        num_images: by data set, images with and without relations.
        num_possible: by data set, the number of possible classes: C * C * R for triplets.
        split: the images that are counted.
    """

    what: What
    columns: Mapping[str, pd.Series]
    num_images: Mapping[str, int]
    num_possible: Mapping[str, int]
    split: CountedSplit = "train"

    @cached_property
    def counts(self) -> pd.DataFrame:
        """A row per class and a column per data set, NaN where the data set does not have the class.

        First come the classes of the first data set, then the others, each from frequent to rare.
        """
        table = pd.concat(self.columns, axis=1, sort=False)
        first, largest_share = table.iloc[:, 0], (table / table.sum()).max(axis=1).fillna(0)
        return table.iloc[np.lexsort((-first.fillna(largest_share), first.isna()))]

    @cached_property
    def groups(self) -> pd.CategoricalIndex:
        """(K,) "head", "body" or "tail" of the first data set (`long_tail_groups`), or "none"."""
        sizes = self.group_sizes
        groups = np.repeat([*sizes], [*sizes.values()]).tolist()
        groups += ["none"] * (len(self.counts) - len(groups))
        return pd.CategoricalIndex(groups, categories=[*sizes, "none"])

    @property
    def group_sizes(self) -> dict[str, int]:
        """How many classes of the first data set are "head", "body" and "tail"."""
        groups = long_tail_groups(self.columns[self.sets[0]].to_numpy())
        return {name: len(group) for name, group in groups.items()}

    @cached_property
    def shares(self) -> pd.DataFrame:
        """The share of each class in each data set: 0 where it is not in the vocabulary."""
        return self.counts.fillna(0) / self.counts.sum()

    @cached_property
    def shares_by_first(self) -> pd.DataFrame:
        """For each data set, the shares of the head, body and tail of the first, and of "none" of them."""
        return self.counts.groupby(self.groups, observed=False).sum() / self.counts.sum()

    @property
    def sets(self) -> list[str]:
        """Names of the data sets."""
        return list(self.columns)

    @property
    def stem(self) -> str:
        """The singular, for file names: "predicate"."""
        return self.what.removesuffix("s")

    @property
    def classes(self) -> str:
        """The classes in words."""
        return "object classes" if self.what == "objects" else self.what

    @property
    def items(self) -> str:
        """The counted items in words."""
        return "boxes" if self.what == "objects" else "relations"

    @property
    def counted(self) -> str:
        """The counted images in words."""
        if self.split == "all":
            return "all images"
        return f"{self.split} images (split {SPLIT_NUMBERS[self.split]})"

    def statistics(self, name: str) -> dict[str, Any]:
        """Statistics of a data set, by their keys in the JSON file."""
        x = self.columns[name].to_numpy()
        total, present = x.sum(), x[x > 0]
        return {
            "images": self.num_images[name],
            "total": int(total),
            "classes": self.num_possible[name],
            "occurring": len(present),
            "coverage": len(present) / self.num_possible[name],
            "entropy_bits": entropy(x),
            "effective_classes": 2 ** entropy(x),  # the number of equally frequent classes with this entropy
            "gini": gini(x),
            "imbalance": float(present.max() / present.min()) if total else math.nan,
            "classes_for_percent": {percent: classes_to_cover(x, percent) for percent in (50, 80, 90, 95)},
            "group_shares": {  # by the ranking in this data set
                group: float(x[rows].sum() / total) if total else math.nan
                for group, rows in long_tail_groups(x).items()
            },
        }

    def divergences(self) -> list[dict[str, Any]]:
        """Divergences of each pair of data sets.

        "only_in" is, by data set, the share of its n in classes that never occur in the other.
        """
        found = []
        for pair in combinations(self.sets, 2):
            both = self.counts[[*pair]].fillna(0)
            x, y = both.to_numpy().T
            absent_in_other = both.to_numpy()[:, ::-1] == 0
            found.append(
                {
                    "sets": pair,
                    "jensen_shannon_bits": jensen_shannon(x, y),
                    "total_variation": total_variation(x, y),
                    "only_in": (both.where(absent_in_other, 0).sum() / both.sum()).to_dict(),
                }
            )
        return found

    def missing(self, name: str) -> tuple[list[str], list[str]]:
        """The missing classes of a data set: not in its vocabulary, and in it but never occurring."""
        x = self.counts[name]
        elsewhere = self.counts.fillna(0).any(axis=1)  # a class that occurs nowhere is not missing
        return [*x.index[x.isna() & elsewhere]], [*x.index[x == 0]]
