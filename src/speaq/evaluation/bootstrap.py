"""Bootstrap confidence intervals of recalls over the images of a data set.

Images are resampled with replacement and every recall is computed from each sample; the middle 95 % of its
values over many samples are the interval (percentile bootstrap; Efron, Annals of Statistics 1979). It
measures the uncertainty that comes from the choice of test images, not from the seed of a training.

Shape letters: see `speaq.structures`; B images of the whole data set, S samples.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from speaq.evaluation.analysis import PREFIXES, Analysis, named_recalls
from speaq.evaluation.zero_shot import zero_shot_recalls

_BATCH = 100  # samples at once; bounds the memory: 20 MB of weights for 26,000 images


class Interval(NamedTuple):
    """Lower and upper end of a confidence interval; arrays for values that are arrays."""

    low: Any
    high: Any


def intervals(
    analysis: Analysis, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """Confidence intervals of all recalls, under the names of `recalls`; NaN where the value is NaN.

    A sample may have no image with a rare predicate. The predicate then keeps its recall over all images:
    recall 0, as it would have over the sample alone, would bias the mean recall of every such sample.

    Args:
        analysis: analysis of a data set.
        resamples: number of samples.
        level: share of the samples inside the interval.
        seed: seed of the random samples.
    """
    return _intervals(_samples([analysis], resamples=resamples, seed=seed)[0], level)


def paired_intervals(
    analyses: Sequence[Analysis], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[list[dict[str, Interval]], list[dict[str, Interval]]]:
    """Confidence intervals of the recalls of several models, and of their differences to those of the first.

    Every sample has the same images for all models. Analyses must be of the same images, in any order. See
    `intervals` for the arguments.
    """
    sampled = _samples(analyses, resamples=resamples, seed=seed)
    differences = [
        {name: values - sampled[0][name] for name, values in model.items() if name in sampled[0]}
        for model in sampled[1:]
    ]
    return [_intervals(each, level) for each in sampled], [_intervals(each, level) for each in differences]


def _samples(analyses: Sequence[Analysis], *, resamples: int, seed: int) -> list[dict[str, np.ndarray]]:
    """For each analysis all recalls (..., S) of the same samples of images."""
    rng, image_ids = np.random.default_rng(seed), analyses[0].image_ids
    count, place = len(image_ids), {image_id: i for i, image_id in enumerate(image_ids)}
    models = []
    for analysis in analyses:
        weighted = _WeightedRecalls(analysis)
        order = np.arange(count)
        if analysis.image_ids != image_ids:
            order = np.array([place[image_id] for image_id in analysis.image_ids], np.int64)
        models.append((weighted, weighted.per_predicate(np.ones((1, count))), order))
    values: list[dict[str, list[np.ndarray]]] = [{} for _ in models]
    for start in range(0, resamples, _BATCH):
        samples = min(_BATCH, resamples - start)
        weights = np.stack(
            [np.bincount(rng.integers(0, max(count, 1), count), minlength=count) for _ in range(samples)]
        ).astype(np.float64)
        for found, (weighted, overall, order) in zip(values, models, strict=True):
            for name, sampled in weighted(weights[:, order], overall).items():
                found.setdefault(name, []).append(sampled)
    return [{name: np.concatenate(sampled, axis=-1) for name, sampled in found.items()} for found in values]


def _intervals(values: Mapping[str, np.ndarray], level: float) -> dict[str, Interval]:
    edges = (1 - level) / 2, (1 + level) / 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")  # such as zero-shot recall where there is none
        return {name: Interval(*np.nanquantile(sampled, edges, axis=-1)) for name, sampled in values.items()}


def recalls(analysis: Analysis, selected: np.ndarray | None = None) -> dict[str, Any]:
    """Recalls over the ``selected`` (B,) bool images, all by default, named as by `SceneGraphMetrics`.

    Zero-shot recall is NaN where there is none; ``per_predicate`` and ``ng-per_predicate`` are (R, len(ks)).
    """
    weights = np.ones(len(analysis.image_ids)) if selected is None else selected.astype(np.float64)
    values = _WeightedRecalls(analysis)(weights[None])
    return {name: value[..., 0] if value.ndim > 1 else value.item() for name, value in values.items()}


class _WeightedRecalls:
    """Recalls as functions of image weights, which for a bootstrap sample count how often it has an image."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self._recall, self._zero_shot = analysis.image_recalls(), zero_shot_recalls(analysis)
        images, predicates, recalls = analysis.predicate_recalls()
        rows = np.stack([np.ones(len(images)), *(row for table in recalls for row in table)])
        offsets = np.arange(len(rows))[:, None] * analysis.num_predicates
        places = ((offsets + predicates).ravel(), np.tile(images, len(rows)))
        # Times the weights: the number of images with each predicate, then its sums of recalls at each depth.
        shape = (len(rows) * analysis.num_predicates, len(analysis.image_ids))
        self._by_predicate = csr_array((rows.ravel(), places), shape=shape)

    def __call__(self, weights: np.ndarray, fallback: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Recalls (S,), and of all predicates (R, len(ks), S), from weights (S, B) of the images.

        ``fallback`` (2, len(ks), R, 1) counts in mean recalls for predicates without an image.
        """
        table = self.per_predicate(weights)
        results = named_recalls(
            self.analysis.ks,
            self.analysis.groups,
            recall=_weighted_mean(self._recall, weights),
            per_predicate=table if fallback is None else np.where(np.isnan(table), fallback, table),
            zero_shot=_weighted_mean(self._zero_shot, weights),
        )
        unfilled = table.swapaxes(1, 2)
        return results | {f"{prefix}per_predicate": unfilled[i] for i, prefix in enumerate(PREFIXES)}

    def per_predicate(self, weights: np.ndarray) -> np.ndarray:
        """(2, len(ks), R, S) recall of each predicate, NaN where no image has it."""
        products = self._by_predicate @ weights.T
        products = products.reshape(-1, self.analysis.num_predicates, len(weights))
        with np.errstate(invalid="ignore"):
            recalls = products[1:] / products[0]
        return recalls.reshape(len(PREFIXES), len(self.analysis.ks), *recalls.shape[1:])


def _weighted_mean(recalls: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means (2, len(ks), S) of recalls (2, len(ks), B) over the images that have one."""
    known = ~np.isnan(recalls[0, 0])
    with np.errstate(invalid="ignore"):
        return recalls[..., known] @ weights[:, known].T / weights[:, known].sum(axis=1)
