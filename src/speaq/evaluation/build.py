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

    Zero-shot triplets are read from MODEL.ROI_SCENEGRAPH_HEAD.ZERO_SHOT_TRIPLETS. If that has its default and
    there is no such file, they are those that are absent from the ``statistics`` of the training data, if
    known. ``predicate_counts`` (R,), training relations per predicate, are for head, body and tail.

    Raises:
        SpeaqError: the file of zero-shot triplets is configured but cannot be read.
    """
    num_objects, num_predicates = len(vocabulary.objects), len(vocabulary.predicates)
    head = config.model.roi_scenegraph_head
    path, zero_shot, seen = Path(head.zero_shot_triplets), None, None
    if path.is_file() or head.zero_shot_triplets not in ("", type(head)().zero_shot_triplets):
        zero_shot = load_zero_shot_triplets(path, num_objects, num_predicates)
    elif statistics is not None:
        seen = statistics.triplets
    recalls = SceneGraphMetrics(
        num_predicates=num_predicates,
        iou_threshold=config.test.relation.iou_threshold,
        zero_shot_triplets=zero_shot,
        seen_triplets=seen,
        predicate_counts=None if predicate_counts is None else np.asarray(predicate_counts),
    )
    return recalls, DetectionAP(num_objects=num_objects)
