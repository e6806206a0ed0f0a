"""Recall of scene graphs over a data set, as a torchmetrics metric.

Shape letters: see `speaq.structures`.
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from speaq.errors import SpeaqError
from speaq.evaluation.analysis import (
    NO_IMAGE,
    Analysis,
    count_pairs,
    image_columns,
    named_recalls,
    sum_by_group,
)
from speaq.evaluation.base import GraphMetric, check_annotation, check_choices, check_numbers
from speaq.evaluation.convention import Convention, by_convention
from speaq.evaluation.long_tail import LongTail, long_tail_groups
from speaq.evaluation.recall import box_iou, image_hits
from speaq.evaluation.zero_shot import TripletSet, zero_shot_recalls, zero_shot_relations
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

Mode = Literal["sgdet", "sgcls", "predcls", "phrdet"]

_SAME_BOX_IOU, _SAME_BOX_PIXELS = 0.9, 2.0  # a box of the ground truth may have been rounded or scaled
_ROUNDING = 1e-3  # of scores that are saved with half precision
DEPTHS = (20, 50, 100)
"""The default k at which recall is measured."""


class SceneGraphMetrics(GraphMetric):
    """Recall, mean recall, zero-shot recall and recall by predicate, over all images seen.

    Images without relations are left out of every mean; an image with relations but without predictions has
    recall 0. All states are sums and counts of fixed size: memory does not grow with the dataset, and the
    result depends neither on the batch size nor on how images are distributed over ranks.

    ``compute`` returns, for every k in ``ks`` (recalls in 0..1):

    - ``R@k``: mean over images of the share of their relations hit by the top k predictions;
    - ``mR@k``: per predicate the mean over the images that have it, then the mean over all R predicates,
      where predicates absent from the ground truth count as 0; ``mR-present@k``: over the present ones only
      (Chen et al., CVPR 2019; Tang et al., CVPR 2019);
    - ``F@k``: harmonic mean of R@k and mR@k;
    - ``mR-head@k``, ``mR-body@k``, ``mR-tail@k``: as mR@k, over the predicates of these groups (only with
      ``predicate_counts`` or ``long_tail``), so that mR@k is their mean weighted by size;
    - ``zR@k``: see `speaq.evaluation.zero_shot` (only with a set of triplets);
    - the same names with the prefix ``ng-``, except F: without graph constraint;
    - ``images``, ``images_with_relations``, ``images_with_zero_shot``: counts;
    - ``per_predicate`` and ``ng-per_predicate``: (R, len(ks)) float64 tensors, recall of every predicate, NaN
      where it is absent; ``per_predicate_images``: (R,) int64, images that have it;
    - ``mode`` and ``convention``; ``long_tail``: how predicates are split, and the predicates of each group.

    The set of names depends on the settings only; a value to which no image contributes is NaN.

    Args:
        num_predicates: R.
        ks: the depths, ascending; only the top ``ks[-1]`` predictions of an image count.
        iou_threshold: minimum IoU of a predicted box with its ground-truth box.
        zero_shot_triplets: (Z, 3) (subject class, object class, predicate) absent from training.
        seen_triplets: (Z, 3) the opposite: triplets of the training set, all others are zero-shot. Give at
            most one of the two; without either there is no zero-shot recall.
        predicate_counts: (R,) training relations per predicate, for head, body and tail in thirds.
        long_tail: head, body and tail, instead of thirds; see `speaq.evaluation.long_tail`.
        mode: the task: "sgdet"; "sgcls" and "predcls", where predictions have ground-truth boxes, and
            ground-truth boxes and classes; or "phrdet", where the smallest box around subject and object
            must match instead of both boxes.
        distinct: without graph constraint, rank each (subject entity, object entity, predicate) once. By
            default it occurs once per query that predicts the pair, as in the published implementation;
            graphs with several predicates per query need True.
        convention: how boxes are compared and which images count; see `speaq.evaluation.convention`.

    Examples:
        >>> boxes, labels = np.array([[0, 0, 9, 9], [20, 0, 29, 9]], np.float32), np.array([4, 7])
        >>> annotation = Annotation(image_id=1, path=Path("1.jpg"), width=30, height=10, boxes=boxes,
        ...                         labels=labels, relations=np.array([[0, 1, 2], [1, 0, 0]]))
        >>> graph = SceneGraph(boxes=boxes, labels=labels, scores=np.ones(2), pairs=np.array([[0, 1]]),
        ...                    predicates=np.array([2]), predicate_probs=np.array([[0.1, 0.1, 0.7, 0.1]]),
        ...                    image_size=(10, 30))
        >>> metric = SceneGraphMetrics(num_predicates=3)
        >>> metric.update([graph], [annotation])
        >>> metric.compute()["R@20"]
        0.5
    """

    def __init__(
        self,
        *,
        num_predicates: int,
        ks: Sequence[int] = DEPTHS,
        iou_threshold: float = 0.5,
        zero_shot_triplets: np.ndarray | None = None,
        seen_triplets: np.ndarray | None = None,
        predicate_counts: np.ndarray | None = None,
        long_tail: LongTail | None = None,
        mode: Mode = "sgdet",
        distinct: bool = False,
        convention: Convention = "speaq",
    ):
        super().__init__()
        if zero_shot_triplets is not None and seen_triplets is not None:
            raise ValueError("give zero_shot_triplets or seen_triplets, not both")
        check_numbers(num_predicates, ks, iou_threshold)
        check_choices("mode", [mode], get_args(Mode))
        check_choices("convention", [convention], get_args(Convention))
        if predicate_counts is not None and len(predicate_counts) != num_predicates:
            raise SpeaqError(
                f"predicate_counts: expected {num_predicates} numbers, found {len(predicate_counts)}"
            )
        self._is_sorted = True
        self.num_predicates = num_predicates
        self.ks = tuple(ks)
        self.iou_threshold = iou_threshold
        self.distinct = distinct
        if long_tail is None and predicate_counts is not None:
            long_tail = LongTail("thirds", long_tail_groups(predicate_counts))
        self.long_tail = long_tail
        self.groups = {} if long_tail is None else long_tail.groups
        self.mode: Mode = mode
        self.convention: Convention = convention
        self.zero_shot = None if zero_shot_triplets is None else TripletSet(zero_shot_triplets)
        if seen_triplets is not None:
            self.zero_shot = TripletSet(seen_triplets, complement=True)
        for name, value in self._sums(self.analyze([])).items():
            self.add_state(name, torch.zeros(np.shape(value), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images: predictions, relations sorted best first, and the ground truth of the same images.

        Raises:
            SpeaqError: a graph or its ground truth has another number of predicates, or relations of the
                ground truth are of boxes that do not exist.
        """
        self._add(self._sums(self.analyze(zip(graphs, annotations, strict=True))))

    def _sums(self, analysis: Analysis) -> dict[str, Any]:
        """What images add to the states."""
        image_recalls, zero_shot = analysis.image_recalls(), zero_shot_recalls(analysis)
        together = np.zeros(len(analysis.image_ids), np.int64)
        _, predicates, recalls = analysis.predicate_recalls()
        return {
            "images": len(analysis.image_ids),
            "images_with_relations": (~np.isnan(image_recalls[0, 0])).sum(),
            "images_with_zero_shot": (~np.isnan(zero_shot[0, 0])).sum(),
            "predicate_images": np.bincount(predicates, minlength=self.num_predicates),
            "recall_sum": sum_by_group(np.nan_to_num(image_recalls), together, 1)[..., 0],
            "zero_shot_sum": sum_by_group(np.nan_to_num(zero_shot), together, 1)[..., 0],
            "predicate_sum": sum_by_group(recalls, predicates, self.num_predicates),
        }

    def analyze(
        self,
        pairs: Iterable[tuple[SceneGraph, Annotation]],
        *,
        num_rel: int = 1,
        distinct: bool | None = None,
    ) -> Analysis:
        """Analyse images with the settings of this metric, which is not updated.

        ``num_rel`` is the number of predicates kept per query (TEST.NUM_REL), by which the graphs number
        their queries. ``distinct`` replaces the setting of the metric.

        Raises:
            SpeaqError: a graph or its ground truth has another number of predicates.
        """
        image_ids: list[int | str] = []
        sources: list[str] = []
        rows = [NO_IMAGE]
        for graph, annotation in pairs:
            self._check(graph, annotation)
            graph, annotation = by_convention(
                graph, annotation, self.convention, given_classes=self.mode == "predcls"
            )
            hits = image_hits(
                graph,
                annotation,
                depth=max(self.ks),
                iou_threshold=self.iou_threshold,
                distinct=self.distinct if distinct is None else distinct,
                phrases=self.mode == "phrdet",
            )
            zero_shot = zero_shot_relations(annotation, self.zero_shot)
            rows.append({"zero_shot": zero_shot} | image_columns(graph, annotation, hits, num_rel))
            image_ids.append(annotation.image_id)
            sources.append(annotation.source)
        table = {name: np.concatenate([row[name] for row in rows], axis=-1) for name in NO_IMAGE}
        return Analysis(
            ks=self.ks,
            groups=self.groups,
            image_ids=image_ids,
            sources=np.array(sources, dtype=np.str_),
            images=np.repeat(np.arange(len(image_ids)), [len(row["predicates"]) for row in rows[1:]]),
            predicates=table["predicates"],
            zero_shot=table["zero_shot"].astype(bool),
            ranks=table["ranks"],
            predicted_predicates=table["predicted_predicates"],
            num_localized=np.bincount(table["localized"], minlength=self.num_predicates),
            num_correct=np.bincount(table["correct"], minlength=self.num_predicates),
            query_uses=count_pairs(table["query_uses"], self.num_predicates),
            query_hits=count_pairs(table["query_hits"], self.num_predicates),
        )

    def _check(self, graph: SceneGraph, annotation: Annotation) -> None:
        check_annotation(annotation)
        predicted = graph.predicate_probs.shape[1] - 1
        present = annotation.relations[:, 2].max(initial=-1) + 1
        if predicted != self.num_predicates or present > self.num_predicates:
            raise SpeaqError(
                f"image {annotation.image_id}: expected {self.num_predicates} predicate classes, found "
                f"{predicted} in the prediction and at least {present} in the ground truth; "
                f"the model and the data set must share one vocabulary"
            )
        if self._is_sorted and (np.diff(graph.triplet_scores) > _ROUNDING).any():
            self._is_sorted = False
            warnings.warn(
                f"image {annotation.image_id}: the relations are not sorted by their scores, best first; the "
                "first ones count as the top k",
                stacklevel=4,
            )
        if self.mode in ("sgcls", "predcls"):
            _check_given_boxes(graph, annotation, self.mode)

    def compute(self) -> dict[str, Any]:
        """The recalls over all images of all ranks; see the class for the names."""
        state = {name: getattr(self, name).cpu().numpy() for name in self._defaults}
        counts = ("images", "images_with_relations", "images_with_zero_shot")
        results: dict[str, Any] = {"mode": self.mode, "convention": self.convention}
        if self.long_tail is not None:
            groups = {name: members.tolist() for name, members in self.groups.items()}
            results["long_tail"] = {"split": self.long_tail.split, **groups}
        results |= {name: int(state[name]) for name in counts}
        with np.errstate(invalid="ignore"):  # 0 / 0 = NaN where no image contributes
            zero_shot = state["zero_shot_sum"] / state["images_with_zero_shot"]
            recalls = named_recalls(
                self.ks,
                self.groups,
                recall=state["recall_sum"] / state["images_with_relations"],
                per_predicate=state["predicate_sum"] / state["predicate_images"],
                zero_shot=None if self.zero_shot is None else zero_shot,
            )
        for name, value in recalls.items():
            results[name] = torch.from_numpy(value) if name.endswith("per_predicate") else value.item()
        return results | {"per_predicate_images": torch.from_numpy(state["predicate_images"]).long()}


def _check_given_boxes(graph: SceneGraph, annotation: Annotation, mode: Mode) -> None:
    """Check that all boxes, and in predcls also their classes, are those of the ground truth."""
    with_classes = mode == "predcls"
    same = box_iou(graph.boxes, annotation.boxes) >= _SAME_BOX_IOU
    same |= np.abs(graph.boxes[:, None] - annotation.boxes).max(axis=-1) <= _SAME_BOX_PIXELS
    if with_classes:
        same &= graph.labels[:, None] == annotation.labels
    others = np.flatnonzero(~same.any(axis=1))
    if len(others):
        box, what = graph.boxes[others[0]].round(1).tolist(), "boxes and classes" if with_classes else "boxes"
        raise SpeaqError(
            f"image {annotation.image_id}: TEST.MODE {mode} expects the ground-truth {what}, found the box "
            f"{box} of {graph.object_name(int(graph.labels[others[0]]))}, which the ground truth does not "
            f"have ({len(others)} of {len(graph.boxes)}); use TEST.MODE sgdet for boxes that a model found"
        )
