"""Small scene graphs and the golden evaluation set."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

GOLDEN = Path(__file__).parents[1] / "golden"


def annotation(boxes, labels, relations, *, image_id=1, size=(400, 400)):
    return Annotation(
        image_id=image_id,
        path=Path(f"{image_id}.jpg"),
        height=int(size[0]),
        width=int(size[1]),
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=np.asarray(labels, np.int64),
        relations=np.asarray(relations, np.int64).reshape(-1, 3),
    )


def graph(boxes, labels, triplets, *, num_predicates=3, scores=None, probs=None):
    """A graph whose relations are ``triplets`` (subject, object, predicate), best first."""
    triplets = np.asarray(triplets, np.int64).reshape(-1, 3)
    if probs is None:
        probs = np.full((len(triplets), num_predicates + 1), 0.01)
        probs[np.arange(len(triplets)), triplets[:, 2]] = np.linspace(0.9, 0.5, len(triplets))
    return SceneGraph(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=labels,
        scores=np.ones(len(labels)) if scores is None else scores,
        pairs=triplets[:, :2],
        predicates=triplets[:, 2],
        predicate_probs=np.asarray(probs).reshape(len(triplets), -1 if len(triplets) else num_predicates + 1),
        image_size=(400, 400),
    )


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(annotation=annotation, graph=graph)


@pytest.fixture(scope="session")
def golden():
    return load_golden()


def load_golden():
    """The 80 golden images as graphs and annotations, with the published figures."""
    with np.load(GOLDEN / "evaluation.npz") as file:
        arrays = dict(file)
    graphs, annotations = [], []
    for index in range(80):
        true = {name: arrays[f"gt{index}.{name}"] for name in ("boxes", "labels", "relations", "size")}
        found = {
            name: arrays[f"pred{index}.{name}"]
            for name in ("boxes", "labels", "scores", "pairs", "rel_probs", "rel_labels")
        }
        annotations.append(
            annotation(true["boxes"], true["labels"], true["relations"], image_id=index, size=true["size"])
        )
        graphs.append(
            SceneGraph(
                boxes=found["boxes"],
                labels=found["labels"],
                scores=found["scores"],
                pairs=found["pairs"],
                predicates=found["rel_labels"],
                predicate_probs=found["rel_probs"],
                image_size=tuple(true["size"]),
            )
        )
    return SimpleNamespace(
        graphs=graphs,
        annotations=annotations,
        zero_shot=arrays["zero_shot"],
        expected=json.loads((GOLDEN / "evaluation.json").read_text()),
    )
