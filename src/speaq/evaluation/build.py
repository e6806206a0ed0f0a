"""Build the metrics from a configuration."""

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
    """Build the metrics for a data set.

    Zero-shot triplets are read from MODEL.ROI_SCENEGRAPH_HEAD.ZERO_SHOT_TRIPLETS; without such a
    file they are those that are absent from the training data.

    Args:
        config: its TEST section.
        vocabulary: the classes of the data set.
        predicate_counts: (R,) training relations per predicate, if known; for head, body and tail.
        statistics: statistics of the training data, if known.

    Raises:
        SpeaqError: the file of zero-shot triplets is configured but cannot be read.
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
    """The configured list; None if the key has its default and the file does not exist."""
    head = config.model.roi_scenegraph_head
    path = Path(head.zero_shot_triplets)
    if head.zero_shot_triplets in ("", type(head)().zero_shot_triplets) and not path.is_file():
        return None
    return load_zero_shot_triplets(
        path, num_objects=len(vocabulary.objects), num_predicates=len(vocabulary.predicates)
    )
