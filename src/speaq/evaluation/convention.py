"""Conventions of another evaluator, so that results can be compared with published ones.

Each is a change of predictions and ground truth before they are compared; the metrics stay the same.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

Convention = Literal["speaq", "scene-graph-benchmark"]


def by_convention(
    graph: SceneGraph, annotation: Annotation, convention: Convention, *, given_classes: bool = False
) -> tuple[SceneGraph, Annotation]:
    """Prediction and ground truth of an image as the evaluator of a convention compares them.

    "speaq" changes nothing. "scene-graph-benchmark" is the evaluation of Visual Genome in
    Scene-Graph-Benchmark (Tang et al., CVPR 2020; github.com/KaihuaTang/Scene-Graph-Benchmark.pytorch):

    - the last pixel belongs to a box: its width is x2 - x1 + 1, and its height likewise;
    - ground-truth boxes are clipped to 0..W - 1 and 0..H - 1;
    - an image without predicted relations has no ground-truth relations, and so is left out of all recalls;
    - with ``given_classes`` (predcls) the score of every entity is 1 in the ranking without graph constraint.

    The graph's boxes (E, 4) and the annotation's (N, 4) are then such that their continuous IoU is the IoU
    of that evaluator.
    """
    if convention == "speaq":
        return graph, annotation
    last_pixel = np.array([0, 0, 1, 1], np.float32)
    limits = np.tile(np.array([annotation.width, annotation.height], np.float32) - 1, 2)
    annotation = replace(
        annotation,
        boxes=annotation.boxes.clip(0, limits) + last_pixel,
        relations=annotation.relations if len(graph) else annotation.relations[:0],
    )
    scores = np.ones_like(graph.scores) if given_classes else graph.scores
    return replace(graph, boxes=graph.boxes + last_pixel, scores=scores), annotation
