"""How sure recalls are: bootstrap confidence intervals over the images of a data set.

The images are drawn anew with replacement, as many as there are, and every figure is computed from the draw;
the middle 95 % of its values over many draws are the interval (percentile bootstrap; Efron, Annals of
Statistics 1979). It says how much a figure owes to the choice of test images, not to the seed of a training.

I: images, R: predicate classes, K: depths k, D: draws.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from speaq.evaluation.analysis import Analysis
from speaq.evaluation.metrics import PREFIXES

_DRAWS_AT_ONCE = 100  # bounds the memory: 20 MB of weights for 26,000 images


class Interval(NamedTuple):
    """From where to where a figure may be; arrays for figures that are arrays."""

    low: Any
    high: Any


def intervals(
    analysis: Analysis, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Confidence intervals of all recalls.

    A rare predicate may be in none of the images of a draw. It then counts with its recall over all images:
    as zero, as it would be over the draw alone, it would pull mean recall down in every such draw.

    Args:
        analysis: of a data set.
        resamples: D.
        level: share of the draws inside the interval.
        seed: of the draws.

    Returns:
        By the names of ``recall_figures``; NaN where a figure is NaN.
    """
    rng, count = np.random.default_rng(seed), len(analysis.image_ids)
    figures = _Figures(analysis)
    values: dict[str, list[np.ndarray]] = {}
    absent = figures.per_predicate(np.ones((1, count)))[..., 0]
    for start in range(0, resamples, _DRAWS_AT_ONCE):
        draws = min(_DRAWS_AT_ONCE, resamples - start)
        weights = np.stack(
            [np.bincount(rng.integers(0, max(count, 1), count), minlength=count) for _ in range(draws)]
        )
        for name, drawn in figures(weights.astype(np.float64), absent).items():
            values.setdefault(name, []).append(drawn)
    edges = (1 - level) / 2, (1 + level) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # such as zero-shot recall where there is none
        return {
            name: Interval(*np.nanquantile(np.concatenate(drawn, axis=-1), edges, axis=-1))
            for name, drawn in values.items()
        }


def recall_figures(analysis: Analysis, selected: np.ndarray | None = None) -> dict[str, Any]:
    """Recalls over some of the images, under the names and with the values of ``SceneGraphMetrics``.

    Args:
        analysis: of a data set.
        selected: (I,) bool; all images by default.

    Returns:
        R, mR, mR-present, zR, head, body and tail at each k with and without graph constraint, F, and
        ``per_predicate`` and ``ng-per_predicate``, (R, K). Zero-shot recall is NaN where there is none.
    """
    count = len(analysis.image_ids)
    weights = np.ones(count) if selected is None else selected.astype(np.float64)
    figures = _Figures(analysis)(weights[None], None)
    return {name: value[..., 0] if value.ndim > 1 else value.item() for name, value in figures.items()}


class _Figures:
    """Recalls as functions of how often each image counts."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis, self.lists, self.depths = analysis, len(PREFIXES), len(analysis.ks)
        count, self.num_predicates = len(analysis.image_ids), analysis.num_predicates
        images, predicates, recalls = analysis.predicate_recalls()
        rows = np.stack([np.ones(len(images)), *(row for table in recalls for row in table)])
        offsets = np.arange(len(rows))[:, None] * self.num_predicates
        places = ((offsets + predicates).ravel(), np.tile(images, len(rows)))
        # Its product with the images' weights: for each predicate the number of images that have it, and
        # then, list by list and depth by depth, the sum of their recalls.
        self._by_predicate = csr_array((rows.ravel(), places), shape=(len(rows) * self.num_predicates, count))
        self._recalls = analysis.image_recalls()
        self._zero_shot = analysis.image_recalls(analysis.zero_shot)

    def __call__(self, weights: np.ndarray, absent: np.ndarray | None) -> dict[str, np.ndarray]:
        """Figures (D,), and tables (R, K, D).

        Args:
            weights: (D, I) how often each image counts.
            absent: (2, R, K) what stands for the recall of a predicate that no image has; by default nothing.
        """
        ks, results = self.analysis.ks, {}
        tables = self.per_predicate(weights)
        recalls = {"R": _means(self._recalls, weights), "zR": _means(self._zero_shot, weights)}
        for index, prefix in enumerate(PREFIXES):
            table = tables[index]
            known = table if absent is None else np.where(np.isnan(table), absent[index][..., None], table)
            counted = np.nan_to_num(known)
            by_depth = {name: values[index] for name, values in recalls.items()}
            by_depth |= {"mR": counted.mean(axis=0), "mR-present": _nanmean(known)}
            by_depth |= {
                f"mR-{group}": _nanmean(counted[members]) for group, members in self.analysis.groups.items()
            }
            for name, values in by_depth.items():
                results |= {f"{prefix}{name}@{k}": values[place] for place, k in enumerate(ks)}
            results[f"{prefix}per_predicate"] = table
        for k in ks:
            recall, mean = results[f"R@{k}"], results[f"mR@{k}"]
            total = recall + mean
            results[f"F@{k}"] = 2 * recall * mean / np.where(total == 0, 1, total)
        return results

    def per_predicate(self, weights: np.ndarray) -> np.ndarray:
        """(2, R, K, D) recall of each predicate, NaN where no image has it."""
        products = (self._by_predicate @ weights.T).reshape(-1, self.num_predicates, len(weights))
        counts, sums = products[0], products[1:]
        with np.errstate(invalid="ignore"):
            recalls = sums / counts
        return recalls.reshape(self.lists, self.depths, self.num_predicates, -1).swapaxes(1, 2)


def _means(recalls: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means (2, K, D) of recalls (2, K, I) over the images that have one."""
    known = ~np.isnan(recalls[0, 0])
    with np.errstate(invalid="ignore"):
        return recalls[..., known] @ weights[:, known].T / weights[:, known].sum(axis=1)


def _nanmean(table: np.ndarray) -> np.ndarray:
    """Means (K, D) of a table (R, K, D) over its first axis, NaN where all are NaN."""
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0.0).sum(axis=0) / known.sum(axis=0)
