"""Average precision of the entity boxes, as COCO defines it.

D: detections, T: true boxes, I: images, C: object classes.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

if TYPE_CHECKING:
    from faster_coco_eval import COCO

logger = logging.getLogger(__name__)

MAX_DETECTIONS = 100
"""Best detections of a class in an image that count (COCO's maxDets)."""

_IOU_THRESHOLDS = range(50, 100, 5)  # percent
_SIZES = 4  # all, small, medium, large


class DetectionAP(Metric):
    """COCO average precision of entity boxes over all images seen, in 0..1.

    ``compute`` returns ``AP`` (mean over classes and the IoU thresholds 0.50, 0.55, ..., 0.95), ``AP50``,
    ``AP75``, ``APs``, ``APm``, ``APl`` (small, medium and large true boxes) and ``per_class_AP``, (C,)
    float64. A figure to which no true box contributes is NaN. Of a class, the 100 best detections of an
    image count, as COCO has it.

    The states are flat arrays, 24 bytes per box. They concatenate in the same order over batches and ranks,
    which is why images need no names: ``counts`` says how many rows belong to each.

    Args:
        num_objects: C.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    detections: list[Tensor]
    truths: list[Tensor]
    counts: list[Tensor]

    def __init__(self, *, num_objects: int):
        super().__init__()
        self.num_objects = num_objects
        self.add_state("detections", [], dist_reduce_fx="cat")  # (D, 6) float32: xyxy, class, score
        self.add_state("truths", [], dist_reduce_fx="cat")  # (T, 5) float32: xyxy, class
        self.add_state("counts", [], dist_reduce_fx="cat")  # (I, 2) int64: detections, true boxes

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images: the entities of ``graphs`` and the ground truth of the same images."""
        detections, truths = [np.empty((0, 6))], [np.empty((0, 5))]
        for graph, annotation in zip(graphs, annotations, strict=True):
            detections.append(np.column_stack((graph.boxes, graph.labels, graph.scores)))
            truths.append(np.column_stack((annotation.boxes, annotation.labels)))
        counts = [(len(d), len(t)) for d, t in zip(detections[1:], truths[1:], strict=True)]
        for state, rows in {"detections": detections, "truths": truths}.items():
            array = np.concatenate(rows).astype(np.float32)
            getattr(self, state).append(torch.from_numpy(array).to(self.device))
        self.counts.append(torch.tensor(counts, dtype=torch.int64, device=self.device).reshape(-1, 2))

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all ranks.

        A rank that saw no image must still offer arrays of the right shape and type, or the others wait.
        """
        if not self.counts:
            self.update([], [])
        super().sync(*args, **kwargs)

    def compute(self) -> dict[str, float | Tensor]:
        """The figures over all images of all ranks; the class says which."""
        detections, truths, counts = (
            dim_zero_cat(state).cpu().numpy() for state in (self.detections, self.truths, self.counts)
        )
        images = np.arange(len(counts))
        precision = torch.from_numpy(
            average_precision(
                detections,
                truths,
                detection_images=images.repeat(counts[:, 0]),
                truth_images=images.repeat(counts[:, 1]),
                num_objects=self.num_objects,
            )
        )
        averaged = precision.mean(dim=-1)
        figures = {
            "AP": averaged[:, 0],
            "AP50": precision[:, 0, _IOU_THRESHOLDS.index(50)],
            "AP75": precision[:, 0, _IOU_THRESHOLDS.index(75)],
            "APs": averaged[:, 1],
            "APm": averaged[:, 2],
            "APl": averaged[:, 3],
        }
        return {name: values.nanmean().item() for name, values in figures.items()} | {
            "per_class_AP": averaged[:, 0]
        }


def average_precision(
    detections: np.ndarray,
    truths: np.ndarray,
    *,
    detection_images: np.ndarray,
    truth_images: np.ndarray,
    num_objects: int,
) -> np.ndarray:
    """COCO average precision per class, size of the true boxes and IoU threshold.

    Classes are evaluated one at a time, on the images that have anything of the class: the same figures as
    all at once, without a table of all images by all classes.

    Args:
        detections: (D, 6), xyxy, class, score.
        truths: (T, 5), xyxy, class.
        detection_images: (D,) image index of each detection.
        truth_images: (T,) image index of each true box.
        num_objects: C.

    Returns:
        (C, 4, 10) float64 in 0..1, NaN where there is no true box: by size all, small (below 32² pixels),
        medium and large (above 96²), and by IoU threshold 0.50, 0.55, ..., 0.95.
    """
    from faster_coco_eval import COCOeval_faster

    result = np.full((num_objects, _SIZES, len(_IOU_THRESHOLDS)), np.nan)
    for label in np.unique(truths[:, 4]).astype(np.int64):
        found, true = np.flatnonzero(detections[:, 4] == label), np.flatnonzero(truths[:, 4] == label)
        images = np.union1d(detection_images[found], truth_images[true]).tolist()
        evaluation = COCOeval_faster(
            _coco(truths[true, :4], truth_images[true], images),
            _coco(detections[found, :4], detection_images[found], images, detections[found, 5]),
            "bbox",
            print_function=logger.debug,
        )
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
        # (IoU thresholds, recall thresholds, classes, sizes, maxDets), -1 where there is no true box
        precision = evaluation.eval["precision"][:, :, 0, :, 0].mean(axis=1).T
        result[label] = np.where(precision >= 0, precision, np.nan)
    return result


def _coco(
    boxes: np.ndarray, images: np.ndarray, all_images: list[int], scores: np.ndarray | None = None
) -> "COCO":
    """Boxes of one class, xyxy, in the form in which the COCO evaluation reads them."""
    from faster_coco_eval import COCO

    low, sides = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    columns = {
        "image_id": images.tolist(),
        "bbox": np.concatenate((low, sides), axis=1).tolist(),
        "area": sides.prod(axis=1).tolist(),
    }
    if scores is not None:
        columns["score"] = scores.astype(np.float64).tolist()
    coco = COCO(print_function=logger.debug)
    coco.dataset = {
        "images": [{"id": image} for image in all_images],
        "categories": [{"id": 1}],
        "annotations": [
            {"id": index, "category_id": 1, "iscrowd": 0} | dict(zip(columns, values, strict=True))
            for index, values in enumerate(zip(*columns.values(), strict=True), start=1)
        ],
    }
    coco.createIndex()
    return coco
