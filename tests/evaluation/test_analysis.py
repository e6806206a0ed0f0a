import math

import numpy as np
import pytest
import torch

from speaq.errors import SpeaqError
from speaq.evaluation.analysis import mean_by_group
from speaq.evaluation.bootstrap import recalls
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.recall import MISSED, hits_at

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


def random_pair(make, rng, index):
    """A few true boxes, and predictions that are often right; sometimes no relation, box or prediction."""
    boxes, relations, predictions = rng.integers(0, 6), rng.integers(0, 9), rng.integers(0, 60)
    corners = rng.uniform(0, 300, (boxes, 2))
    truth = np.concatenate((corners, corners + rng.uniform(20, 90, (boxes, 2))), axis=1)
    labels = rng.integers(0, 3, boxes)
    rows = rng.integers(0, [max(boxes, 1), max(boxes, 1), 5], (relations if boxes else 0, 3))
    annotation = make.annotation(truth, labels, rows, image_id=index)
    found = truth[rng.integers(0, boxes, 12)] + rng.normal(0, 8, (12, 4)) if boxes else np.zeros((12, 4))
    triplets = rng.integers(0, [12, 12, 5], (predictions, 3))
    scores = rng.uniform(0.1, 1, 12)
    classes = rng.integers(0, 3, 12)
    graph = make.graph(
        found,
        classes,
        triplets,
        num_predicates=5,
        scores=scores,
        probs=rng.dirichlet(np.ones(6), predictions),
    )
    return graph, annotation


def assert_agree(found, results):
    assert {name for name in results if "@" in name} <= set(found)
    for name, value in found.items():
        if name in results:
            np.testing.assert_allclose(value, results[name], rtol=0, atol=1e-12, err_msg=name)


def predicate_recalls(analysis):
    """Recall of every predicate at the largest k."""
    return recalls(analysis)["per_predicate"][:, -1]


def test_golden_set_agrees_with_the_metrics(golden):
    counts = np.random.default_rng(0).integers(1, 1000, 50)
    metrics = SceneGraphMetrics(
        num_predicates=50, zero_shot_triplets=golden.zero_shot, predicate_counts=counts
    )
    metrics.update(golden.graphs, golden.annotations)
    analysis = metrics.analyze(zip(golden.graphs, golden.annotations, strict=True))
    found = recalls(analysis)
    assert_agree(found, metrics.compute())
    assert found["R@100"] == pytest.approx(golden.expected["sgdet_recall@100"], abs=1e-9)
    assert metrics.compute()["images"] == 80  # the analysis does not update the metrics


@pytest.mark.parametrize("seed", range(5))
def test_random_images_agree_with_the_metrics(make, seed):
    rng = np.random.default_rng(seed)
    pairs = [random_pair(make, rng, index) for index in range(40)]
    metrics = SceneGraphMetrics(
        num_predicates=5,
        ks=(1, 3, 17),
        seen_triplets=rng.integers(0, [3, 3, 5], (20, 3)),
        predicate_counts=rng.integers(0, 9, 5),
    )
    analysis = metrics.analyze(pairs)
    for selected in (np.ones(40, bool), np.arange(40) % 3 == 0):
        metrics.reset()
        subset = [pair for pair, chosen in zip(pairs, selected, strict=True) if chosen]
        metrics.update(*zip(*subset, strict=True))
        assert_agree(recalls(analysis, selected), metrics.compute())
    relations = np.array([len(annotation.relations) for _, annotation in pairs])
    assert np.isnan(analysis.image_recalls()[0, 0]).tolist() == (relations == 0).tolist()
    # A relation that is hit is localised, so localised shares are upper bounds of recalls.
    assert (analysis.predicted_predicates[analysis.ranks[0] < 17] < 5).all()
    assert analysis.confusion.sum() == relations.sum()
    assert (analysis.num_correct <= analysis.num_localized).all()
    found = predicate_recalls(analysis)
    known = ~np.isnan(found)
    assert np.isnan(analysis.localized_shares()).tolist() == (~known).tolist()
    assert (analysis.localized_shares()[known] >= found[known] - 1e-12).all()
    assert analysis.query_hits.sum() == (analysis.ranks[0] != MISSED).sum()


def test_confusion_and_query_tables_by_hand(make):
    """Relation 0 is predicted after a wrong predicate, relation 1 with a wrong one, relation 2 not at all."""
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0], [2, 0, 1]], image_id="a")
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0], [0, 1, 2], [1, 2, 2], [1, 0, 1]])
    graph.queries = np.array([7, 0, 4, 4])
    metrics = SceneGraphMetrics(num_predicates=3, ks=(1, 2, 4))
    analysis = metrics.analyze([(graph, truth)])
    assert (analysis.image_ids, analysis.sources.tolist()) == (["a"], ["real"])
    assert analysis.ranks[0].tolist() == [1, MISSED, MISSED]
    assert analysis.predicted_predicates.tolist() == [0, 2, 3]
    assert analysis.confusion.tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert analysis.num_localized.tolist() == [1, 0, 2]  # boxes 1 and 0 are no annotated pair
    assert analysis.num_correct.tolist() == [0, 0, 1]
    assert analysis.image_recalls()[0, :, 0].tolist() == pytest.approx([0, 1 / 3, 1 / 3])
    uses = {(q, p): int(n) for (q, p), n in np.ndenumerate(analysis.query_uses) if n}
    assert uses == {(7, 0): 1, (0, 2): 1, (4, 2): 1, (4, 1): 1}
    assert np.argwhere(analysis.query_hits).tolist() == [[0, 2]]
    halved = metrics.analyze([(graph, truth)], num_rel=2)  # queries 2j and 2j + 1 are one
    assert halved.query_uses.sum(axis=1).tolist() == [1, 0, 2, 1]


def test_analysis_without_images_or_relations(make):
    metrics = SceneGraphMetrics(num_predicates=3)
    for pairs in ([], [(make.graph([], [], []), make.annotation(BOXES, [0, 1, 2], []))]):
        analysis = metrics.analyze(pairs)
        assert analysis.confusion.tolist() == [[0] * 4] * 3
        assert analysis.query_uses.shape == (0, 3)
        found = recalls(analysis)
        assert math.isnan(found["R@20"]) and found["mR@20"] == 0 and math.isnan(found["mR-present@20"])


def test_analyze_rejects_another_vocabulary(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 7]], image_id="scene_7")
    with pytest.raises(SpeaqError, match="scene_7: expected 3 predicate classes"):
        SceneGraphMetrics(num_predicates=3).analyze([(make.graph(BOXES, [0, 1, 2], []), truth)])


def test_empty_long_tail_groups_agree_with_the_metrics(make):
    """Two predicates are too few for a head."""
    metrics = SceneGraphMetrics(num_predicates=2, predicate_counts=np.array([5, 3]))
    pair = (
        make.graph(BOXES, [0, 1, 2], [[0, 1, 1]], num_predicates=2),
        make.annotation(BOXES, [0, 1, 2], [[0, 1, 1]]),
    )
    metrics.update([pair[0]], [pair[1]])
    assert_agree(recalls(metrics.analyze([pair])), metrics.compute())


def test_analyze_does_not_update_the_metrics(make):
    metrics = SceneGraphMetrics(num_predicates=3)
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]])
    metrics.analyze([(make.graph(BOXES, [0, 1, 2], [[0, 1, 2]]), truth)])
    assert all(
        bool((state == 0).all()) for state in metrics.metric_state.values() if isinstance(state, torch.Tensor)
    )


def test_mean_by_group_of_hits_is_recall_by_predicate():
    ranks = np.array([[0, 4, MISSED, 1, 2], [5, 5, 5, 5, 0]])
    means = mean_by_group(hits_at(ranks, (1, 3, 9)), np.array([2, 0, 2, 2, 0]), 3)
    none = [np.nan] * 3
    expected = [[[0, 1 / 2, 1], none, [1 / 3, 2 / 3, 2 / 3]], [[1 / 2, 1 / 2, 1], none, [0, 0, 1]]]
    np.testing.assert_allclose(means.swapaxes(1, 2), expected, rtol=0, atol=1e-15)
