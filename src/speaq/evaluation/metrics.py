"""Recall of scene graphs over a data set, as a torchmetrics metric.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from speaq.errors import SpeaqError
from speaq.evaluation.recall import harmonic_mean, hits_at, image_hits, long_tail_groups, mean_by_group
from speaq.evaluation.zero_shot import TripletSet
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

DEPTHS = (20, 50, 100)
"""The default k at which recall is measured."""

PREFIXES = ("", "ng-")
"""Prefixes of recall names, with and without graph constraint, in the order of the states' first axis."""


class SceneGraphMetrics(Metric):
    """Recall, mean recall, zero-shot recall and recall by predicate, over all images seen.

    Images without relations are left out of every mean; an image with relations but without predictions has
    recall 0. All states are float64 sums and counts of fixed size: memory does not grow with the data set,
    and the result depends neither on the batch size nor on how images are distributed over ranks.

    ``compute`` returns, for every k in ``ks`` (recalls in 0..1):

    - ``R@k``: mean over images of the share of their relations hit by the top k predictions;
    - ``mR@k``: per predicate the mean over the images that have it, then the mean over all R predicates,
      where predicates absent from the ground truth count as 0; ``mR-present@k``: over the present ones only
      (Chen et al., CVPR 2019; Tang et al., CVPR 2019);
    - ``F@k``: harmonic mean of R@k and mR@k;
    - ``mR-head@k``, ``mR-body@k``, ``mR-tail@k``: as mR@k, over the predicates of `long_tail_groups` (only
      with ``predicate_counts``), so that mR@k is their mean weighted by size;
    - ``zR@k``: R@k over zero-shot relations only, and over the images that have any (only with a set of
      triplets; Lu et al., ECCV 2016);
    - the same names with the prefix ``ng-``, except F: without graph constraint;
    - ``images``, ``images_with_relations``, ``images_with_zero_shot``: counts;
    - ``per_predicate`` and ``ng-per_predicate``: (R, len(ks)) float64 tensors, recall of every predicate, NaN
      where it is absent; ``per_predicate_images``: (R,) int64, images that have it.

    The set of names depends on the settings only; a value to which no image contributes is NaN.

    Args:
        num_predicates: R.
        ks: the depths, ascending; only the top ``ks[-1]`` predictions of an image count.
        iou_threshold: minimum IoU of a predicted box with its ground-truth box.
        zero_shot_triplets: (Z, 3) (subject class, object class, predicate) absent from training.
        seen_triplets: (Z, 3) the opposite: triplets of the training set, all others are zero-shot. Give at
            most one of the two; without either there is no zero-shot recall.
        predicate_counts: (R,) training relations per predicate, for head, body and tail.

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
        for name, shape in {
            "images": (),
            "images_with_relations": (),
            "images_with_zero_shot": (),
            "predicate_images": (num_predicates,),
            "recall_sum": (len(PREFIXES), len(self.ks)),
            "zero_shot_sum": (len(PREFIXES), len(self.ks)),
            "predicate_sum": (len(PREFIXES), len(self.ks), num_predicates),
        }.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, graphs: Sequence[SceneGraph], annotations: Sequence[Annotation]) -> None:
        """Add images.

        Args:
            graphs: predictions, relations sorted best first, boxes in pixels of the original image.
            annotations: the ground truth of the same images.

        Raises:
            SpeaqError: a graph or its ground truth has another number of predicates.
        """
        sums = {name: np.zeros(getattr(self, name).shape) for name in self._defaults}
        for graph, annotation in zip(graphs, annotations, strict=True):
            self.check(graph, annotation)
            self._add_image(sums, graph, annotation)
        for name, value in sums.items():
            state = getattr(self, name)
            setattr(self, name, state + torch.from_numpy(value).to(state.device))

    def check(self, graph: SceneGraph, annotation: Annotation) -> None:
        """Check that prediction and ground truth have the predicates of this metric.

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
        if not len(annotation.relations):
            return
        ranks = image_hits(graph, annotation, depth=max(self.ks), iou_threshold=self.iou_threshold).ranks
        hits = hits_at(ranks, self.ks)
        sums["images_with_relations"] += 1
        sums["recall_sum"] += hits.mean(axis=-1)
        present, recalls = mean_by_group(hits, annotation.relations[:, 2])
        sums["predicate_images"][present] += 1
        sums["predicate_sum"][..., present] += recalls
        zero_shot = self.zero_shot(annotation)
        if zero_shot.any():
            sums["images_with_zero_shot"] += 1
            sums["zero_shot_sum"] += hits[..., zero_shot].mean(axis=-1)

    def zero_shot(self, annotation: Annotation) -> np.ndarray:
        """Which relations of the image are zero-shot, (M,) bool; none of them without a set of triplets."""
        subjects, objects, predicates = annotation.relations.T
        triplets = np.stack((annotation.labels[subjects], annotation.labels[objects], predicates), axis=-1)
        if self._unseen is not None:
            return self._unseen.contains(triplets)
        if self._seen is not None:
            return ~self._seen.contains(triplets)
        return np.zeros(len(triplets), bool)

    def compute(self) -> dict[str, float | Tensor]:
        """The recalls over all images of all ranks; see the class for the names."""
        state = {name: getattr(self, name).cpu().numpy() for name in self._defaults}
        has_zero_shot = self._unseen is not None or self._seen is not None
        with np.errstate(invalid="ignore"):  # 0 / 0 = NaN where no image contributes
            recalls = named_recalls(
                self.ks,
                self.groups,
                recall=state["recall_sum"] / state["images_with_relations"],
                per_predicate=state["predicate_sum"] / state["predicate_images"],
                zero_shot=state["zero_shot_sum"] / state["images_with_zero_shot"] if has_zero_shot else None,
            )
        results: dict[str, float | Tensor] = {
            name: int(state[name]) for name in ("images", "images_with_relations", "images_with_zero_shot")
        }
        for name, value in recalls.items():
            results[name] = torch.from_numpy(value) if name.endswith("per_predicate") else value.item()
        return results | {"per_predicate_images": torch.from_numpy(state["predicate_images"]).long()}


def named_recalls(
    ks: Sequence[int],
    groups: Mapping[str, np.ndarray],
    *,
    recall: np.ndarray,
    per_predicate: np.ndarray,
    zero_shot: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Mean recalls and harmonic means from recalls over images, under the names of `SceneGraphMetrics`.

    Args:
        ks: the depths.
        groups: predicates of head, body and tail.
        recall: (2, len(ks), ...) recall with and without graph constraint. Further axes, such as bootstrap
            samples, are kept.
        per_predicate: (2, len(ks), R, ...) recall of every predicate, NaN where it is absent.
        zero_shot: (2, len(ks), ...) recall over zero-shot relations; omitted from the result if None.

    Returns:
        Arrays (...), and for ``per_predicate`` and ``ng-per_predicate`` (R, len(ks), ...).

    Examples:
        >>> per_predicate = np.array([[[1.0, 0.5, np.nan]], [[1.0, 1.0, np.nan]]])
        >>> recalls = named_recalls([20], {}, recall=np.array([[0.75], [1.0]]), per_predicate=per_predicate)
        >>> recalls["mR@20"].item(), recalls["mR-present@20"].item(), round(recalls["F@20"].item(), 3)
        (0.5, 0.75, 0.6)
    """
    results: dict[str, np.ndarray] = {}
    for index, prefix in enumerate(PREFIXES):
        table = per_predicate[index]
        counted = np.nan_to_num(table)
        by_name = {
            "R": recall[index],
            "mR": counted.mean(axis=1),
            "mR-present": _nanmean(table),
            **{f"mR-{group}": _nanmean(counted[:, members]) for group, members in groups.items()},
        }
        if zero_shot is not None:
            by_name["zR"] = zero_shot[index]
        for name, values in by_name.items():
            results |= {f"{prefix}{name}@{k}": value for k, value in zip(ks, values, strict=True)}
        results[f"{prefix}per_predicate"] = table.swapaxes(0, 1)
    results |= {f"F@{k}": np.asarray(harmonic_mean(results[f"R@{k}"], results[f"mR@{k}"])) for k in ks}
    return results


def _nanmean(table: np.ndarray) -> np.ndarray:
    """Means over the second axis, NaN where there is no value (numpy's would warn)."""
    known = ~np.isnan(table)
    with np.errstate(invalid="ignore"):
        return np.where(known, table, 0.0).sum(axis=1) / known.sum(axis=1)
