"""The matcher of SpeaQ: which queries learn which relations.

L: layers, B: images, T: relations of all images, Q: entity queries, P: predicate queries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from speaq.errors import SpeaqError
from speaq.matching.cost import PairCost, Relations, pair_cost
from speaq.matching.groups import QueryGroups
from speaq.structures import Match, RawOutput

# Added to the cost of a query outside the relation's group. In float32 it leaves steps of 0.06 of the cost
# itself, which decide among queries outside the group: part of the published algorithm.
OUTSIDE_GROUP = 1e6

QualityScheme = Literal["min", "max", "gm", "am"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who answers for what, in all layers.

    Attributes:
        layer, image, query, relation: (K,) int64; query ``query`` of image ``image`` answers in layer
            ``layer`` for relation ``relation`` of the batch's row of relations.
        copies: (L, T) float32, how many queries each relation asked for.
    """

    layer: Tensor
    image: Tensor
    query: Tensor
    relation: Tensor
    copies: Tensor

    def matches(self, layer: int, counts: Sequence[int]) -> list[Match]:
        """The assignment of one layer, image by image; ``counts`` are the relations per image."""
        first, result = 0, []
        for image, count in enumerate(counts):
            chosen = (self.layer == layer) & (self.image == image)
            result.append(Match(self.query[chosen], self.relation[chosen] - first))
            first += count
        return result


def quality(
    subject_iou: Tensor,
    object_iou: Tensor,
    predicate_probability: Tensor,
    *,
    scheme: QualityScheme,
    predicate_weight: float,
    in_group: Tensor | None = None,
) -> Tensor:
    """Quality of a query for a relation (SpeaQ, section 3.3): f(IoU_s, IoU_o) + predicate_weight * prob.

    Args:
        subject_iou: (L, T, P) of the query's and the relation's subject boxes.
        object_iou: (L, T, P) of their object boxes.
        predicate_probability: (L, T, P) of the relation's predicate.
        scheme: f: minimum, maximum, geometric or arithmetic mean.
        predicate_weight: 0 leaves the predicate out.
        in_group: (T, P) bool; IoUs outside the group count as 0, the predicate term does not change.

    Returns:
        (L, T, P).
    """
    if scheme == "min":
        overlap = torch.minimum(subject_iou, object_iou)
    elif scheme == "max":
        overlap = torch.maximum(subject_iou, object_iou)
    elif scheme == "gm":
        overlap = (subject_iou * object_iou).sqrt()
    else:
        overlap = (subject_iou + object_iou) / 2
    if in_group is not None:
        overlap = overlap * in_group
    return overlap + predicate_weight * predicate_probability


class Matcher:
    """Hungarian matching with groups and multi-assignment (SpeaQ, CVPR 2024, section 3).

    Args:
        class_weight, l1_weight, giou_weight: weights of the cost terms.
        copies: ONE2MANY_K, how often a relation is repeated (static) or how many of the best qualities are
            summed to decide that (dynamic).
        dynamic: decide the number of copies by quality.
        quality_scheme: how the two IoUs become one number.
        predicate_weight: of the predicate's probability in the quality; 0 leaves it out.
        independent: match every layer alone, instead of all layers by the sum of their costs.
        groups: queries of a relation's group come first; None for no groups.

    Raises:
        SpeaqError: dynamic without independent.
    """

    def __init__(
        self,
        *,
        class_weight: float = 1.0,
        l1_weight: float = 5.0,
        giou_weight: float = 2.0,
        copies: int = 1,
        dynamic: bool = False,
        quality_scheme: QualityScheme = "min",
        predicate_weight: float = 0.0,
        independent: bool = False,
        groups: QueryGroups | None = None,
    ):
        if dynamic and not independent:
            raise SpeaqError(
                "MODEL.DETR.ONE2MANY_SCHEME dynamic needs MODEL.DETR.MATCH_INDEPENDENT True: the number of "
                "copies differs from layer to layer"
            )
        self.class_weight = class_weight
        self.l1_weight = l1_weight
        self.giou_weight = giou_weight
        self.copies = copies
        self.dynamic = dynamic
        self.quality_scheme: QualityScheme = quality_scheme
        self.predicate_weight = predicate_weight
        self.independent = independent
        self.groups = groups

    @torch.no_grad()
    def __call__(self, output: RawOutput, relations: Relations) -> Assignment:
        """Assign queries to the relations of a batch.

        An image whose costs are not finite is matched arbitrarily: its loss is not finite either, and
        that is where it is found and reported.
        """
        pairs = pair_cost(
            output,
            relations,
            class_weight=self.class_weight,
            l1_weight=self.l1_weight,
            giou_weight=self.giou_weight,
        )
        cost = pairs.cost.float()
        in_group = self._in_group(relations.predicates)
        copies = self._copies(pairs, in_group)
        if in_group is not None:
            cost = cost + OUTSIDE_GROUP * (~in_group)
        if not self.independent:
            cost = cost.sum(0, keepdim=True)
        # The only transfer from the device: costs and copies together.
        host = torch.cat((cost.flatten(), copies.flatten().to(cost.dtype))).cpu().numpy()
        host_cost = np.nan_to_num(host[: cost.numel()].reshape(cost.shape), nan=0.0, posinf=1e9, neginf=-1e9)
        host_copies = host[cost.numel() :].reshape(copies.shape).astype(np.int64)
        rows = [_solve(c, k, relations.counts) for c, k in zip(host_cost, host_copies, strict=False)]
        return self._assignment(rows, copies, output.predicate_logits.shape[0])

    def _in_group(self, predicates: Tensor) -> Tensor | None:
        """(T, P) bool: whether the query is of the relation's group."""
        if self.groups is None:
            return None
        device = predicates.device
        of_predicate = torch.tensor(self.groups.group_of_predicate, device=device)
        of_query = torch.tensor(self.groups.group_of_query, device=device)
        return of_predicate[predicates][:, None] == of_query[None, :]

    def _copies(self, pairs: PairCost, in_group: Tensor | None) -> Tensor:
        """(L, T) float: how many queries every relation asks for."""
        layers, num_relations, num_queries = pairs.predicate_probability.shape
        if not self.dynamic:
            return torch.full((layers, num_relations), float(self.copies), device=pairs.cost.device)
        m = num_queries // pairs.subject_iou.shape[-1]
        qualities = quality(
            pairs.subject_iou.repeat_interleave(m, dim=-1),
            pairs.object_iou.repeat_interleave(m, dim=-1),
            pairs.predicate_probability,
            scheme=self.quality_scheme,
            predicate_weight=self.predicate_weight,
            in_group=in_group,
        )
        best = qualities.topk(min(self.copies, num_queries), dim=-1).values.sum(-1)
        return best.nan_to_num(0.0).trunc().clamp(min=1)

    def _assignment(self, rows: "list[np.ndarray]", copies: Tensor, num_layers: int) -> Assignment:
        if not self.independent:
            rows = rows * num_layers
        layer = np.repeat(np.arange(num_layers), [row.shape[1] for row in rows])
        table = torch.from_numpy(np.concatenate((layer[None], np.concatenate(rows, axis=1))))
        layer, image, query, relation = table.to(copies.device, non_blocking=True)
        return Assignment(layer=layer, image=image, query=query, relation=relation, copies=copies)


def _solve(cost: np.ndarray, copies: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Match each image of one layer.

    Args:
        cost: (T, P).
        copies: (T,) how often each relation is repeated.
        counts: B relations per image.

    Returns:
        (3, K) int64: image, query, relation. Where copies outnumber queries the solver drops the excess.
    """
    found, first = [np.empty((3, 0), dtype=np.int64)], 0
    for image, count in enumerate(counts):
        if count:
            relation = np.repeat(np.arange(first, first + count), copies[first : first + count])
            queries, columns = linear_sum_assignment(cost[relation].T)
            found.append(np.stack((np.full_like(queries, image), queries, relation[columns])))
        first += count
    return np.concatenate(found, axis=1)
