"""Average precision of entity boxes, as COCO defines it.

Shape letters: see `speaq.structures`; here N boxes of all images.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from speaq.errors import SpeaqError
from speaq.evaluation.base import GraphMetric, check_annotation, check_choices
from speaq.evaluation.convention import Convention, by_convention
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

if TYPE_CHECKING:
    from faster_coco_eval import COCO

logger = logging.getLogger(__name__)

MAX_DETECTIONS = 100
"""Number of best detections per class and image that count (COCO's maxDets)."""

_IOU_THRESHOLDS = range(50, 100, 5)  # percent
_SIZES = 4  # all, small, medium, large


class DetectionAP(GraphMetric):
    """COCO average precision of entity boxes over all images seen, in 0..1 (Lin et al., ECCV 2014).

    ``compute`` returns ``AP`` (mean over classes and the IoU thresholds 0.50, 0.55, ..., 0.95), ``AP50``,
    ``AP75``, ``APs``, ``APm``, ``APl`` (small, medium and large ground-truth boxes) and ``per_class_AP``,
    (C,) float64. A value to which no ground-truth box contributes is NaN.

    The states are flat arrays, 24 bytes per box. They are concatenated in the same order over batches and
    ranks, so that images need no ids: ``counts`` has the number of rows of each image.

    Args:
        num_objects: C.
        convention: how boxes are compared; see `speaq.evaluation.convention`.
    """

    detections: list[Tensor]
    targets: list[Tensor]
    counts: list[Tensor]

    def __init__(self, *, num_objects: int, convention: Convention = "speaq"):
        super().__init__()
        check_choices("convention", [convention], get_args(Convention))
        self.num_objects = num_objects
        self.convention: Convention = convention
        self.add_state("detections", [], dist_reduce_fx="cat")  # (N, 6) float32: xyxy, class, score
        self.add_state("targets", [], dist_reduce_fx="cat")  # (N, 5) float32: xyxy, class
        self.add_state("counts", [], dist_reduce_fx="cat")  # (B, 2) int64: detections, targets

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images: the entities of ``graphs`` and the ground truth of the same images.

        Raises:
            SpeaqError: there are not as many labels as boxes, or one is not in 0..C - 1.
        """
        for annotation in annotations:
            check_annotation(annotation)
            labels = annotation.labels
            if (wrong := labels[(labels < 0) | (labels >= self.num_objects)]).size:
                raise SpeaqError(
                    f"image {annotation.image_id}: expected labels of the ground truth in "
                    f"0..{self.num_objects - 1}, found {wrong[0]}"
                )
        images = [by_convention(*image, self.convention) for image in zip(graphs, annotations, strict=True)]
        detections = [np.column_stack((graph.boxes, graph.labels, graph.scores)) for graph, _ in images]
        targets = [np.column_stack((annotation.boxes, annotation.labels)) for _, annotation in images]
        counts = [(len(d), len(t)) for d, t in zip(detections, targets, strict=True)]
        for state, rows, width in ((self.detections, detections, 6), (self.targets, targets, 5)):
            array = np.concatenate([np.empty((0, width)), *rows]).astype(np.float32)
            state.append(torch.from_numpy(array).to(self.device))
        self.counts.append(torch.tensor(counts, dtype=torch.int64, device=self.device).reshape(-1, 2))

    def compute(self) -> dict[str, float | Tensor]:
        """The average precisions over all images of all ranks; see the class for the names."""
        detections, targets, counts = (
            dim_zero_cat(state).cpu().numpy() for state in (self.detections, self.targets, self.counts)
        )
        images = np.arange(len(counts))
        tables = [
            np.column_stack((images.repeat(number), rows))
            for number, rows in zip(counts.T, (detections, targets), strict=True)
        ]
        precision = torch.from_numpy(average_precision(*tables, num_objects=self.num_objects))
        averaged = precision.mean(dim=-1)
        by_name = {"AP": averaged[:, 0]}
        by_name |= {f"AP{iou}": precision[:, 0, _IOU_THRESHOLDS.index(iou)] for iou in (50, 75)}
        by_name |= {"APs": averaged[:, 1], "APm": averaged[:, 2], "APl": averaged[:, 3]}
        results: dict[str, float | Tensor] = {name: ap.nanmean().item() for name, ap in by_name.items()}
        return results | {"per_class_AP": averaged[:, 0]}


def average_precision(detections: np.ndarray, targets: np.ndarray, *, num_objects: int) -> np.ndarray:
    """COCO average precision per class, size of the ground-truth boxes and IoU threshold.

    Classes are evaluated one at a time, which needs no table of all images by all classes.

    Args:
        detections: (N, 7), image index, xyxy, class, score.
        targets: (N, 6), image index, xyxy, class.
        num_objects: C.

    Returns:
        (C, 4, 10) float64 in 0..1, NaN where there is no target: by size all, small (area below 32² pixels),
        medium and large (above 96²), and by IoU threshold 0.50, 0.55, ..., 0.95.
    """
    from faster_coco_eval import COCOeval_faster

    result = np.full((num_objects, _SIZES, len(_IOU_THRESHOLDS)), np.nan)
    for label in np.unique(targets[:, 5]).astype(np.int64):
        annotated, detected = targets[targets[:, 5] == label], detections[detections[:, 5] == label]
        images = np.union1d(annotated[:, 0], detected[:, 0]).astype(np.int64).tolist()
        tables = _coco(annotated, images), _coco(detected, images)
        evaluation = COCOeval_faster(*tables, "bbox", print_function=logger.debug)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
        # (IoU thresholds, recall thresholds, classes, sizes, maxDets), -1 where there is no target
        precision = evaluation.eval["precision"][:, :, 0, :, 0].mean(axis=1).T
        result[label] = np.where(precision >= 0, precision, np.nan)
    return result


def _coco(rows: np.ndarray, images: list[int]) -> "COCO":
    """Rows of one class in the format of the COCO evaluation, which ignores scores of targets."""
    from faster_coco_eval import COCO

    sides = rows[:, 3:5] - rows[:, 1:3]
    boxes = np.column_stack((rows[:, 1:3], sides)).tolist()
    image_ids = rows[:, 0].astype(np.int64).tolist()
    columns = zip(image_ids, boxes, sides.prod(axis=1).tolist(), rows[:, -1].tolist(), strict=True)
    coco = COCO(print_function=logger.debug)
    coco.dataset = {
        "images": [{"id": image} for image in images],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": i, "image_id": image, "bbox": box, "area": area, "score": score}
            | {"category_id": 1, "iscrowd": 0}
            for i, (image, box, area, score) in enumerate(columns, start=1)
        ],
    }
    coco.createIndex()
    return coco
