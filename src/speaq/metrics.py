"""Metrics of scene graphs: torchmetrics classes, and the functions they are made of.

Example:
    >>> from speaq.metrics import SceneGraphMetrics
    >>> metrics = SceneGraphMetrics(num_predicates=50)
    >>> metrics.update(graphs, annotations)  # doctest: +SKIP
    >>> metrics.compute()["mR@100"]  # doctest: +SKIP
"""

from speaq.evaluation.detection import DetectionAP, average_precision
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.recall import (
    harmonic_mean,
    image_ranks,
    long_tail_groups,
    match_entities,
    recall_at,
    recall_by_predicate,
)
from speaq.evaluation.zero_shot import TripletSet, load_zero_shot_triplets

__all__ = [
    "DetectionAP",
    "SceneGraphMetrics",
    "TripletSet",
    "average_precision",
    "harmonic_mean",
    "image_ranks",
    "load_zero_shot_triplets",
    "long_tail_groups",
    "match_entities",
    "recall_at",
    "recall_by_predicate",
]
