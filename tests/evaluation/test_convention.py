"""The conventions of Scene-Graph-Benchmark, on cases that can be computed by hand."""

from pathlib import Path

import numpy as np
import pytest

from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation


def image(box, *, width=100, relations=1):
    """A relation with itself of a ground-truth box (0, 0, 10, 10), and a prediction with another box."""
    annotation = Annotation(
        image_id=1,
        path=Path("1.jpg"),
        width=width,
        height=100,
        boxes=np.array([[0, 0, 10, 10]], np.float32),
        labels=np.array([0]),
        relations=np.array([[0, 0, 1]]),
    )
    graph = SceneGraph(
        boxes=[box],
        labels=[0],
        scores=[0.9],
        pairs=np.zeros((relations, 2)),
        predicates=np.ones(relations),
        predicate_probs=np.tile([0.1, 0.8, 0.1], (relations, 1)),
        image_size=(100, width),
    )
    return graph, annotation


def recall(convention, *images):
    metric = SceneGraphMetrics(num_predicates=2, convention=convention)
    metric.update(*zip(*images, strict=True))
    results = metric.compute()
    assert results["convention"] == convention
    return results["R@20"], results["ng-R@20"], results["mR@20"]


def test_the_last_pixel_belongs_to_a_box():
    half = image([0, 0, 10, 4.9])  # IoU 0.49, with the last pixel (5.9 * 11) / (11 * 11) = 0.54
    assert recall("speaq", half) == (0, 0, 0)
    assert recall("scene-graph-benchmark", half) == (1, 1, 0.5)


def test_ground_truth_is_clipped_to_the_last_pixel():
    # Clipped, the ground truth covers 0..6 by 0..10, of 7 * 11 pixels: IoU 3.4 * 11 / 77 = 0.49, else 0.31
    assert recall("scene-graph-benchmark", image([0, 0, 2.4, 10], width=7)) == (0, 0, 0)
    assert recall("scene-graph-benchmark", image([0, 0, 2.6, 10], width=7)) == (1, 1, 0.5)


def test_images_without_predictions_are_left_out():
    images = image([0, 0, 10, 10]), image([0, 0, 10, 10], relations=0)
    assert recall("speaq", *images) == (0.5, 0.5, 0.25)
    assert recall("scene-graph-benchmark", *images) == (1, 1, 0.5)


def test_boxes_of_average_precision():
    found = {}
    for convention in ("speaq", "scene-graph-benchmark"):
        metric = DetectionAP(num_objects=1, convention=convention)
        metric.update(*zip(image([0, 0, 10, 4.9]), strict=True))
        found[convention] = metric.compute()["AP50"]
    assert found == {"speaq": 0, "scene-graph-benchmark": pytest.approx(1)}
