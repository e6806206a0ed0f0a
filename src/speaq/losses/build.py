"""From a configuration to the matcher and the criterion."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.losses.classification import predicate_weights
from speaq.losses.criterion import Criterion
from speaq.matching.groups import QueryGroups, group_queries
from speaq.matching.matcher import Matcher
from speaq.matching.published import VG_PREDICATE_COUNTS
from speaq.model.config import ModelConfig

logger = logging.getLogger(__name__)


def build_criterion(
    config: Config, model: ModelConfig, predicate_counts: np.ndarray, source_names: Sequence[str]
) -> Criterion:
    """The loss that a configuration describes.

    Args:
        config: its MODEL.DETR section.
        model: the architecture, whose queries and classes are matched.
        predicate_counts: (R,) relations in the training data.
        source_names: of the training data.
    """
    detr = config.model.detr
    groups = build_groups(config, model, predicate_counts)
    if groups is not None:
        logger.info(
            "query groups: %s predicates, %s entity queries",
            groups.predicates_per_group,
            groups.queries_per_group,
        )
    return Criterion(
        matcher=_build_matcher(config, groups),
        num_objects=len(model.objects),
        predicate_weights=_predicate_weights(config, model, _frequencies(config, predicate_counts)),
        no_object_weight=detr.no_object_weight,
        relation_loss_weight=detr.relation_loss_weight,
        l1_weight=detr.l1_weight,
        giou_weight=detr.giou_weight,
        dense_loss_weight=detr.dense_loss_weight,
        deep_supervision=detr.deep_supervision,
        source_names=source_names,
    )


def build_groups(
    config: Config, model: ModelConfig, predicate_counts: Sequence[int] | np.ndarray
) -> QueryGroups | None:
    """Groups of queries and predicates (MODEL.DETR.USE_GROUP_MASK); None for no groups.

    Args:
        config: its MODEL.DETR section.
        model: whose queries are grouped.
        predicate_counts: (R,) relations in the training data, rounded here as in the saved model.
    """
    if not config.model.detr.use_group_mask:
        return None
    return group_queries(
        counts=_frequencies(config, np.rint(predicate_counts).astype(np.int64)).tolist(),
        num_groups=config.model.detr.num_groups,
        num_queries=model.num_queries,
        multiplier=model.query_multiplier,
    )


def _frequencies(config: Config, predicate_counts: Sequence[int] | np.ndarray) -> torch.Tensor:
    """The predicate counts (R,) that group queries and weight classes."""
    counts = torch.as_tensor(predicate_counts)
    if config.model.detr.predicate_frequencies == "train":
        return counts
    if len(VG_PREDICATE_COUNTS) != len(counts):
        raise SpeaqError(
            f"MODEL.DETR.PREDICATE_FREQUENCIES published is a table of {len(VG_PREDICATE_COUNTS)} "
            f"predicates of Visual Genome, but these data have {len(counts)}: set it to train"
        )
    return torch.tensor(VG_PREDICATE_COUNTS)


def _build_matcher(config: Config, groups: QueryGroups | None) -> Matcher:
    detr = config.model.detr
    return Matcher(
        class_weight=detr.cost_class,
        l1_weight=detr.l1_weight,
        giou_weight=detr.giou_weight,
        one2many_scheme=detr.one2many_scheme,
        one2many_k=detr.one2many_k,
        quality_scheme=detr.one2many_dynamic_scheme,
        predicate_weight=detr.one2many_predicate_weight if detr.one2many_predicate_score else 0.0,
        match_independent=detr.match_independent,
        groups=groups,
    )


def _predicate_weights(config: Config, model: ModelConfig, counts: torch.Tensor) -> torch.Tensor:
    detr = config.model.detr
    if not detr.reweight_relations:
        weights = torch.ones(len(counts) + 1)
        weights[-1] = detr.reweight_rel_eos_coef
        return weights
    weights, limited = predicate_weights(
        counts,
        threshold=detr.oversample_param,
        power=detr.undersample_param,
        no_relation=detr.reweight_rel_eos_coef,
        maximum=detr.max_relation_weight,
    )
    if limited.any():
        names = [name for name, flag in zip(model.predicates, limited.tolist(), strict=True) if flag]
        logger.warning(
            "class weights of %d predicates that (almost) never occur are limited to %g "
            "(MODEL.DETR.MAX_RELATION_WEIGHT): %s",
            len(names),
            detr.max_relation_weight,
            ", ".join(names),
        )
    return weights
