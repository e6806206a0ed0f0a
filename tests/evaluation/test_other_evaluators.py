"""The figures of other evaluators, computed with their own code on the same random predictions.

tests/golden/other_evaluators.json has the figures, and says of which code.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/other_evaluators.json").read_text())
NUM_OBJECTS, NUM_PREDICATES = 4, 12


def random_images(mode: str) -> list[tuple[SceneGraph, Annotation]]:
    """Images whose predictions are moved and mislabelled copies of a random ground truth.

    `RandomState` and steps of quarters of a pixel give the same numbers on every machine.
    """
    rng, images = np.random.RandomState(7), []
    for index in range(80):
        width, height = (int(side) for side in rng.randint(100, 200, 2))
        count = rng.randint(2, 6)
        low = rng.randint(0, 60, (count, 2))
        boxes = np.column_stack((low, np.minimum(low + rng.randint(20, 120, (count, 2)), (width, height))))
        labels = rng.randint(0, NUM_OBJECTS, count)
        predicates = (NUM_PREDICATES * rng.random_sample(9) ** 2).astype(np.int64)
        relations = np.column_stack((rng.randint(0, count, (9, 2)), predicates))[: rng.randint(0, 10)]
        copies = np.repeat(np.arange(count), 1 if mode in ("sgcls", "predcls") else 3)
        found, classes = boxes[copies].astype(np.float32), labels[copies]
        if mode in ("sgdet", "phrdet"):
            found += rng.randint(-40, 41, found.shape) / 4
        if mode != "predcls":
            classes = np.where(rng.random_sample(len(classes)) < 0.1, (classes + 1) % NUM_OBJECTS, classes)
        pairs = rng.randint(0, len(copies), (120 if index % 10 else 0, 2))
        probs = rng.random_sample((len(pairs), NUM_PREDICATES + 1)) ** 4
        for pair, row in zip(pairs, probs, strict=True):
            same = (copies[pair] == relations[:, :2]).all(axis=1)
            row[relations[same, 2]] += 0.7 * rng.random_sample()
        probs = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
        scores = (0.2 + 0.8 * rng.random_sample(len(copies))).astype(np.float32)
        best = probs[:, :-1].argmax(axis=1)
        order = np.argsort(-scores[pairs].prod(axis=1) * probs[np.arange(len(pairs)), best], kind="stable")
        graph = SceneGraph(
            boxes=found,
            labels=classes,
            scores=scores,
            pairs=pairs[order],
            predicates=best[order],
            predicate_probs=probs[order],
            image_size=(height, width),
        )
        annotation = Annotation(
            image_id=index,
            path=Path(f"{index}.jpg"),
            width=width,
            height=height,
            boxes=boxes.astype(np.float32),
            labels=labels,
            relations=relations,
        )
        images.append((graph, annotation))
    return images


def random_zero_shot_triplets() -> np.ndarray:
    """(Z, 3): subject class, object class, predicate."""
    limits = NUM_OBJECTS, NUM_OBJECTS, NUM_PREDICATES
    rng = np.random.RandomState(8)
    return np.unique(np.column_stack([rng.randint(0, limit, 60) for limit in limits]), axis=0)


@pytest.mark.parametrize("mode", GOLDEN["scene-graph-benchmark"]["figures"])
def test_scene_graph_benchmark(mode):
    metrics = SceneGraphMetrics(
        num_predicates=NUM_PREDICATES,
        mode=mode,
        convention="scene-graph-benchmark",
        zero_shot_triplets=random_zero_shot_triplets(),
    )
    metrics.update(*zip(*random_images(mode), strict=True))
    found = metrics.compute()
    expected = GOLDEN["scene-graph-benchmark"]["figures"][mode]
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-12)


def test_open_images_of_reldn():
    metrics = AdditionalMetrics(["openimages"], num_predicates=NUM_PREDICATES)
    metrics.update(*zip(*random_images("sgdet"), strict=True))
    expected = GOLDEN["reldn"]["figures"]
    found = metrics.compute()
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-12)
