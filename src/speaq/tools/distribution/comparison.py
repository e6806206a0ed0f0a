"""Class distributions of data sets, their statistics, and how far data sets differ.

A class is a predicate, an object class or a triplet. Classes of several data sets are matched by name.

S: data sets, K: classes of one or of all data sets. x: (K,) how often each class occurs, n = sum(x),
p = x / n. Statistics that are undefined for n = 0 are NaN, and null in JSON.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.special import entr, rel_entr

from speaq.data.statistics import count_annotations
from speaq.data.vg_annotations import AnnotationArrays
from speaq.evaluation.recall import long_tail_groups
from speaq.structures import Vocabulary

What = Literal["predicates", "objects", "triplets"]
CountedSplit = Literal["train", "val", "test", "all"]

SPLIT_NUMBERS = {"train": 0, "val": 1, "test": 2}


def shares(x: np.ndarray) -> np.ndarray:
    """The shares p (K,), float64."""
    total = x.sum()
    return x / total if total else np.full(len(x), np.nan)


def _share(part: np.ndarray, x: np.ndarray) -> float:
    return float(part.sum() / x.sum()) if x.sum() else math.nan


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """How often each class occurs in the images of one set.

    Attributes:
        names: K class names: the vocabulary, or the triplets that occur ("man - wearing - hat").
        counts: (K,) int64, x.
        possible: how many classes there could be: K, and C * C * R for triplets of C objects, R predicates.
        num_images: images counted, those without relations included.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    possible: int
    num_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Statistics of one distribution.

    Attributes:
        images: number of images.
        total: n.
        classes: number of possible classes.
        occurring: classes with x > 0.
        coverage: occurring / classes.
        entropy_bits: see `entropy`.
        effective_classes: 2^H, the number of equally frequent classes with the same entropy.
        gini: see `gini`; over the vocabulary, or over the occurring triplets.
        imbalance: greatest x / least nonzero x.
        classes_for_percent: by percentage, see `classes_to_cover`.
        group_shares: of n in "head", "body" and "tail" by this set's own ranking (`long_tail_groups`).
    """

    images: int
    total: int
    classes: int
    occurring: int
    coverage: float
    entropy_bits: float
    effective_classes: float
    gini: float
    imbalance: float
    classes_for_percent: dict[int, int]
    group_shares: dict[str, float]

    @classmethod
    def of(cls, distribution: Distribution) -> "Statistics":
        """Compute them."""
        x = distribution.counts
        present = x[x > 0]
        groups = long_tail_groups(x)
        return cls(
            images=distribution.num_images,
            total=int(x.sum()),
            classes=distribution.possible,
            occurring=len(present),
            coverage=len(present) / distribution.possible,
            entropy_bits=entropy(x),
            effective_classes=2 ** entropy(x),
            gini=gini(x),
            imbalance=float(present.max() / present.min()) if len(present) else math.nan,
            classes_for_percent={percent: classes_to_cover(x, percent) for percent in (50, 80, 90, 95)},
            group_shares={name: _share(x[rows], x) for name, rows in groups.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """Divergence of two data sets.

    Attributes:
        sets: their names.
        jensen_shannon_bits, total_variation: see the functions.
        only_in: by data set, the share of its n in classes that never occur in the other.
    """

    sets: tuple[str, str]
    jensen_shannon_bits: float
    total_variation: float
    only_in: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Distributions of one kind of class in several data sets, aligned by class name.

    Attributes:
        what: the kind of class.
        split: which images were counted.
        sets: S distributions by the name of the data set.
        names: K classes of all sets together: head, body and tail of the first set, the most frequent first,
            then those that it does not have.
        counts: (S, K) int64.
        known: (S, K) bool, whether the class is in the vocabulary of the set (occurs, for triplets).
        group_sizes: how many of the first set's classes are "head", "body" and "tail".
    """

    what: What
    split: CountedSplit
    sets: dict[str, Distribution]
    names: tuple[str, ...]
    counts: np.ndarray
    known: np.ndarray
    group_sizes: dict[str, int]

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

    def statistics(self) -> dict[str, Statistics]:
        """Statistics by data set."""
        return {name: Statistics.of(distribution) for name, distribution in self.sets.items()}

    def divergences(self) -> list[Divergence]:
        """Divergences of all pairs of data sets."""
        found = []
        for (first, x), (second, y) in combinations(zip(self.sets, self.counts, strict=True), 2):
            only_in = {first: _share(x[y == 0], x), second: _share(y[x == 0], y)}
            found.append(
                Divergence(
                    sets=(first, second),
                    jensen_shannon_bits=jensen_shannon(x, y),
                    total_variation=total_variation(x, y),
                    only_in=only_in,
                )
            )
        return found

    def shares_by_first(self) -> dict[str, np.ndarray]:
        """Shares (S,) of n in the head, body and tail of the first data set, and in none of them."""
        ends = np.cumsum(list(self.group_sizes.values()))
        groups = np.split(self.counts, ends, axis=1)
        return {
            name: np.array([_share(part, x) for part, x in zip(group, self.counts, strict=True)])
            for name, group in zip((*self.group_sizes, "none"), groups, strict=True)
        }

    def missing(self, name: str) -> tuple[list[str], list[str]]:
        """The missing classes of a data set: not in its vocabulary, and in it but never occurring."""
        row = list(self.sets).index(name)
        known, x = self.known[row], self.counts[row]
        unknown = ~known & self.counts.any(axis=0)  # a class that occurs nowhere is not missing
        lacking = unknown, known & (x == 0)
        unknown_names, unseen_names = ([self.names[k] for k in np.flatnonzero(mask)] for mask in lacking)
        return unknown_names, unseen_names


def count(
    annotations: AnnotationArrays, vocabulary: Vocabulary, what: What, images: np.ndarray
) -> Distribution:
    """Count over some images of a file; duplicate relations count each time.

    Args:
        annotations: of the whole file.
        vocabulary: of the file.
        what: the kind of class.
        images: rows of the images.
    """
    counted = count_annotations(annotations, vocabulary, images)
    objects, predicates = vocabulary.objects, vocabulary.predicates
    if what == "objects":
        names, counts, possible = objects, counted.object_counts, len(objects)
    elif what == "predicates":
        names, counts, possible = predicates, counted.predicate_counts, len(predicates)
    else:
        order = np.lexsort(counted.triplets[:, [1, 2, 0]].T)  # by subject, then predicate, then object
        triplets, counts = counted.triplets[order].tolist(), counted.triplet_counts[order]
        names = tuple(f"{objects[s]} - {predicates[p]} - {objects[o]}" for s, o, p in triplets)
        possible = len(objects) ** 2 * len(predicates)
    return Distribution(names=names, counts=counts, possible=possible, num_images=len(images))


def compare(what: What, sets: Mapping[str, Distribution], *, split: CountedSplit = "train") -> Comparison:
    """Align the distributions of one or more data sets by class name."""
    first, *others = sets.values()
    groups = long_tail_groups(first.counts)
    names = [first.names[k] for group in groups.values() for k in group]
    known_names, rest = set(names), {}
    for other in others:
        for name, share in zip(other.names, np.nan_to_num(shares(other.counts)).tolist(), strict=True):
            if name not in known_names:
                rest[name] = max(share, rest.get(name, 0.0))
    names += sorted(rest, key=rest.__getitem__, reverse=True)  # most frequent first
    columns = {name: column for column, name in enumerate(names)}
    counts = np.zeros((len(sets), len(names)), dtype=np.int64)
    known = np.zeros_like(counts, dtype=bool)
    for row, distribution in enumerate(sets.values()):
        own = [columns[name] for name in distribution.names]
        np.add.at(counts[row], own, distribution.counts)
        known[row, own] = True
    return Comparison(
        what=what,
        split=split,
        sets=dict(sets),
        names=tuple(names),
        counts=counts,
        known=known,
        group_sizes={name: len(group) for name, group in groups.items()},
    )
