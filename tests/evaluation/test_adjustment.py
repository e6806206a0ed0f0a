import math

import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.evaluation.adjustment import FrequencyBias, adjust_logits, adjust_probabilities, check_adjustable

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


def test_probabilities_are_the_softmax_of_adjusted_logits():
    """The probability of "no relation" stays, the others are a softmax of log p - tau log prior."""
    rng = np.random.default_rng(0)
    probs, counts, tau = rng.dirichlet(np.ones(6), 4), [50, 7, 1, 0, 20], 0.7
    total = sum(max(count, 1) for count in counts)
    for row, found in zip(probs, adjust_probabilities(probs, np.array(counts), tau), strict=True):
        logits = [
            math.log(p) - tau * math.log(max(count, 1) / total)
            for p, count in zip(row[:-1], counts, strict=True)
        ]
        weights = [math.exp(logit) for logit in logits]
        expected = [(1 - row[-1]) * weight / sum(weights) for weight in weights]
        assert found.tolist() == pytest.approx([*expected, row[-1]], rel=1e-5)


def test_adjusted_graphs_have_the_best_predicates_in_order(make):
    probs = [[0.6, 0.3, 0, 0.1], [0.5, 0, 0.4, 0.1], [0.4, 0.2, 0.1, 0.3]]
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0], [1, 2, 0], [0, 1, 0]], probs=probs)
    found = adjust_logits(graph, np.array([100, 10, 1]), 1.0)
    # 0.6 / 100, 0.3 / 10: predicate 1; 0.5 / 100, 0.4 / 1: predicate 2; 0.1 / 1 of 0.7: predicate 2
    assert found.pairs.tolist() == [[1, 2], [0, 1], [0, 1]]
    assert found.predicates.tolist() == [2, 1, 2]
    assert np.all(np.diff(found.triplet_scores) <= 0)
    assert adjust_logits(graph, np.array([100, 10, 1]), 0.0) is graph


def test_equal_relations_are_merged_and_several_predicates_per_query_are_kept(make):
    probs = [[0.6, 0.3, 0, 0.1], [0.6, 0.3, 0, 0.1]]
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0], [0, 1, 1]], probs=probs)
    assert adjust_logits(graph, np.array([1, 1, 1]), 1.0).predicates.tolist() == [0]
    assert adjust_logits(graph, np.array([1, 1, 1]), 1.0, num_rel=2).predicates.tolist() == [0, 1]
    assert adjust_logits(graph, np.array([9, 1, 1]), 1.0, num_rel=2).predicates.tolist() == [1, 0]


TRIPLETS = np.array([[0, 1, 0], [0, 1, 2], [2, 0, 1]])


def test_frequency_bias_is_the_smoothed_share_of_the_predicates():
    bias = FrequencyBias(TRIPLETS, np.array([6, 2, 4]), np.array([6, 4, 2, 0]))
    prior = np.array([6, 4, 2, 1]) / 13  # a predicate without relations counts as one
    seen, unseen, beyond, last = bias(np.array([0, 1, 7, 2]), np.array([1, 0, 0, 0]))
    np.testing.assert_allclose(seen, (np.array([6, 0, 2, 0]) + prior) / 9)
    np.testing.assert_allclose(last, (np.array([0, 4, 0, 0]) + prior) / 5)
    np.testing.assert_allclose(unseen, prior)
    np.testing.assert_allclose(beyond, prior)
    nothing = FrequencyBias(np.zeros((0, 3), np.int64), np.zeros(0), np.array([6, 4, 2, 0]))
    np.testing.assert_allclose(nothing(np.array([0, 3]), np.array([1, 3])), [prior, prior])


def test_frequency_bias_multiplies_probabilities_and_ranks_again(make):
    bias = FrequencyBias(TRIPLETS, np.array([6, 2, 4]), np.array([6, 4, 2]))
    probs = [[0.3, 0.2, 0.4, 0.1], [0.35, 0.35, 0.1, 0.2]]
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]], probs=probs)
    found = bias.apply(graph, 0.5)
    for row, (before, pair) in enumerate(zip(probs, [(0, 1), (1, 2)], strict=True)):
        frequencies = bias(*np.array(pair)[:, None])[0]
        products = np.array(before[:3]) * frequencies**0.5
        np.testing.assert_allclose(
            found.predicate_probs[row], [*products / products.sum() * sum(before[:3]), before[3]], rtol=1e-5
        )
    assert found.predicates.tolist() == [0, 0]  # 0 is three times as frequent as 2 between 0 and 1
    assert found.pairs.tolist() == [[0, 1], [1, 2]]
    assert bias.apply(graph, 0.0) is graph


def test_single_scores_cannot_be_adjusted(make):
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0]], probs=[[0.6, 0, 0, 0.4]])
    with pytest.raises(SpeaqError, match=r"a.h5: .* found 1 with the score of one predicate"):
        check_adjustable([graph], "a.h5")
