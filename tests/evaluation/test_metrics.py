import math
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from scene_graphs import VOCABULARY, small_graph
from speaq.errors import SpeaqError
from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.adjustment import FrequencyBias, adjust_logits
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.prediction_writer import PredictionWriter
from speaq.structures import Annotation

BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)
KS = (20, 50, 100)


def scalars(results):
    return {name: value for name, value in results.items() if not isinstance(value, Tensor)}


@pytest.fixture(scope="module")
def golden_results(golden):
    metric = SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot)
    metric.update(golden.graphs, golden.annotations)
    return metric.compute()


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize(
    ("ours", "published"),
    [("R", "recall"), ("ng-R", "recall_nogc"), ("zR", "zeroshot_recall"), ("mR", "mean_recall")],
)
def test_golden_figures(golden, golden_results, ours, published, k):
    assert abs(golden_results[f"{ours}@{k}"] - golden.expected[f"sgdet_{published}@{k}"]) < 1e-9


@pytest.mark.parametrize("k", KS)
def test_golden_recall_of_every_predicate(golden, golden_results, k):
    recalls = golden_results["per_predicate"][:, KS.index(k)].nan_to_num(0.0)
    np.testing.assert_allclose(recalls, golden.expected[f"sgdet_mean_recall_list@{k}"], rtol=0, atol=1e-9)


def test_derived_golden_figures_are_consistent(golden, golden_results):
    """What the published figures do not hold follows from the tables that they do hold."""
    results = golden_results
    present = results["per_predicate_images"] > 0
    for column, k in enumerate(KS):
        recall, mean = results[f"R@{k}"], results[f"mR@{k}"]
        assert results[f"F@{k}"] == pytest.approx(2 * recall * mean / (recall + mean), abs=1e-12)
        table = results["per_predicate"][present, column]
        assert results[f"mR-present@{k}"] == pytest.approx(table.mean().item(), abs=1e-12)
        assert results[f"mR@{k}"] == pytest.approx(table.sum().item() / 50, abs=1e-12)
        table = results["ng-per_predicate"][present, column]
        assert results[f"ng-mR@{k}"] == pytest.approx(table.sum().item() / 50, abs=1e-12)
    assert results["images"] == 80
    assert results["images_with_relations"] == sum(len(a.relations) > 0 for a in golden.annotations) == 78


def test_head_body_and_tail_average_to_the_mean_recall(golden):
    counts = np.random.default_rng(0).integers(1, 1000, 50)
    metric = SceneGraphMetrics(num_predicates=50, predicate_counts=counts)
    metric.update(golden.graphs, golden.annotations)
    results = metric.compute()
    ranked = results["per_predicate"].nan_to_num(0.0)[np.argsort(-counts, kind="stable")]
    for column, k in enumerate(KS):
        groups = [results[f"mR-{group}@{k}"] for group in ("head", "body", "tail")]
        expected = [ranked[part, column].mean() for part in (slice(0, 16), slice(16, 33), slice(33, 50))]
        assert groups == pytest.approx([value.item() for value in expected], abs=1e-12)
        assert np.dot(groups, (16, 17, 17)) / 50 == pytest.approx(results[f"mR@{k}"], abs=1e-12)


def test_seen_triplets_are_the_complement_of_zero_shot_ones(golden, golden_results):
    triplets = {
        (int(a.labels[s]), int(a.labels[o]), int(p)) for a in golden.annotations for s, o, p in a.relations
    }
    seen = np.array(sorted(triplets - {tuple(row) for row in golden.zero_shot.tolist()}))
    metric = SceneGraphMetrics(num_predicates=50, seen_triplets=seen)
    metric.update(golden.graphs, golden.annotations)
    results = metric.compute()
    assert results["images_with_zero_shot"] == golden_results["images_with_zero_shot"] > 0
    for name in (f"{prefix}zR@{k}" for prefix in ("", "ng-") for k in KS):
        assert results[name] == golden_results[name]


def test_batch_size_and_ranks_do_not_matter(golden, golden_results):
    """Three metrics with uneven shares, one of them empty, added up as torchmetrics adds up ranks."""
    parts = [SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot) for _ in range(3)]
    for start, stop in [(0, 1), (1, 8), (8, 31)]:
        parts[0].update(golden.graphs[start:stop], golden.annotations[start:stop])
    for index in range(31, 80):
        parts[1].update(golden.graphs[index : index + 1], golden.annotations[index : index + 1])
    whole = SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot)
    whole.update([], [])
    for name in whole._defaults:
        setattr(whole, name, sum(getattr(part, name) for part in parts))
    results = whole.compute()
    assert scalars(results) == pytest.approx(scalars(golden_results), abs=1e-13)
    torch.testing.assert_close(
        results["per_predicate"], golden_results["per_predicate"], rtol=0, atol=1e-13, equal_nan=True
    )


def test_memory_does_not_grow(golden):
    metric = SceneGraphMetrics(num_predicates=50)
    sizes = {name: value.shape for name, value in metric.metric_state.items()}
    metric.update(golden.graphs, golden.annotations)
    assert {name: value.shape for name, value in metric.metric_state.items()} == sizes
    assert all(value.dtype == torch.float64 for value in metric.metric_state.values())


def test_an_image_without_predictions_has_recall_zero(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]])
    metric = SceneGraphMetrics(num_predicates=3)
    metric.update([make.graph(BOXES, [0, 1, 2], [[0, 1, 2], [1, 2, 0]]), make.graph([], [], [])], [truth] * 2)
    results = metric.compute()
    assert results["R@20"] == results["ng-R@20"] == 0.5
    assert results["mR-present@20"] == 0.5
    assert results["mR@20"] == pytest.approx(1 / 3, abs=1e-15)
    assert results["F@20"] == pytest.approx(2 * 0.5 / 3 / (0.5 + 1 / 3), abs=1e-15)
    assert results["per_predicate"][:, 0].tolist() == pytest.approx([0.5, math.nan, 0.5], nan_ok=True)


def test_images_without_relations_or_boxes_are_left_out(make):
    full = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]])
    boxes_only, nothing = make.annotation(BOXES, [0, 1, 2], []), make.annotation([], [], [])
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 2]])
    metric = SceneGraphMetrics(num_predicates=3)
    metric.update([graph] * 3, [boxes_only, full, nothing])
    results = metric.compute()
    assert results["R@20"] == 1.0
    assert (results["images"], results["images_with_relations"]) == (3, 1)


def test_mean_recall_averages_over_images_first(make):
    """Predicate 0: 1 of 2 in the first image and 1 of 1 in the second make 0.75, not 2 of 3."""
    first = make.annotation(BOXES, [0, 1, 2], [[0, 1, 0], [1, 2, 0]])
    second = make.annotation(BOXES, [0, 1, 2], [[0, 1, 0], [0, 2, 1]])
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0]])
    metric = SceneGraphMetrics(num_predicates=3)
    metric.update([graph, graph], [first, second])
    results = metric.compute()
    assert results["per_predicate"][:, 0].tolist() == pytest.approx([0.75, 0.0, math.nan], nan_ok=True)
    assert results["per_predicate_images"].tolist() == [2, 1, 0]
    assert results["R@20"] == 0.5
    assert results["mR@20"] == 0.25


def test_without_graph_constraint_second_choices_count(make):
    """Zero-shot and mean recall without graph constraint, on a pair whose second predicate is right."""
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 1], [1, 2, 0]])
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 0], [1, 2, 0]], probs=[[0.6, 0.3, 0, 0.1], [0.5, 0, 0, 0.5]])
    metric = SceneGraphMetrics(
        num_predicates=3, ks=(2, 3), zero_shot_triplets=np.array([[0, 1, 1], [5, 5, 2]])
    )
    metric.update([graph], [truth])
    results = metric.compute()
    for name, expected in {
        "R": (0.5, 0.5),
        "mR-present": (0.5, 0.5),
        "zR": (0.0, 0.0),
        "ng-R": (0.5, 1.0),
        "ng-mR-present": (0.5, 1.0),
        "ng-zR": (0.0, 1.0),
    }.items():
        assert (results[f"{name}@2"], results[f"{name}@3"]) == expected
    assert results["ng-mR@3"] == pytest.approx(2 / 3, abs=1e-15)


@pytest.fixture(scope="module")
def two_per_query(golden):
    """The golden graphs with the two best predicates of every query, as TEST.NUM_REL 2 gives them."""
    graphs = []
    for graph in golden.graphs:
        best = np.argsort(-graph.predicate_probs[:, :-1], axis=1, kind="stable")[:, :2]
        rows = np.repeat(np.arange(len(graph)), 2)
        scores = graph.scores[graph.pairs].prod(axis=1)[rows] * graph.predicate_probs[rows, best.ravel()]
        order = np.argsort(-scores, kind="stable")
        changes = {
            "pairs": graph.pairs[rows][order],
            "predicates": best.ravel()[order],
            "predicate_probs": graph.predicate_probs[rows][order],
        }
        graphs.append(replace(graph, **changes, queries=None, pair_scores=None))
    return graphs


def test_several_predicates_per_query_do_not_change_recall_without_graph_constraint(golden, two_per_query):
    results = []
    for graphs in (golden.graphs, two_per_query):
        metric = SceneGraphMetrics(num_predicates=50, distinct=True)
        metric.update(graphs, golden.annotations)
        results.append(metric.compute())
    for k in KS:
        assert results[1][f"ng-R@{k}"] == pytest.approx(results[0][f"ng-R@{k}"], abs=1e-12)
        assert results[1][f"ng-R@{k}"] >= golden.expected[f"sgdet_recall_nogc@{k}"] - 1e-9
    repeated = SceneGraphMetrics(num_predicates=50)
    repeated.update(two_per_query, golden.annotations)
    assert repeated.compute()["ng-R@100"] == pytest.approx(results[0]["ng-R@50"], abs=1e-12)


def test_figures_without_images_are_nan(make):
    metric = SceneGraphMetrics(num_predicates=3, zero_shot_triplets=np.array([[2, 2, 2]]))
    metric.update([make.graph([], [], [])], [make.annotation(BOXES, [0, 1, 2], [])])
    results = metric.compute()
    assert (
        math.isnan(results["R@20"]) and math.isnan(results["zR@20"]) and math.isnan(results["mR-present@20"])
    )
    metric.update([make.graph([], [], [])], [make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]])])
    results = metric.compute()
    assert results["R@20"] == 0.0 and math.isnan(results["zR@20"]) and math.isnan(results["ng-zR@20"])


def test_no_zero_shot_set_no_zero_shot_recall(golden):
    metric = SceneGraphMetrics(num_predicates=50)
    metric.update(golden.graphs[:2], golden.annotations[:2])
    assert not any("zR" in name or "head" in name for name in metric.compute())
    with pytest.raises(ValueError, match="not both"):
        SceneGraphMetrics(
            num_predicates=50, zero_shot_triplets=golden.zero_shot, seen_triplets=golden.zero_shot
        )


@pytest.mark.parametrize("mode", ["sgcls", "predcls"])
def test_given_boxes_are_checked(make, mode):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]], image_id=7)
    metric = SceneGraphMetrics(num_predicates=3, mode=mode)
    metric.update([make.graph(BOXES + 1, [0, 1, 2], [[0, 1, 2]])], [truth])  # rounded boxes are the same
    assert (metric.compute()["R@20"], metric.compute()["mode"]) == (1.0, mode)
    with pytest.raises(SpeaqError, match=rf"image 7: TEST.MODE {mode} expects the ground-truth boxes"):
        metric.update([make.graph(BOXES + 30, [0, 1, 2], [[0, 1, 2]])], [truth])
    swapped = make.graph(BOXES, [1, 0, 2], [[0, 1, 2]])
    if mode == "predcls":
        with pytest.raises(SpeaqError, match="boxes and classes"):
            metric.update([swapped], [truth])
    else:
        metric.update([swapped], [truth])
        assert metric.compute()["R@20"] == 0.5


def test_phrase_detection_is_a_mode_of_the_metric(make):
    truth = make.annotation([[0, 0, 50, 100], [50, 0, 100, 100]], [0, 1], [[0, 1, 2]])
    graph = make.graph([[0, 0, 20, 100], [80, 0, 100, 100]], [0, 1], [[0, 1, 2]])
    found = {}
    for mode in ("sgdet", "phrdet"):
        metric = SceneGraphMetrics(num_predicates=3, mode=mode)
        metric.update([graph], [truth])
        found[mode] = metric.compute()["R@20"]
    assert found == {"sgdet": 0.0, "phrdet": 1.0}


def test_a_foreign_vocabulary_is_an_error(make):
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 7]], image_id="scene_7")
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 2]])
    with pytest.raises(SpeaqError, match=r"scene_7: expected 3 predicate classes.*least 8 in the ground"):
        SceneGraphMetrics(num_predicates=3).update([graph], [truth])
    with pytest.raises(SpeaqError, match=r"expected 9 predicate classes, found 3 in the prediction"):
        SceneGraphMetrics(num_predicates=9).update([graph], [truth])


@pytest.mark.parametrize("ks", [(20,), KS])
def test_results_of_a_single_class_keep_their_shape(ks):
    recalls, boxes = SceneGraphMetrics(num_predicates=1, ks=ks), DetectionAP(num_objects=1)
    for metric in (recalls, boxes, pickle.loads(pickle.dumps(recalls))):
        metric.update([], [])
    assert recalls.compute()["per_predicate"].shape == (1, len(ks))
    assert recalls.compute()["per_predicate_images"].shape == (1,)
    assert boxes.compute()["per_class_AP"].shape == (1,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"relations": np.array([[0, -1, 0]])}, "positions among its 3 boxes and predicates, both from 0"),
        ({"relations": np.array([[0, 3, 0]])}, "positions among its 3 boxes"),
        ({"relations": np.array([[0, 1, -1]])}, "positions among its 3 boxes"),
        ({"labels": np.array([0])}, "image 1: expected a label for each of the 3 boxes"),
    ],
)
def test_ground_truth_that_does_not_belong_together_is_refused(changes, message):
    truth = {"boxes": BOXES, "labels": np.zeros(3, int), "relations": np.array([[0, 1, 0]]), **changes}
    annotation = Annotation(image_id=1, path=Path("1.jpg"), width=300, height=300, **truth)
    graph = small_graph()
    for metric in (
        SceneGraphMetrics(num_predicates=2),
        AdditionalMetrics(num_predicates=2),
        DetectionAP(num_objects=3),
    ):
        with pytest.raises(SpeaqError, match=message):
            metric.update([graph], [annotation])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_predicates": 0}, "num_predicates: expected at least 1, found 0"),
        ({"ks": (20, 0)}, "ks: expected one number or more, each at least 1"),
        ({"iou_threshold": 50}, r"iou_threshold: expected a number in 0\.\.1, found 50"),
        ({"mode": "sgdt"}, "mode: expected sgdet, sgcls, predcls, phrdet, found 'sgdt'"),
        ({"convention": "x"}, "convention: expected speaq, scene-graph-benchmark, found 'x'"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    for kind in (SceneGraphMetrics, AdditionalMetrics):
        with pytest.raises(SpeaqError, match=message):
            kind(**{"num_predicates": 2, **options})


def test_arguments_of_other_lengths_are_refused():
    with pytest.raises(SpeaqError, match="predicate_counts: expected 2 numbers, found 1"):
        SceneGraphMetrics(num_predicates=2, predicate_counts=np.ones(1))
    with pytest.raises(SpeaqError, match="predicate_counts: expected 2 numbers, found 1"):
        adjust_logits(small_graph(), [3], 1.0)
    with pytest.raises(SpeaqError, match="a number for each of the 2 triplets, found 1"):
        FrequencyBias(np.zeros((2, 3), int), np.ones(1), np.ones(2))
    with pytest.raises(SpeaqError, match=r"groups: expected pooled, pairs, .* found 'p'"):
        AdditionalMetrics("pooled", num_predicates=2)
    with pytest.raises(SpeaqError, match="max_relations: expected at least 0, found -1"):
        PredictionWriter("a.h5", vocabulary=VOCABULARY, dataset="VG_test", max_relations=-1)


def test_relations_in_another_order_are_warned_of_once(recwarn):
    annotation = Annotation(
        image_id=1, path=Path("1.jpg"), width=300, height=300, boxes=BOXES, labels=np.zeros(3, int),
        relations=np.array([[0, 1, 0]]),
    )  # fmt: skip
    metric = SceneGraphMetrics(num_predicates=2)
    metric.update([small_graph()], [annotation])
    assert not recwarn
    metric.update([small_graph()[::-1]] * 2, [annotation] * 2)
    (warning,) = recwarn
    assert "image 1: the relations are not sorted by their scores" in str(warning.message)
