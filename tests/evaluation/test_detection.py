import logging
import math

import numpy as np
import pytest
import torch
from faster_coco_eval import COCO, COCOeval_faster

from speaq.evaluation.detection import DetectionAP

SMALL, MEDIUM, LARGE = [0, 0, 20, 20], [100, 0, 150, 50], [0, 200, 100, 300]
FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl")


def boxes_only(make, boxes, labels, scores):
    return make.graph(boxes, labels, [], scores=scores)


def test_two_classes_by_hand(make):
    """Class 0: exact, wrong, then IoU 0.8; class 1: found at IoU 0.6 only; class 2: no true box."""
    truth = make.annotation([LARGE, [200, 200, 300, 300], MEDIUM], [0, 0, 1], [])
    graph = boxes_only(
        make,
        [LARGE, [300, 0, 400, 100], [200, 200, 300, 280], [100, 0, 150, 30], SMALL],
        [0, 0, 0, 1, 2],
        [0.9, 0.8, 0.7, 0.6, 0.5],
    )
    metric = DetectionAP(num_objects=4)
    metric.update([graph], [truth])
    results = metric.compute()
    # Class 0 up to IoU 0.80: precision is 1 up to recall 0.5 (51 of 101 points), then 2/3; above: 51/101.
    found_both, found_one = (51 + 50 * 2 / 3) / 101, 51 / 101
    first = (7 * found_both + 3 * found_one) / 10
    second = 3 / 10  # thresholds 0.50, 0.55, 0.60
    assert results["per_class_AP"].tolist() == pytest.approx([first, second, math.nan, math.nan], nan_ok=True)
    assert results["AP"] == pytest.approx((first + second) / 2, abs=1e-12)
    assert results["AP50"] == pytest.approx((found_both + 1) / 2, abs=1e-12)
    assert results["AP75"] == pytest.approx(found_both / 2, abs=1e-12)
    assert results["APm"] == pytest.approx(second, abs=1e-12)
    assert results["APl"] == pytest.approx(first, abs=1e-12)
    assert math.isnan(results["APs"])


def test_no_predictions_and_no_truths(make):
    metric = DetectionAP(num_objects=2)
    metric.update([make.graph([], [], [])], [make.annotation([], [], [])])
    assert math.isnan(metric.compute()["AP"])
    metric.update([make.graph([], [], [])], [make.annotation([SMALL], [1], [])])
    results = metric.compute()
    assert results["AP"] == results["APs"] == 0.0
    assert results["per_class_AP"].tolist() == pytest.approx([math.nan, 0.0], nan_ok=True)


def test_only_the_best_hundred_of_a_class_count(make):
    """The only right box is the 101st of its class; of another class, it is the second."""
    boxes = [[300, 300, 310, 310]] * 100 + [SMALL, MEDIUM, LARGE]
    scores = [0.9] * 100 + [0.5, 0.4, 0.3]
    graph = boxes_only(make, boxes, [0] * 101 + [1, 1], scores)
    metric = DetectionAP(num_objects=2)
    metric.update([graph], [make.annotation([SMALL, LARGE], [0, 1], [])])
    assert metric.compute()["per_class_AP"].tolist() == pytest.approx([0.0, 0.5], abs=1e-12)


def coco_reference(graphs, annotations, num_objects):
    """All classes and images at once, through the library's own summary."""
    truths, detections = [], []
    for image, (graph, annotation) in enumerate(zip(graphs, annotations, strict=True)):
        rows = zip(annotation.boxes.tolist(), annotation.labels.tolist(), strict=True)
        for (x1, y1, x2, y2), label in rows:
            box = [x1, y1, x2 - x1, y2 - y1]
            truths.append(
                {"id": len(truths) + 1, "image_id": image, "category_id": label, "bbox": box, "iscrowd": 0}
                | {"area": box[2] * box[3]}
            )
        rows = zip(graph.boxes.tolist(), graph.labels.tolist(), graph.scores.tolist(), strict=True)
        for (x1, y1, x2, y2), label, score in rows:
            box = [x1, y1, x2 - x1, y2 - y1]
            detections.append({"image_id": image, "category_id": label, "bbox": box, "score": score})
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image} for image in range(len(graphs))],
        "categories": [{"id": label} for label in range(num_objects)],
        "annotations": truths,
    }
    coco.createIndex()
    evaluation = COCOeval_faster(coco, coco.loadRes(detections), "bbox", print_function=logging.debug)
    evaluation.run()
    return evaluation.stats[:6]


@pytest.fixture(scope="module")
def golden_results(golden):
    metric = DetectionAP(num_objects=150)
    for start in range(0, 80, 7):
        metric.update(golden.graphs[start : start + 7], golden.annotations[start : start + 7])
    return metric.compute()


def test_class_by_class_equals_all_at_once(golden, golden_results):
    expected = coco_reference(golden.graphs, golden.annotations, 150)
    assert [golden_results[name] for name in FIGURES] == pytest.approx(expected.tolist(), abs=1e-12)
    assert golden_results["AP"] > 0.01


def test_the_order_of_images_does_not_matter(golden, golden_results):
    metric = DetectionAP(num_objects=150)
    order = np.random.default_rng(0).permutation(80)
    metric.update([golden.graphs[i] for i in order], [golden.annotations[i] for i in order])
    results = metric.compute()
    assert [results[name] for name in FIGURES] == pytest.approx(
        [golden_results[n] for n in FIGURES], abs=1e-12
    )


def test_states_are_flat_arrays(golden):
    metric = DetectionAP(num_objects=150)
    metric.update(golden.graphs, golden.annotations)
    assert [len(state) for state in (metric.detections, metric.targets, metric.counts)] == [1, 1, 1]
    entities = sum(len(graph.boxes) for graph in golden.graphs)
    assert metric.detections[0].shape == (entities, 6) and metric.detections[0].dtype == torch.float32
    assert metric.counts[0].shape == (80, 2) and metric.counts[0].dtype == torch.int64


def test_nothing_is_printed(golden, capfd, caplog):
    metric = DetectionAP(num_objects=150)
    metric.update(golden.graphs[:5], golden.annotations[:5])
    with caplog.at_level(logging.INFO):
        metric.compute()
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    assert not caplog.records
