"""Recall of scene graphs as a torchmetrics metric: sums over images, exact over any number of ranks.

M: true relations of an image, R: predicate classes, K: number of depths k.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from speaq.errors import SpeaqError
from speaq.evaluation.recall import (
    harmonic_mean,
    image_ranks,
    long_tail_groups,
    recall_at,
    recall_by_predicate,
)
from speaq.evaluation.zero_shot import TripletSet
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

DEPTHS = (20, 50, 100)
"""The k at which recall is measured unless other ones are asked for."""

PREFIXES = ("", "ng-")
"""Of the names of figures with and without graph constraint, in the order of the states' first axis."""


class SceneGraphMetrics(Metric):
    """Recall, mean recall, zero-shot recall and their relatives, over all images seen.

    Images without relations are left out of every mean; an image with relations and no prediction has
    recall 0. All states are float64 sums and counts of fixed size: memory does not grow with the data set,
    and the result depends neither on the batch size nor on how images are shared among ranks.

    ``compute`` returns, for every k in ``ks`` (recalls in 0..1):

    - ``R@k``: mean over images of the share of their relations hit by the first k predictions;
    - ``mR@k``: per predicate the mean over the images that have it, then the mean over all R predicates,
      of which those absent from the ground truth count 0; ``mR-present@k``: over the present ones only;
    - ``F@k``: harmonic mean of R@k and mR@k;
    - ``mR-head@k``, ``mR-body@k``, ``mR-tail@k``: as mR@k, over the predicates of ``long_tail_groups``
      (where ``predicate_counts`` are given), so that mR@k is their mean weighted by size;
    - ``zR@k``: R@k over zero-shot relations only, and over the images that have any (where a set of
      triplets is given);
    - the same names with ``ng-`` in front, except F: without graph constraint;
    - ``images``, ``images_with_relations``, ``images_with_zero_shot``: how many;
    - ``per_predicate`` and ``ng-per_predicate``: (R, K) float64 tensors, recall of every predicate, NaN
      where it is absent; ``per_predicate_images``: (R,) int64, images that have it.

    The names depend on the settings only; a figure to which no image contributes is NaN.

    Args:
        num_predicates: R.
        ks: the depths, ascending; the longest list considered has the last one's length.
        iou_threshold: the least IoU of a predicted box with its true box.
        zero_shot_triplets: (Z, 3) (subject class, object class, predicate) that training never showed.
        seen_triplets: (T, 3) the opposite: what training showed, so that all others are zero-shot. Give at
            most one of the two; without either there is no zero-shot recall.
        predicate_counts: (R,) training relations per predicate, for head, body and tail.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    images: Tensor
    images_with_relations: Tensor
    images_with_zero_shot: Tensor
    predicate_images: Tensor
    recall_sum: Tensor
    zero_shot_sum: Tensor
    predicate_sum: Tensor

    def __init__(
        self,
        *,
        num_predicates: int,
        ks: Sequence[int] = DEPTHS,
        iou_threshold: float = 0.5,
        zero_shot_triplets: np.ndarray | None = None,
        seen_triplets: np.ndarray | None = None,
        predicate_counts: np.ndarray | None = None,
    ):
        super().__init__()
        if zero_shot_triplets is not None and seen_triplets is not None:
            raise ValueError("give zero_shot_triplets or seen_triplets, not both")
        self.num_predicates = num_predicates
        self.ks = tuple(ks)
        self.iou_threshold = iou_threshold
        self.groups = {} if predicate_counts is None else long_tail_groups(predicate_counts)
        self._unseen = None if zero_shot_triplets is None else TripletSet(zero_shot_triplets)
        self._seen = None if seen_triplets is None else TripletSet(seen_triplets)
        lists, depths = len(PREFIXES), len(self.ks)
        for name, shape in {
            "images": (),
            "images_with_relations": (),
            "images_with_zero_shot": (),
            "predicate_images": (num_predicates,),
            "recall_sum": (lists, depths),
            "zero_shot_sum": (lists, depths),
            "predicate_sum": (lists, num_predicates, depths),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images.

        Args:
            graphs: predictions, relations sorted best first, boxes in pixels of the original image.
            annotations: the ground truth of the same images.

        Raises:
            SpeaqError: a graph or its ground truth does not belong to this set of predicates.
        """
        sums = {name: np.zeros(getattr(self, name).shape) for name in self._defaults}
        for graph, annotation in zip(graphs, annotations, strict=True):
            self.check(graph, annotation)
            self._add_image(sums, graph, annotation)
        for name, value in sums.items():
            state = getattr(self, name)
            setattr(self, name, state + torch.from_numpy(value).to(state.device))

    def check(self, graph: SceneGraph, annotation: Annotation) -> None:
        """See that both belong to this set of predicates.

        Raises:
            SpeaqError: one of them does not.
        """
        predicted = graph.predicate_probs.shape[1] - 1
        present = annotation.relations[:, 2].max(initial=-1) + 1
        if predicted != self.num_predicates or present > self.num_predicates:
            raise SpeaqError(
                f"image {annotation.image_id}: expected {self.num_predicates} predicate classes, found "
                f"{predicted} in the prediction and at least {present} in the ground truth; "
                f"the model and the data set must share one vocabulary"
            )

    def _add_image(self, sums: dict[str, np.ndarray], graph: SceneGraph, annotation: Annotation) -> None:
        sums["images"] += 1
        relations = annotation.relations
        if not len(relations):
            return
        ranks = image_ranks(graph, annotation, depth=max(self.ks), iou_threshold=self.iou_threshold)
        sums["images_with_relations"] += 1
        sums["recall_sum"] += recall_at(ranks, self.ks)
        present, recalls = recall_by_predicate(ranks, relations[:, 2], self.ks)
        sums["predicate_images"][present] += 1
        sums["predicate_sum"][:, present] += recalls
        zero_shot = self.zero_shot(annotation)
        if zero_shot.any():
            sums["images_with_zero_shot"] += 1
            sums["zero_shot_sum"] += recall_at(ranks[:, zero_shot], self.ks)

    def zero_shot(self, annotation: Annotation) -> np.ndarray:
        """Which relations of the image are zero-shot: (M,) bool; none where no set of triplets was given."""
        subjects, objects, predicates = annotation.relations.T
        triplets = np.stack((annotation.labels[subjects], annotation.labels[objects], predicates), axis=-1)
        if self._unseen is not None:
            return self._unseen.contains(triplets)
        if self._seen is not None:
            return ~self._seen.contains(triplets)
        return np.zeros(len(triplets), bool)

    def compute(self) -> dict[str, float | Tensor]:
        """The figures over all images of all ranks; the class says which."""
        results: dict[str, Any] = {
            name: int(getattr(self, name))
            for name in ("images", "images_with_relations", "images_with_zero_shot")
        }
        per_predicate = self.predicate_sum / self.predicate_images[:, None]  # 0 / 0 = NaN where absent
        for index, prefix in enumerate(PREFIXES):
            results |= self._by_depth(f"{prefix}R", self.recall_sum[index] / self.images_with_relations)
            results |= self._mean_recalls(prefix, per_predicate[index])
            if self._unseen is not None or self._seen is not None:
                zero_shot = self.zero_shot_sum[index] / self.images_with_zero_shot
                results |= self._by_depth(f"{prefix}zR", zero_shot)
            results[f"{prefix}per_predicate"] = per_predicate[index]
        results |= {f"F@{k}": harmonic_mean(results[f"R@{k}"], results[f"mR@{k}"]) for k in self.ks}
        return results | {"per_predicate_images": self.predicate_images.long()}

    def _mean_recalls(self, prefix: str, per_predicate: Tensor) -> dict[str, float]:
        """Means over predicates, from the recall of each, (R, K)."""
        counted = per_predicate.nan_to_num(0.0)
        results = self._by_depth(f"{prefix}mR", counted.mean(dim=0))
        results |= self._by_depth(f"{prefix}mR-present", per_predicate.nanmean(dim=0))
        for group, predicates in self.groups.items():
            results |= self._by_depth(f"{prefix}mR-{group}", counted[predicates].mean(dim=0))
        return results

    def _by_depth(self, name: str, values: Tensor) -> dict[str, float]:
        return {f"{name}@{k}": value for k, value in zip(self.ks, values.tolist(), strict=True)}
