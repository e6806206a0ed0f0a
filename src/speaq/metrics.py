"""Metrics of scene graphs: torchmetrics classes, the functions they are made of, and saved predictions.

Examples:
    >>> from speaq.metrics import SceneGraphMetrics
    >>> metrics = SceneGraphMetrics(num_predicates=50)
    >>> metrics.update(graphs, annotations)  # doctest: +SKIP
    >>> metrics.compute()["mR@100"]  # doctest: +SKIP
"""

from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.adjustment import FrequencyBias, adjust_logits
from speaq.evaluation.analysis import named_recalls
from speaq.evaluation.detection import DetectionAP, average_precision
from speaq.evaluation.long_tail import (
    LongTail,
    long_tail_groups,
    read_long_tail,
    split_by_counts,
    split_by_rank,
)
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.prediction_writer import PredictionWriter
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.recall import first_hits, harmonic_mean, hits_at, image_hits, match_entities
from speaq.evaluation.zero_shot import TripletSet, load_zero_shot_triplets, zero_shot_recalls

__all__ = [
    "AdditionalMetrics",
    "DetectionAP",
    "FrequencyBias",
    "LongTail",
    "PredictionWriter",
    "Predictions",
    "SceneGraphMetrics",
    "TripletSet",
    "adjust_logits",
    "average_precision",
    "first_hits",
    "harmonic_mean",
    "hits_at",
    "image_hits",
    "load_zero_shot_triplets",
    "long_tail_groups",
    "match_entities",
    "named_recalls",
    "read_long_tail",
    "split_by_counts",
    "split_by_rank",
    "zero_shot_recalls",
]
