"""Time of the recall metrics, beside a plain loop over predictions and relations.

    python benchmarks/metrics.py --images 200

Each graph has 60 entities and 600 relations, each image 11 boxes and 6 relations, with 150 object classes and
50 predicates. Both versions compute R@k and mR@k with and without graph constraint.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from speaq.metrics import SceneGraphMetrics
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

OBJECTS, PREDICATES = 150, 50
KS = (20, 50, 100)


def random_image(rng: np.random.Generator, number: int) -> tuple[SceneGraph, Annotation]:
    """A graph that finds about half of the relations of its annotation."""
    corners = np.sort(rng.random((11, 2, 2)) * (800, 600), axis=1)
    relations = np.column_stack((rng.integers(0, 11, (6, 2)), rng.integers(0, PREDICATES, 6)))
    annotation = Annotation(
        image_id=number,
        path=Path(f"{number}.jpg"),
        width=800,
        height=600,
        boxes=corners.reshape(11, 4).astype(np.float32),
        labels=rng.integers(0, OBJECTS, 11),
        relations=relations,
    )
    source = rng.integers(0, 11, 60)
    source[:11] = np.arange(11)
    probs = rng.dirichlet(np.full(PREDICATES + 1, 0.1), 600).astype(np.float32)
    pairs = rng.integers(0, 60, (600, 2))
    pairs[:6] = relations[:, :2]
    probs[:3] = np.eye(PREDICATES + 1, dtype=np.float32)[relations[:3, 2]]
    scores = rng.random(60).astype(np.float32)
    predicates = probs[:, :-1].argmax(1)
    values = scores[pairs].prod(1) * probs[np.arange(600), predicates]
    order = np.argsort(-values, kind="stable")
    graph = SceneGraph(
        boxes=annotation.boxes[source] + rng.normal(0, 5, (60, 4)).astype(np.float32),
        labels=annotation.labels[source],
        scores=scores,
        pairs=pairs[order],
        predicates=predicates[order],
        predicate_probs=probs[order],
        image_size=(600, 800),
    )
    return graph, annotation


def iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def plain(images: list[tuple[SceneGraph, Annotation]]) -> dict[str, float]:
    """R@k and mR@k, image by image, prediction by prediction."""
    shares: dict[str, list[float]] = {f"{mode}R@{k}": [] for mode in ("", "ng-") for k in KS}
    by_predicate = {name: [[] for _ in range(PREDICATES)] for name in shares}
    for graph, annotation in images:
        boxes, labels = graph.boxes.tolist(), graph.labels.tolist()
        true_boxes, true_labels = annotation.boxes.tolist(), annotation.labels.tolist()
        scores, probs = graph.scores.astype(float), graph.predicate_probs[:, :-1].astype(float)
        everything = scores[graph.pairs].prod(1)[:, None] * probs
        best = np.argsort(-everything.ravel(), kind="stable")[: KS[-1]]
        ranked = {
            "": list(zip(graph.pairs.tolist(), graph.predicates.tolist(), strict=True))[: KS[-1]],
            "ng-": [(graph.pairs[i // PREDICATES].tolist(), int(i % PREDICATES)) for i in best],
        }
        for mode, predictions in ranked.items():
            ranks = []
            for subject, object_, predicate in annotation.relations.tolist():
                rank = len(predictions)
                for position, (pair, predicted) in enumerate(predictions):
                    if predicted == predicate and all(
                        labels[one] == true_labels[other] and iou(boxes[one], true_boxes[other]) >= 0.5
                        for one, other in zip(pair, (subject, object_), strict=True)
                    ):
                        rank = position
                        break
                ranks.append(rank)
            for k in KS:
                hits = np.array(ranks) < min(k, len(predictions))
                shares[f"{mode}R@{k}"].append(float(hits.mean()))
                for predicate in np.unique(annotation.relations[:, 2]):
                    here = hits[annotation.relations[:, 2] == predicate]
                    by_predicate[f"{mode}R@{k}"][predicate].append(float(here.mean()))
    results = {name: float(np.mean(values)) for name, values in shares.items()}
    for name, values in by_predicate.items():
        mean = np.mean([np.mean(one) if one else 0 for one in values])
        results[name.replace("R@", "mR@")] = float(mean)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [random_image(rng, number) for number in range(options.images)]

    def ours() -> dict[str, float]:
        metrics = SceneGraphMetrics(num_predicates=PREDICATES, ks=KS)
        for graph, annotation in images:
            metrics.update([graph], [annotation])
        return metrics.compute()

    ours()
    times, results = [], []
    for version in (ours, lambda: plain(images)):
        start = time.perf_counter()
        results.append(version())
        times.append(1e3 * (time.perf_counter() - start) / options.images)
    now, before = results
    print("largest difference of the recalls:", max(abs(now[name] - before[name]) for name in before))
    print(f"R@50 {now['R@50']:.3f}, ng-mR@100 {now['ng-mR@100']:.3f}")
    print(f"per image: ours {times[0]:.2f} ms, plain {times[1]:.2f} ms, ratio {times[1] / times[0]:.1f}")


if __name__ == "__main__":
    main()
