import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.evaluation.bootstrap import intervals, paired_intervals
from speaq.evaluation.comparison import compare
from speaq.evaluation.metrics import SceneGraphMetrics


@pytest.fixture(scope="module")
def analyses(golden):
    """The golden predictions, and those with every third image's predictions in reverse, in another order."""
    metrics = SceneGraphMetrics(num_predicates=50)
    changed = [graph[::-1] if index % 3 == 0 else graph for index, graph in enumerate(golden.graphs)]
    pairs = list(zip(changed, golden.annotations, strict=True))
    return [
        metrics.analyze(zip(golden.graphs, golden.annotations, strict=True)), metrics.analyze(pairs[::-1])
    ]  # fmt: skip


def test_samples_have_the_same_images_for_both_models(analyses):
    first, second = (analysis.image_recalls()[0] for analysis in analyses)
    rng = np.random.default_rng(4)
    samples = [rng.integers(0, 80, 80) for _ in range(120)]
    differences = [
        np.nanmean(second[:, ::-1][:, rows], axis=1) - np.nanmean(first[:, rows], axis=1) for rows in samples
    ]
    expected = np.quantile(differences, (0.025, 0.975), axis=0)
    bounds, paired = paired_intervals(analyses, resamples=120, seed=4)
    for column, k in enumerate((20, 50, 100)):
        assert paired[0][f"R@{k}"] == pytest.approx(expected[:, column], abs=1e-12)
    assert bounds[0]["R@20"] == intervals(analyses[0], resamples=120, seed=4)["R@20"]


def test_a_model_does_not_differ_from_itself(analyses):
    found = compare(["a", "b"], [analyses[0], analyses[0]], resamples=50)
    assert all(found.differences[0][key] == (0, 0) for key, _ in found.rows())
    assert found.to_dict()["differences"]["b"]["mR@50"] == {"difference": 0, "low": 0, "high": 0}


def test_models_on_other_images_are_refused(golden, analyses):
    metrics = SceneGraphMetrics(num_predicates=50)
    fewer = metrics.analyze(zip(golden.graphs[:9], golden.annotations[:9], strict=True))
    with pytest.raises(SpeaqError, match="b: expected predictions for the same images as a"):
        compare(["a", "b"], [analyses[0], fewer])
