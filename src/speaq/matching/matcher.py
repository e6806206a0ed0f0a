"""Hungarian matching with query groups and quality-aware multi-assignment (SpeaQ, CVPR 2024, section 3).

Shape letters: see `speaq.structures`; M is the relations of the whole batch here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from speaq.errors import SpeaqError
from speaq.matching.cost import LogProbabilities, PairCost, Relations, pair_cost
from speaq.matching.groups import QueryGroups
from speaq.structures import RawOutput

# Added to the cost of a query outside the relation's group. In float32 this rounds the cost itself to
# multiples of 0.06, which decides among queries outside the group: part of the published algorithm.
OUT_OF_GROUP_COST = 1e6

Scheme = Literal["static", "dynamic"]
QualityScheme = Literal["min", "max", "gm", "am"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Matched (layer, image, query, relation) indices.

    Attributes:
        layer, image, query, relation: (K,) int64; predicate query ``query`` of image ``image`` is matched in
            layer ``layer`` with relation ``relation`` of the batch.
        num_copies: (L, M) float32, k: how many queries each relation is to be assigned to.
    """

    layer: Tensor
    image: Tensor
    query: Tensor
    relation: Tensor
    num_copies: Tensor


def quality(
    subject_iou: Tensor,
    object_iou: Tensor,
    predicate_probability: Tensor,
    *,
    scheme: QualityScheme,
    predicate_weight: float,
    in_group: Tensor | None = None,
) -> Tensor:
    """Quality of each query for each relation (SpeaQ, section 3.3): f(IoU_s, IoU_o) + predicate_weight *
    prob.

    Args:
        subject_iou: (L, M, Q) IoU of the query's and the relation's subject boxes.
        object_iou: (L, M, Q) IoU of their object boxes.
        predicate_probability: (L, M, P) probability of the relation's predicate.
        scheme: f: minimum, maximum, geometric or arithmetic mean.
        predicate_weight: weight of the probability; 0 leaves it out.
        in_group: (M, P) bool; outside the group IoUs count as 0, while the predicate term stays.

    Returns:
        (L, M, P).
    """
    if scheme == "min":
        iou = torch.minimum(subject_iou, object_iou)
    elif scheme == "max":
        iou = torch.maximum(subject_iou, object_iou)
    elif scheme == "gm":
        iou = (subject_iou * object_iou).sqrt()
    else:
        iou = (subject_iou + object_iou) / 2
    iou = iou.repeat_interleave(predicate_probability.shape[-1] // iou.shape[-1], dim=-1)
    if in_group is not None:
        iou = iou * in_group
    return iou + predicate_weight * predicate_probability


class Matcher:
    """Assigns predicate queries to ground-truth relations.

    Every relation is repeated k times before the Hungarian matching, so that it can be matched with k
    queries.

    Args:
        class_weight: weight of the class probabilities in the cost (MODEL.DETR.COST_CLASS).
        l1_weight: weight of the L1 distances in the cost (L1_WEIGHT).
        giou_weight: weight of the generalised IoUs in the cost (GIOU_WEIGHT).
        one2many_scheme: "static": k = one2many_k; "dynamic": k is the sum of the one2many_k largest
            qualities, truncated, at least 1 (ONE2MANY_SCHEME).
        one2many_k: see above (ONE2MANY_K).
        quality_scheme: f of `quality` (ONE2MANY_DYNAMIC_SCHEME).
        predicate_weight: weight of the predicate's probability in the quality (ONE2MANY_PREDICATE_WEIGHT).
        match_independent: match every layer by its own costs, instead of all layers by the sum of their costs
            (MATCH_INDEPENDENT).
        groups: groups of queries and predicates; None for no groups (USE_GROUP_MASK).

    Raises:
        SpeaqError: the dynamic scheme without match_independent.
    """

    def __init__(
        self,
        *,
        class_weight: float,
        l1_weight: float,
        giou_weight: float,
        one2many_scheme: Scheme,
        one2many_k: int,
        quality_scheme: QualityScheme,
        predicate_weight: float,
        match_independent: bool,
        groups: QueryGroups | None,
    ):
        if one2many_scheme == "dynamic" and not match_independent:
            raise SpeaqError(
                "MODEL.DETR.ONE2MANY_SCHEME dynamic needs MODEL.DETR.MATCH_INDEPENDENT True: the number of "
                "queries per relation differs from layer to layer"
            )
        self.class_weight = class_weight
        self.l1_weight = l1_weight
        self.giou_weight = giou_weight
        self.one2many_scheme: Scheme = one2many_scheme
        self.one2many_k = one2many_k
        self.quality_scheme: QualityScheme = quality_scheme
        self.predicate_weight = predicate_weight
        self.match_independent = match_independent
        self.groups = groups

    @torch.no_grad()
    def __call__(
        self, output: RawOutput, relations: Relations, log_probabilities: LogProbabilities | None = None
    ) -> Assignment:
        """Match the queries of L layers with the M relations of a batch.

        An image with non-finite costs is matched arbitrarily: its loss is not finite either and is reported
        there.

        Args:
            output: of L layers.
            relations: M relations.
            log_probabilities: of the output's classes, if they have been computed before.
        """
        pairs = pair_cost(
            output,
            log_probabilities or LogProbabilities.from_output(output),
            relations,
            class_weight=self.class_weight,
            l1_weight=self.l1_weight,
            giou_weight=self.giou_weight,
        )
        cost = pairs.cost.float()
        in_group = self._in_group(relations.predicates)
        num_copies = self._num_copies(pairs, in_group)
        if in_group is not None:
            cost = cost + OUT_OF_GROUP_COST * (~in_group)
        if not self.match_independent:
            cost = cost.sum(0, keepdim=True)
        # One device-to-host copy for costs and numbers of copies together.
        packed = torch.cat((cost.flatten(), num_copies.flatten().to(cost.dtype))).cpu().numpy()
        host_cost = packed[: cost.numel()].reshape(cost.shape)
        host_cost = np.nan_to_num(host_cost, nan=0.0, posinf=1e9, neginf=-1e9)
        host_copies = packed[cost.numel() :].reshape(num_copies.shape).astype(np.int64)
        matches = [
            _hungarian(layer_cost, layer_copies, relations.counts)
            for layer_cost, layer_copies in zip(host_cost, host_copies, strict=False)
        ]
        return self._assignment(matches, num_copies, num_layers=output.predicate_logits.shape[0])

    def _in_group(self, predicates: Tensor) -> Tensor | None:
        """(M, P) bool: whether the query is in the group of the relation's predicate."""
        if self.groups is None:
            return None
        device = predicates.device
        group_of_predicate = torch.tensor(self.groups.group_of_predicate, device=device)
        group_of_query = torch.tensor(self.groups.group_of_query, device=device)
        return group_of_predicate[predicates][:, None] == group_of_query[None, :]

    def _num_copies(self, pairs: PairCost, in_group: Tensor | None) -> Tensor:
        """(L, M) float: k, how often each relation is repeated."""
        num_layers, num_relations, num_queries = pairs.predicate_probability.shape
        if self.one2many_scheme == "static":
            return torch.full((num_layers, num_relations), float(self.one2many_k), device=pairs.cost.device)
        qualities = quality(
            pairs.subject_iou,
            pairs.object_iou,
            pairs.predicate_probability,
            scheme=self.quality_scheme,
            predicate_weight=self.predicate_weight,
            in_group=in_group,
        )
        largest = qualities.topk(min(self.one2many_k, num_queries), dim=-1).values
        return largest.sum(-1).nan_to_num(0.0).trunc().clamp(min=1)

    def _assignment(self, matches: "list[np.ndarray]", num_copies: Tensor, num_layers: int) -> Assignment:
        if not self.match_independent:
            matches = matches * num_layers
        layer = np.repeat(np.arange(num_layers), [match.shape[1] for match in matches])
        table = torch.from_numpy(np.concatenate((layer[None], np.concatenate(matches, axis=1))))
        layer, image, query, relation = table.to(num_copies.device, non_blocking=True)
        return Assignment(layer=layer, image=image, query=query, relation=relation, num_copies=num_copies)


def _hungarian(cost: np.ndarray, num_copies: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Hungarian matching of each image in one layer.

    Args:
        cost: (M, P).
        num_copies: (M,) how often each relation is repeated.
        counts: B numbers of relations per image.

    Returns:
        (3, K) int64: image, query, relation. Where copies outnumber queries, the solver drops the excess.
    """
    matches, first = [np.empty((3, 0), dtype=np.int64)], 0
    for image, count in enumerate(counts):
        if count:
            relation = np.repeat(np.arange(first, first + count), num_copies[first : first + count])
            queries, columns = linear_sum_assignment(cost[relation].T)
            matches.append(np.stack((np.full_like(queries, image), queries, relation[columns])))
        first += count
    return np.concatenate(matches, axis=1)
