"""From a configuration to the metrics."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speaq.config import Config
from speaq.data.build import TrainingStatistics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.zero_shot import load_zero_shot_triplets
from speaq.structures import Vocabulary


def build_metrics(
    config: Config,
    vocabulary: Vocabulary,
    predicate_counts: Sequence[int] | np.ndarray | None,
    statistics: TrainingStatistics | None,
) -> tuple[SceneGraphMetrics, DetectionAP]:
    """What is measured on a data set.

    Zero-shot triplets are read from MODEL.ROI_SCENEGRAPH_HEAD.ZERO_SHOT_TRIPLETS; without such a
    file they are those that the training data lack.

    Args:
        config: its TEST section.
        vocabulary: the classes that are measured.
        predicate_counts: (R,) relations that the model was trained on, if known; for head, body and tail.
        statistics: of the training data, if known.
    """
    zero_shot, seen = _zero_shot(config, vocabulary), None
    if zero_shot is None and statistics is not None:
        seen = statistics.triplets
    recalls = SceneGraphMetrics(
        num_predicates=len(vocabulary.predicates),
        iou_threshold=config.test.relation.iou_threshold,
        zero_shot_triplets=zero_shot,
        seen_triplets=seen,
        predicate_counts=None if predicate_counts is None else np.asarray(predicate_counts),
    )
    return recalls, DetectionAP(num_objects=len(vocabulary.objects))


def _zero_shot(config: Config, vocabulary: Vocabulary) -> np.ndarray | None:
    """The published list where it is on disk; None where it is not and was not asked for."""
    head = config.model.roi_scenegraph_head
    path = Path(head.zero_shot_triplets)
    if head.zero_shot_triplets in ("", type(head)().zero_shot_triplets) and not path.is_file():
        return None
    return load_zero_shot_triplets(
        path, num_objects=len(vocabulary.objects), num_predicates=len(vocabulary.predicates)
    )
