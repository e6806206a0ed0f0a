import math

import numpy as np
import pytest

from speaq.evaluation.bootstrap import intervals, recalls
from speaq.evaluation.metrics import SceneGraphMetrics

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


@pytest.fixture(scope="module")
def analysis(golden):
    counts = np.random.default_rng(0).integers(1, 1000, 50)
    metrics = SceneGraphMetrics(
        num_predicates=50, zero_shot_triplets=golden.zero_shot, predicate_counts=counts
    )
    return metrics.analyze(zip(golden.graphs, golden.annotations, strict=True))


def samples(count, resamples, seed):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, count, count) for _ in range(resamples)]


def test_recall_intervals_against_a_plain_loop(analysis):
    bounds = intervals(analysis, resamples=150, seed=3)
    image_recalls = analysis.image_recalls()
    for index, prefix in enumerate(("", "ng-")):
        values = [np.nanmean(image_recalls[index][:, rows], axis=1) for rows in samples(80, 150, 3)]
        expected = np.quantile(values, (0.025, 0.975), axis=0)
        for column, k in enumerate(analysis.ks):
            assert bounds[f"{prefix}R@{k}"] == pytest.approx(expected[:, column], abs=1e-12)


def test_mean_recall_intervals_against_a_plain_loop(analysis):
    """A predicate that a sample lacks keeps its recall over all images; one that no image has counts 0."""
    images, predicates, values = analysis.predicate_recalls()
    table = np.full((50, 80), np.nan)
    table[predicates, images] = values[0, 2]
    known = np.flatnonzero(~np.isnan(table).all(axis=1))
    overall = np.nanmean(table[known], axis=1)
    means, harmonic, single = [], [], []
    for rows in samples(80, 150, 3):
        sampled = table[np.ix_(known, rows)]
        counts = (~np.isnan(sampled)).sum(axis=1)
        values = np.where(counts > 0, np.nansum(sampled, axis=1) / np.maximum(counts, 1), overall)
        means.append(values.sum() / 50)
        recall = np.nanmean(analysis.image_recalls()[0, 2, rows])
        harmonic.append(2 * recall * means[-1] / (recall + means[-1]))
        single.append(values[0])
    bounds = intervals(analysis, resamples=150, seed=3)
    assert bounds["mR@100"] == pytest.approx(np.quantile(means, (0.025, 0.975)), abs=1e-12)
    assert bounds["F@100"] == pytest.approx(np.quantile(harmonic, (0.025, 0.975)), abs=1e-12)
    assert np.isnan(bounds["per_predicate"].low[:, 2]).tolist() == np.isnan(table).all(axis=1).tolist()
    assert bounds["per_predicate"].low.shape == (50, 3)


def test_intervals_contain_the_recall_and_depend_on_seed_and_level(analysis):
    found, bounds = recalls(analysis), intervals(analysis)
    for name, (low, high) in bounds.items():
        if "@" in name:
            assert low <= found[name] <= high, name
            assert high - low > 0.01
    assert bounds["mR-tail@50"] == intervals(analysis, seed=0)["mR-tail@50"]
    assert bounds["mR-tail@50"] != intervals(analysis, seed=1)["mR-tail@50"]
    wide, narrow = intervals(analysis, level=0.99)["R@100"], intervals(analysis, level=0.5)["R@100"]
    assert wide.low < bounds["R@100"].low < narrow.low < narrow.high < bounds["R@100"].high < wide.high


def test_interval_width_is_that_of_the_normal_approximation(make):
    """Half of 400 images are right: the standard error is 0.5 / 20."""
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]])
    right, wrong = make.graph(BOXES, [0, 1, 2], [[0, 1, 2]]), make.graph([], [], [])
    metrics = SceneGraphMetrics(num_predicates=3)
    bounds = intervals(metrics.analyze([(right, truth), (wrong, truth)] * 200), resamples=2000)
    assert bounds["R@20"] == pytest.approx((0.5 - 1.96 / 40, 0.5 + 1.96 / 40), abs=0.005)
    assert bounds["mR-present@20"] == pytest.approx(bounds["R@20"], abs=1e-12)
    assert bounds["mR@20"] == pytest.approx(np.array(bounds["R@20"]) / 3, abs=1e-12)


def test_intervals_without_images(make):
    metrics = SceneGraphMetrics(num_predicates=3)
    empty = (make.graph([], [], []), make.annotation(BOXES, [0, 1, 2], []))
    for pairs in ([], [empty]):
        bounds = intervals(metrics.analyze(pairs), resamples=10)
        assert math.isnan(bounds["R@20"].low) and math.isnan(bounds["zR@20"].high)
        assert bounds["mR@20"] == (0, 0)
