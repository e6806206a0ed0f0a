"""The additional metrics against plain loops over predictions and relations."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import BinaryCalibrationError

from speaq.config import load_config
from speaq.evaluation.additional import AdditionalMetrics, interpolated_precision
from speaq.evaluation.build import build_metrics
from speaq.evaluation.results import additional, results_dict, results_table
from speaq.structures import Vocabulary

KS = (1, 3, 8)
BOXES = np.array([[0, 0, 100, 100], [200, 0, 300, 100], [0, 200, 100, 300]], np.float32)


def overlap(a, b):
    """IoU of two boxes, one number at a time."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


def union(a, b):
    return [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]


class Relation:
    """A relation with classes and boxes, predicted or annotated."""

    def __init__(self, source, pair, predicate, score=1.0):
        s, o = (int(index) for index in pair)
        self.pair, self.predicate, self.score = (s, o), int(predicate), float(score)
        self.labels = int(source.labels[s]), int(source.labels[o]), int(predicate)
        self.boxes = [float(x) for x in source.boxes[s]], [float(x) for x in source.boxes[o]]

    def overlap(self, other):
        return min(overlap(a, b) for a, b in zip(self.boxes, other.boxes, strict=True))

    def phrase_overlap(self, other):
        return overlap(union(*self.boxes), union(*other.boxes))

    def hits(self, other):
        return self.labels == other.labels and self.overlap(other) >= 0.5


@pytest.fixture(scope="module")
def images(make):
    """Graphs with many hits and several predictions per pair, their annotations, and both as relations."""
    rng, graphs, annotations = np.random.default_rng(5), [], []
    for index in range(30):
        boxes, found = int(rng.integers(1, 5)), int(rng.integers(0, 14))
        corners = rng.uniform(0, 200, (boxes, 2))
        true = np.concatenate((corners, corners + rng.uniform(40, 90, (boxes, 2))), axis=1)
        labels = rng.integers(0, 2, boxes)
        rows = rng.integers(0, [boxes, boxes, 4], (int(rng.integers(0, 6)), 3))
        annotations.append(make.annotation(true, labels, rows, image_id=index))
        copies = rng.integers(0, boxes, 6)
        probs = rng.dirichlet(np.ones(5), found)
        triplets = np.column_stack((rng.integers(0, 6, (found, 2)), probs[:, :-1].argmax(axis=1)))
        scores = rng.uniform(0.7, 1, 6)
        order = np.argsort(
            -scores[triplets[:, :2]].prod(axis=1) * probs[np.arange(found), triplets[:, 2]], kind="stable"
        )
        graphs.append(
            make.graph(
                true[copies] + rng.normal(0, 6, (6, 4)), labels[copies], triplets[order],
                num_predicates=4, scores=scores, probs=probs[order],
            )
        )  # fmt: skip
    predicted = [
        [
            Relation(graph, *row)
            for row in zip(graph.pairs, graph.predicates, graph.triplet_scores, strict=True)
        ]
        for graph in graphs
    ]
    true = [[Relation(each, row[:2], row[2]) for row in each.relations] for each in annotations]
    return graphs, annotations, predicted, true


@pytest.fixture(scope="module")
def results(images):
    metric = AdditionalMetrics(num_predicates=4, ks=KS)
    metric.update(images[0][:11], images[1][:11])
    metric.update(images[0][11:], images[1][11:])
    return metric.compute()


def count_hits(predicted, true):
    return sum(any(one.hits(other) for one in predicted) for other in true)


def mean_recall_of_images(images, choose):
    shares = [
        count_hits(choose(predicted, true), true) / len(true)
        for predicted, true in zip(*images[2:], strict=True)
        if true
    ]
    return sum(shares) / len(shares)


@pytest.mark.parametrize("k", KS)
def test_pooled_recall(images, results, k):
    hits = [count_hits(predicted[:k], true) for predicted, true in zip(*images[2:], strict=True)]
    assert results[f"pooled-R@{k}"] == pytest.approx(sum(hits) / sum(map(len, images[3])), abs=1e-12)


@pytest.mark.parametrize("k", KS)
def test_each_pair_counts_once_with_its_best_predicate(images, results, k):
    def choose(predicted, true):
        best = {}
        for relation in predicted:
            best.setdefault(relation.pair, relation)
        return list(best.values())[:k]

    assert results[f"pair-R@{k}"] == pytest.approx(mean_recall_of_images(images, choose), abs=1e-12)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_recall_relative_to_the_number_of_relations(images, results, factor):
    expected = mean_recall_of_images(images, lambda predicted, true: predicted[: factor * len(true)])
    assert results[f"relative-R@{factor}x"] == pytest.approx(expected, abs=1e-12)


def scored(images):
    """Score and correctness of all predictions among the best 8 of an image."""
    return [
        (min(one.score, 1.0), any(one.hits(other) for other in true))
        for predicted, true in zip(*images[2:], strict=True)
        for one in predicted[: KS[-1]]
    ]


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5])
def test_precision_at_a_score(images, results, threshold):
    chosen = [correct for score, correct in scored(images) if score >= threshold]
    assert results[f"precision@{threshold:g}"] == pytest.approx(sum(chosen) / len(chosen), abs=1e-12)


def test_calibration_error(images, results):
    scores, correct = torch.tensor(scored(images), dtype=torch.float64).T
    error = BinaryCalibrationError(n_bins=15)(scores, correct.long()).item()
    assert results["ECE"] == pytest.approx(error, abs=1e-9)


def open_images_ap(images, predicate, kind):
    """All predictions of a predicate, best first; each claims its best relation, which counts once."""
    total = sum(other.predicate == predicate for true in images[3] for other in true)
    ranked = sorted(
        (
            (-one.score, image, one)
            for image, predicted in enumerate(images[2])
            for one in predicted[: KS[-1]]
            if one.predicate == predicate
        ),
        key=lambda row: row[:1],
    )
    claimed, curve, correct = set(), [], 0
    for count, (_, image, one) in enumerate(ranked, start=1):
        same = [i for i, other in enumerate(images[3][image]) if other.labels == one.labels]
        found = [(getattr(one, kind)(images[3][image][i]), -i) for i in same]
        if found and max(found)[0] >= 0.5 and (image, -max(found)[1]) not in claimed:
            claimed.add((image, -max(found)[1]))
            correct += 1
        curve.append((correct / total, correct / count))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in curve}):
        area += (recall - before) * max(p for r, p in curve if r >= recall)
        before = recall
    return area, total


def test_open_images_score(make, images):
    metric = AdditionalMetrics(["openimages"], num_predicates=4, ks=KS)
    metric.update(*images[:2])
    results = metric.compute()
    assert set(results) == {"pooled-R@50", "wmAP_rel", "wmAP_phr", "score_wtd"}
    for name, kind in (("wmAP_rel", "overlap"), ("wmAP_phr", "phrase_overlap")):
        areas = [open_images_ap(images, predicate, kind) for predicate in range(4)]
        expected = sum(area * total for area, total in areas) / sum(total for _, total in areas)
        assert 0 < results[name] == pytest.approx(expected, abs=1e-12)
    hits = [count_hits(predicted, true) for predicted, true in zip(*images[2:], strict=True)]
    recall = sum(hits) / sum(map(len, images[3]))
    assert results["pooled-R@50"] == pytest.approx(recall, abs=1e-12)
    expected = 0.2 * recall + 0.4 * results["wmAP_rel"] + 0.4 * results["wmAP_phr"]
    assert results["score_wtd"] == pytest.approx(expected, abs=1e-12)


def test_interpolated_precision_by_hand():
    # recall 1/4 at precision 1, 2/4 at 2/4 (interpolated: 3/5), 3/4 at 3/5
    assert interpolated_precision(np.array([1, 0, 0, 1, 1]), 4) == pytest.approx((1 + 0.6 + 0.6) / 4)
    assert interpolated_precision(np.array([]), 4) == 0


def test_phrases_of_the_mode(make):
    truth = make.annotation([[0, 0, 50, 100], [50, 0, 100, 100]], [0, 1], [[0, 1, 2]])
    graph = make.graph([[0, 0, 20, 100], [80, 0, 100, 100]], [0, 1], [[0, 1, 2]])
    found = {}
    for mode in ("sgdet", "phrdet"):
        metric = AdditionalMetrics(["pooled"], num_predicates=3, ks=(1,), mode=mode)
        metric.update([graph], [truth])
        found[mode] = metric.compute()["pooled-R@1"]
    assert found == {"sgdet": 0, "phrdet": 1}


def test_nothing_contributes_without_relations(make):
    metric = AdditionalMetrics(num_predicates=3)
    metric.update([make.graph([], [], [])], [make.annotation(BOXES, [0, 1, 2], [])])
    assert all(math.isnan(value) for value in metric.compute().values())


def test_the_key_chooses_groups_that_tables_and_files_show(make):
    names = Vocabulary(("a", "b", "c"), ("on", "in", "near"))
    truth = make.annotation(BOXES, [0, 1, 2], [[0, 1, 2]])
    graph = make.graph(BOXES, [0, 1, 2], [[0, 1, 2]])
    results = {}
    for metric in build_metrics(load_config(None, ["TEST.METRICS", "pooled,scores"]), names, None, None):
        metric.update([graph], [truth])
        results |= metric.compute()
    content = results_dict(results, names)
    assert set(content["additional"]) == {
        *(f"{prefix}pooled-R@{k}" for prefix in ("", "ng-") for k in (20, 50, 100)),
        *("precision@0.1", "precision@0.3", "precision@0.5", "ECE"),
    }
    assert set(additional(results)) == set(content["additional"])
    assert not any("pooled" in name for name in content["scene_graph"])
    assert results_table(results) is not None
    assert len(build_metrics(load_config(None), names, None, None)) == 2
