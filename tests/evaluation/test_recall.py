import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.evaluation.recall import (
    MISSED,
    first_hits,
    harmonic_mean,
    hits_at,
    image_hits,
    match_entities,
    rank_without_graph_constraint,
)

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


def overlap(a, b):
    """IoU of two boxes, one number at a time."""
    a, b = [float(x) for x in a], [float(x) for x in b]
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def oracle(graph, annotation, k, *, constraint=True):
    """The indices of the relations hit by the first k predictions, by nested loops over everything."""
    predictions = list(zip(graph.pairs.tolist(), graph.predicates.tolist(), strict=True))
    if not constraint:
        scored = []
        for (s, o), probs in zip(graph.pairs.tolist(), graph.predicate_probs, strict=True):
            for predicate, prob in enumerate(probs[:-1]):
                product = float(graph.scores[s]) * float(graph.scores[o]) * float(prob)
                scored.append((-product, len(scored), ((s, o), predicate)))
        predictions = [prediction for _, _, prediction in sorted(scored)]
    hit = set()
    for (s, o), predicate in predictions[:k]:
        for index, (true_s, true_o, true_predicate) in enumerate(annotation.relations.tolist()):
            if (
                predicate == true_predicate
                and graph.labels[s] == annotation.labels[true_s]
                and graph.labels[o] == annotation.labels[true_o]
                and overlap(graph.boxes[s], annotation.boxes[true_s]) >= 0.5
                and overlap(graph.boxes[o], annotation.boxes[true_o]) >= 0.5
            ):
                hit.add(index)
    return hit


def test_iou_of_exactly_one_half_is_a_match():
    true = np.array([[0, 0, 100, 100]], np.float32)
    boxes = np.array([[0, 0, 100, 50], [0, 0, 100, 49.99], [0, 0, 100, 200], [0, 0, 100, 200.1]], np.float32)
    labels = np.zeros(4, np.int64)
    assert match_entities(boxes, labels, true, labels[:1])[:, 0].tolist() == [True, False, True, False]


def test_a_match_needs_the_class():
    labels = np.array([0, 1, 2])
    matches = match_entities(BOXES, labels, BOXES, np.array([0, 2, 2]))
    assert matches.tolist() == [[True, False, False], [False, False, False], [False, False, True]]


def test_one_prediction_hits_duplicates_separately(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [0, 1, 2], [1, 2, 0], [0, 1, 1]])
    graph = make.graph(BOXES, [0, 1, 2], [[2, 0, 0], [0, 1, 2], [1, 2, 0]])
    ranks = image_hits(graph, truth, depth=100).ranks
    assert ranks[0].tolist() == [1, 1, 2, MISSED]
    np.testing.assert_allclose(hits_at(ranks[0], (1, 2, 3)).mean(axis=-1), [0, 0.5, 0.75], atol=0)


def test_direction_of_a_relation_matters(make):
    truth = make.annotation(BOXES, [0, 0, 0], [[0, 1, 2]])
    graph = make.graph(BOXES, [0, 0, 0], [[1, 0, 2]])
    assert image_hits(graph, truth, depth=100).ranks[0].tolist() == [MISSED]


def test_depth_cuts_both_lists(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]])
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]])
    assert image_hits(graph, truth, depth=1).ranks.tolist() == [[0, MISSED], [0, MISSED]]


def test_no_predictions_hit_nothing(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]])
    for empty in (make.graph([], [], []), make.graph(BOXES, [0, 1, 2], [])):
        assert image_hits(empty, truth, depth=100).ranks.tolist() == [[MISSED] * 2] * 2


def test_first_hit_is_the_earliest_of_several():
    hits = np.array([[False, True], [True, False], [True, False]])
    assert first_hits(hits).tolist() == [1, 0]
    assert first_hits(np.zeros((0, 2), bool)).tolist() == first_hits(~hits[:0]).tolist() == [MISSED] * 2


def test_without_graph_constraint_a_pair_may_appear_with_several_predicates():
    scores = np.array([1.0, 0.5], np.float32)
    probs = np.array([[0.6, 0.3, 0.05, 0.05], [0.2, 0.1, 0.1, 0.6]], np.float32)
    pairs, predicates = rank_without_graph_constraint(scores, np.array([[0, 1], [0, 0]]), probs, 4)
    # products: 0.3, 0.15, 0.025 for the first pair; 0.2, 0.1, 0.1 for the second; "no relation" never counts
    assert pairs.tolist() == [[0, 1], [0, 0], [0, 1], [0, 0]]
    assert predicates.tolist() == [0, 0, 1, 1]


def test_without_graph_constraint_equal_scores_keep_their_order():
    probs = np.full((3, 5), 0.25, np.float32)
    pairs = np.array([[0, 1], [1, 2], [2, 0]])
    best, predicates = rank_without_graph_constraint(np.ones(3, np.float32), pairs, probs, 6)
    assert best.tolist() == [[0, 1]] * 4 + [[1, 2]] * 2
    assert predicates.tolist() == [0, 1, 2, 3, 0, 1]


def test_distinct_ranking_has_each_relation_once_with_its_best_probability():
    scores = np.array([1.0, 0.5], np.float32)
    probs = np.array([[0.3, 0.1, 0.6], [0.2, 0.6, 0.2], [0.1, 0.4, 0.5]], np.float32)
    pairs = np.array([[1, 0], [0, 0], [1, 0]])
    # products: pair (1, 0) has 0.15 and 0.05, then 0.05 and 0.2; pair (0, 0) has 0.2 and 0.6
    best, predicates = rank_without_graph_constraint(scores, pairs, probs, 10, distinct=True)
    assert best.tolist() == [[0, 0], [1, 0], [0, 0], [1, 0]]
    assert predicates.tolist() == [1, 1, 0, 0]
    empty, _ = rank_without_graph_constraint(scores, pairs[:0], probs[:0], 10, distinct=True)
    assert empty.shape == (0, 2)


def test_true_boxes_and_classes_are_judged_by_the_same_formula(make):
    """predcls: the graph is given boxes and classes, and only its predicates can be wrong."""
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0], [2, 0, 1]])
    graph = make.graph(truth.boxes, truth.labels, [[0, 1, 2], [1, 2, 1], [2, 0, 1]])
    ranks = image_hits(graph, truth, depth=100).ranks[0]
    assert hits_at(ranks, (20,)).mean(axis=-1) == pytest.approx(2 / 3, abs=1e-15)


def test_phrase_detection_compares_the_union_of_both_boxes(make):
    """Two of three triplets have the right phrase; the boxes of all of them are wrong."""
    truth = make.annotation([[0, 0, 50, 100], [50, 0, 100, 100]], [0, 1], [[0, 1, 2], [0, 1, 0], [1, 0, 2]])
    boxes = [[0, 0, 20, 100], [80, 0, 100, 100], [0, 0, 20, 20]]
    graph = make.graph(boxes, [0, 1, 1], [[0, 2, 2], [0, 1, 2], [0, 1, 0]])
    assert image_hits(graph, truth, depth=100).ranks[0].tolist() == [MISSED] * 3
    ranks = image_hits(graph, truth, depth=100, phrases=True).ranks
    assert ranks[0].tolist() == [1, 2, MISSED]
    for k in (1, 2, 3):
        found = {
            index
            for s, o, p in [(0, 2, 2), (0, 1, 2), (0, 1, 0)][:k]
            for index, (true_s, true_o, true_p) in enumerate(truth.relations.tolist())
            if (p, graph.labels[s], graph.labels[o]) == (true_p, truth.labels[true_s], truth.labels[true_o])
            and overlap(
                [min(boxes[s][i], boxes[o][i]) if i < 2 else max(boxes[s][i], boxes[o][i]) for i in range(4)],
                [0, 0, 100, 100],
            )
            >= 0.5
        }
        assert set(np.flatnonzero(ranks[0] < k)) == found


@st.composite
def images(draw):
    """A small image with few classes, so that hits, near misses, duplicates and ties are all common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    entities, true = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    true_boxes = rng.choice([0, 50, 100], (true, 2))
    true_boxes = np.concatenate((true_boxes, true_boxes + 100), axis=1)
    boxes = true_boxes[rng.integers(true, size=entities)] + rng.choice([0, 25, 50], (entities, 4))
    return {
        "boxes": boxes,
        "labels": rng.integers(2, size=entities),
        "scores": rng.choice([0.25, 0.5, 1.0], entities),
        "pairs": rng.integers(entities, size=(draw(st.integers(0, 12)), 2)),
        "rng": rng,
        "true": (true_boxes, rng.integers(2, size=true)),
        "relations": rng.integers((true, true, 3), size=(draw(st.integers(1, 6)), 3)),
    }


@settings(max_examples=50, deadline=None)
@given(image=images(), k=st.integers(1, 20))
def test_ranks_agree_with_nested_loops(make, image, k):
    rng, pairs = image["rng"], image["pairs"]
    triplets = np.column_stack((pairs, rng.integers(3, size=len(pairs))))
    probs = rng.choice([0.1, 0.2, 0.3], (len(pairs), 4))
    graph = make.graph(image["boxes"], image["labels"], triplets, scores=image["scores"], probs=probs)
    truth = make.annotation(*image["true"], image["relations"])
    ranks = image_hits(graph, truth, depth=20).ranks
    for row, constraint in zip(ranks, (True, False), strict=True):
        assert set(np.flatnonzero(row < k)) == oracle(graph, truth, k, constraint=constraint)


def test_harmonic_mean():
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3, abs=1e-15)
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.4, 0.0) == 0.0
    assert math.isnan(harmonic_mean(float("nan"), 0.0))
