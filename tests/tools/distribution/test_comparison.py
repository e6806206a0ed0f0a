"""Statistics of distributions agree with scipy and with counts by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from counted_datasets import comparison_of
from speaq.tools.distribution.comparison import (
    classes_to_cover,
    entropy,
    gini,
    jensen_shannon,
    total_variation,
)

COUNTS = st.lists(st.integers(0, 10**6), min_size=3, max_size=30).filter(any).map(np.array)


@given(COUNTS, COUNTS)
def test_entropy_and_divergences_agree_with_scipy(x, y):
    size = min(len(x), len(y))
    assert entropy(x) == pytest.approx(scipy_entropy(x, base=2), abs=1e-12)
    x, y = x[:size], y[:size]
    if x.any() and y.any():
        assert jensen_shannon(x, y) == pytest.approx(jensenshannon(x, y, base=2) ** 2, abs=1e-9)
        assert 0 <= total_variation(x, y) <= 1 + 1e-12


@given(COUNTS)
def test_gini_is_half_the_relative_mean_difference(x):
    differences = np.abs(x[:, None] - x[None]).mean()
    assert gini(x) == pytest.approx(differences / (2 * x.mean()), abs=1e-12)


def test_measures_of_extreme_distributions():
    equal, single = np.array([5, 5, 5, 5]), np.array([0, 0, 0, 9])
    assert (entropy(equal), gini(equal)) == (2, 0)
    assert (entropy(single), gini(single)) == (0, 0.75)
    assert (jensen_shannon(equal, 3 * equal), total_variation(equal, 3 * equal)) == (0, 0)
    other = np.array([7, 0, 0, 0])
    assert jensen_shannon(single, other) == pytest.approx(1)
    assert total_variation(single, other) == 1
    assert total_variation(equal, np.array([10, 5, 5, 0])) == pytest.approx(0.25)


@pytest.mark.parametrize(("percent", "expected"), [(50, 1), (60, 1), (61, 2), (90, 2), (91, 3), (100, 3)])
def test_classes_to_cover(percent, expected):
    assert classes_to_cover(np.array([0, 3, 6, 1]), percent) == expected


def test_statistics_agree_with_values_computed_by_hand():
    statistics = comparison_of(x={"a": 1, "b": 6, "c": 0, "d": 2, "e": 1}).statistics("x")
    assert (statistics["images"], statistics["total"]) == (7, 10)
    assert (statistics["classes"], statistics["occurring"], statistics["coverage"]) == (5, 4, 0.8)
    expected = -(0.6 * math.log2(0.6) + 0.2 * math.log2(0.2) + 0.2 * math.log2(0.1))
    assert statistics["entropy_bits"] == pytest.approx(expected)
    assert statistics["effective_classes"] == pytest.approx(2**expected)
    assert statistics["imbalance"] == 6
    assert statistics["classes_for_percent"] == {50: 1, 80: 2, 90: 3, 95: 4}
    assert statistics["group_shares"] == pytest.approx({"head": 0.6, "body": 0.3, "tail": 0.1})  # b, d a, e c


def test_statistics_without_relations_are_undefined():
    statistics = comparison_of(x={"a": 0, "b": 0}).statistics("x")
    assert (statistics["total"], statistics["occurring"], statistics["coverage"]) == (0, 0, 0)
    for value in (statistics["entropy_bits"], statistics["gini"], statistics["imbalance"]):
        assert math.isnan(value)
    assert all(math.isnan(share) for share in statistics["group_shares"].values())
    assert set(statistics["classes_for_percent"].values()) == {0}


def test_datasets_are_compared_by_class_name():
    both = comparison_of(
        real={"on": 60, "under": 5, "has": 30, "in": 5, "says": 0},
        synthetic={"left of": 10, "has": 20, "on": 20, "in": 0, "unused": 0},
    )
    assert both.counts.index.tolist() == ["on", "has", "under", "in", "says", "left of", "unused"]
    assert both.counts.fillna(0).to_numpy().T.tolist() == [[60, 30, 5, 5, 0, 0, 0], [20, 20, 0, 0, 0, 10, 0]]
    assert both.counts.notna().to_numpy().T.tolist() == [[1, 1, 1, 1, 1, 0, 0], [1, 1, 0, 1, 0, 1, 1]]
    assert both.group_sizes == {"head": 1, "body": 2, "tail": 2}
    assert both.missing("real") == (["left of"], ["says"])
    assert both.missing("synthetic") == (["under"], ["in", "unused"])  # "says" occurs nowhere
    by_first = {group: values.tolist() for group, values in both.shares_by_first.iterrows()}
    assert by_first["head"] == [0.6, 0.4]
    assert by_first["body"] == [0.35, 0.4]
    assert by_first["tail"] == [0.05, 0.0]
    assert by_first["none"] == [0.0, 0.2]
    (divergence,) = both.divergences()
    assert divergence["sets"] == ("real", "synthetic")
    assert divergence["total_variation"] == pytest.approx((0.2 + 0.1 + 0.05 + 0.05 + 0.2) / 2)
    assert divergence["only_in"] == {"real": 0.1, "synthetic": 0.2}
    expected = jensenshannon([60, 30, 5, 5, 0, 0], [20, 20, 0, 0, 0, 10], base=2) ** 2
    assert divergence["jensen_shannon_bits"] == pytest.approx(expected)


def test_divergences_are_computed_for_every_pair_of_datasets():
    sets = {name: {"on": n, "in": 4} for name, n in (("a", 4), ("b", 12), ("c", 0))}
    found = comparison_of(**sets).divergences()
    assert [divergence["sets"] for divergence in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [divergence["total_variation"] for divergence in found] == [0.25, 0.5, 0.75]
    assert comparison_of(a=sets["a"]).divergences() == []
