"""Further metrics of relations, computed only if they are chosen (TEST.METRICS).

Shape letters: see `speaq.structures`; K ranked predictions of an image.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from speaq.evaluation.analysis import PREFIXES, sum_by_group
from speaq.evaluation.base import GraphMetric, check_annotation, check_choices, check_numbers
from speaq.evaluation.convention import Convention, by_convention
from speaq.evaluation.metrics import DEPTHS, Mode
from speaq.evaluation.recall import (
    box_iou,
    first_hits,
    hits_at,
    image_hits,
    relation_matcher,
    union_boxes,
)
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

Group = Literal["pooled", "pairs", "relative", "scores", "openimages"]

FACTORS = (1, 2, 5)
"""Depths of relative recall, in numbers of relations of the image."""
THRESHOLDS = (0.1, 0.3, 0.5)
"""Triplet scores from which precision is measured."""
NUM_BINS = 15
"""Bins of equal width of the calibration error."""
_OPEN_IMAGES_DEPTH = 50  # k of the recall in the weighted score


class AdditionalMetrics(GraphMetric):
    """Metrics by group, over all images seen, in 0..1.

    ``compute`` returns the metrics of the given ``groups``, for every k in ``ks``:

    - "pooled": ``pooled-R@k`` and ``ng-pooled-R@k``, hit relations of all images divided by all relations of
      all images (Lu et al., ECCV 2016);
    - "pairs": ``pair-R@k``, as R@k, where every pair of a subject and an object entity is ranked once, with
      its best predicate: the graph constraint of Zellers et al. (CVPR 2018);
    - "relative": ``relative-R@1x``, ``2x`` and ``5x``, mean over images of the recall of the top f M
      predictions, M the number of relations of the image. At f = 1 it is the R-precision of information
      retrieval (Manning et al., Introduction to Information Retrieval, 2008, section 8.4);
    - "scores": ``precision@t``, the fraction of correct ones among the top ``ks[-1]`` predictions of an image
      whose triplet score is at least t, and ``ECE``, the expected calibration error of these scores in 15
      bins (Guo et al., ICML 2017, equation 3). A correct prediction for a pair without annotation counts as
      wrong;
    - "openimages": ``wmAP_rel`` and ``wmAP_phr``, average precision of relations (both boxes match) and
      phrases (their union matches), mean over predicates weighted by their relations; ``pooled-R@50``; and
      ``score_wtd`` = 0.2 pooled-R@50 + 0.4 wmAP_rel + 0.4 wmAP_phr (code of Zhang et al., CVPR 2019).

    A value to which nothing contributes is NaN.

    Args:
        groups: groups to compute.
        num_predicates: R.
        ks: see `SceneGraphMetrics`, as the other arguments.
        iou_threshold: see there.
        mode: see there.
        distinct: see there.
        convention: see there.
    """

    detections: list[Tensor]

    def __init__(
        self,
        groups: Sequence[Group] = get_args(Group),
        *,
        num_predicates: int,
        ks: Sequence[int] = DEPTHS,
        iou_threshold: float = 0.5,
        mode: Mode = "sgdet",
        distinct: bool = False,
        convention: Convention = "speaq",
    ):
        super().__init__()
        check_numbers(num_predicates, ks, iou_threshold)
        check_choices("groups", groups, get_args(Group))
        check_choices("mode", [mode], get_args(Mode))
        check_choices("convention", [convention], get_args(Convention))
        self.groups, self.num_predicates, self.ks = tuple(groups), num_predicates, tuple(ks)
        self.iou_threshold, self.mode, self.distinct = iou_threshold, mode, distinct
        self.convention: Convention = convention
        shapes = {
            "relations": (),
            "images_with_relations": (),
            "pooled": (2, len(self.ks)),
            "pooled_open_images": (),
            "pairs": (len(self.ks),),
            "relative": (len(FACTORS),),
            "above": (2, len(THRESHOLDS)),  # predictions, correct ones
            "bins": (3, NUM_BINS),  # predictions, sums of scores, correct ones
            "predicate_relations": (num_predicates,),
        }
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        # (N, 4) float64: predicate, score, correct relation, correct phrase
        self.add_state("detections", [], dist_reduce_fx="cat")

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images: predictions, relations sorted best first, and the ground truth of the same images."""
        rows = [np.empty((0, 4))]
        for image in zip(graphs, annotations, strict=True):
            check_annotation(image[1])
            graph, annotation = by_convention(*image, self.convention, given_classes=self.mode == "predcls")
            self._add(self._image(graph, annotation))
            if "openimages" in self.groups:
                rows.append(open_images_matches(graph[: self.ks[-1]], annotation, self.iou_threshold))
        self.detections.append(torch.from_numpy(np.concatenate(rows)).to(self.device))

    def _image(self, graph: SceneGraph, annotation: Annotation) -> dict[str, Any]:
        """What an image adds to the sums."""
        count, true_predicates = len(annotation.relations), annotation.relations[:, 2]
        counts = np.bincount(true_predicates, minlength=self.num_predicates)
        added: dict[str, Any] = {"relations": count, "images_with_relations": int(count > 0)}
        added["predicate_relations"] = counts
        options: Any = {"iou_threshold": self.iou_threshold, "phrases": self.mode == "phrdet"}
        if "pooled" in self.groups or "openimages" in self.groups:
            depth = max(*self.ks, _OPEN_IMAGES_DEPTH)
            hits = image_hits(graph, annotation, depth=depth, distinct=self.distinct, **options)
            added["pooled"] = hits_at(hits.ranks, self.ks).sum(axis=-1)
            added["pooled_open_images"] = (hits.ranks[0] < _OPEN_IMAGES_DEPTH).sum()
        match = relation_matcher(graph, annotation, **options)

        def correct(chosen: np.ndarray | slice) -> np.ndarray:
            return match(graph.pairs[chosen]) & (graph.predicates[chosen, None] == true_predicates)

        if "pairs" in self.groups and count:
            best = np.sort(np.unique(graph.pairs, axis=0, return_index=True)[1])[: self.ks[-1]]
            added["pairs"] = hits_at(first_hits(correct(best)), self.ks).mean(axis=-1)
        if "relative" in self.groups and count:
            depths = [factor * count for factor in FACTORS]
            added["relative"] = hits_at(first_hits(correct(slice(depths[-1]))), depths).mean(axis=-1)
        if "scores" in self.groups:
            top = slice(self.ks[-1])
            right, scores = correct(top).any(axis=1), graph.triplet_scores[top].astype(np.float64).clip(0, 1)
            above = scores >= np.array(THRESHOLDS)[:, None]
            added["above"] = np.stack((above.sum(axis=1), (above & right).sum(axis=1)))
            bins = np.minimum((scores * NUM_BINS).astype(np.int64), NUM_BINS - 1)
            added["bins"] = sum_by_group(np.stack((np.ones(len(bins)), scores, right)), bins, NUM_BINS)
        return added

    def compute(self) -> dict[str, float]:
        """The metrics of the chosen groups over all images of all ranks; see the class for the names."""
        state = {name: getattr(self, name).cpu().numpy() for name in self._defaults if name != "detections"}
        images, results = state["images_with_relations"], dict[str, Any]()

        def add(name: str, keys: Sequence[float], values: np.ndarray) -> None:
            results.update({name.format(key): value for key, value in zip(keys, values, strict=True)})

        with np.errstate(invalid="ignore"):  # 0 / 0 = NaN where nothing contributes
            if "pooled" in self.groups:
                for prefix, recalls in zip(PREFIXES, state["pooled"] / state["relations"], strict=True):
                    add(f"{prefix}pooled-R@{{}}", self.ks, recalls)
            if "pairs" in self.groups:
                add("pair-R@{}", self.ks, state["pairs"] / images)
            if "relative" in self.groups:
                add("relative-R@{}x", FACTORS, state["relative"] / images)
            if "scores" in self.groups:
                predictions, right = state["above"]
                add("precision@{:g}", THRESHOLDS, right / predictions)
                counts, scores, right = state["bins"]
                results["ECE"] = np.abs(right - scores).sum() / counts.sum()
            if "openimages" in self.groups:
                results |= self._open_images(state)
        return {name: float(value) for name, value in results.items()}

    def _open_images(self, state: dict[str, np.ndarray]) -> dict[str, Any]:
        rows = dim_zero_cat(self.detections).cpu().numpy() if len(self.detections) else np.empty((0, 4))
        counts = state["predicate_relations"]
        recall = state["pooled_open_images"] / state["relations"]
        results = {f"pooled-R@{_OPEN_IMAGES_DEPTH}": recall}
        for column, name in ((2, "wmAP_rel"), (3, "wmAP_phr")):
            precisions = np.zeros(self.num_predicates)
            for predicate in np.flatnonzero(counts):
                own = rows[rows[:, 0] == predicate]
                own = own[np.argsort(-own[:, 1], kind="stable")]
                precisions[predicate] = interpolated_precision(own[:, column], counts[predicate])
            results[name] = (precisions * counts).sum() / counts.sum()
        score = 0.2 * recall + 0.4 * results["wmAP_rel"] + 0.4 * results["wmAP_phr"]
        return results | {"score_wtd": score}


def open_images_matches(graph: SceneGraph, annotation: Annotation, iou_threshold: float) -> np.ndarray:
    """Predicate, score, and whether relation and phrase are correct, of each relation: (M, 4) float64.

    A prediction is compared with the annotated relation of its three classes whose overlap is largest: the
    smaller IoU of both boxes, for phrases the IoU of their unions. It is correct if the IoU exceeds the
    threshold and no better prediction was correct for the same relation (Open Images Challenge 2018,
    storage.googleapis.com/openimages/web/vrd_detection_metric.html; code of Zhang et al., CVPR 2019,
    github.com/NVIDIA/ContrastiveLosses4VRD).
    """
    subjects, objects, true_predicates = annotation.relations.T
    pairs, true_pairs = graph.pairs, annotation.relations[:, :2]
    iou = box_iou(graph.boxes, annotation.boxes)
    overlaps = (
        np.minimum(iou[pairs[:, :1], subjects], iou[pairs[:, 1:], objects]),
        box_iou(union_boxes(graph.boxes, pairs), union_boxes(annotation.boxes, true_pairs)),
    )
    same = (graph.labels[pairs][:, None] == annotation.labels[true_pairs]).all(axis=-1)
    same &= graph.predicates[:, None] == true_predicates
    rows = np.zeros((len(pairs), 4))
    rows[:, 0], rows[:, 1] = graph.predicates, graph.triplet_scores
    for column, overlap in enumerate(overlaps, start=2):
        found = np.where(same, overlap, -1.0)
        taken = np.zeros(len(true_pairs), bool)
        for row in np.flatnonzero(same.any(axis=1)):
            best = found[row].argmax()
            rows[row, column] = found[row, best] > iou_threshold and not taken[best]
            taken[best] |= found[row, best] > iou_threshold
    return rows


def interpolated_precision(correct: np.ndarray, num_relations: float) -> float:
    """Area under the precision-recall curve with interpolated precision (Everingham et al., IJCV 2010).

    ``correct`` (N,) is 1 for correct predictions, best first; ``num_relations`` could be found.
    """
    hits = np.cumsum(correct)
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope * correct).sum() / num_relations)
