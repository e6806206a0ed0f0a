"""From a configuration and the data to a model, its loss and its post-processing."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.inference.postprocess import PostProcessor
from speaq.losses.classification import predicate_weights
from speaq.losses.criterion import Criterion
from speaq.matching.groups import QueryGroups, group_queries
from speaq.matching.matcher import Matcher
from speaq.model.backbone import pretrained_backbone_config, resnet_config
from speaq.model.config import ModelConfig
from speaq.model.published import VG_PREDICATE_COUNTS
from speaq.model.speaq import Speaq
from speaq.model.weights import load_matching
from speaq.structures import Vocabulary

logger = logging.getLogger(__name__)

RESNET = "build_resnet_backbone"


def model_config(config: Config, vocabulary: Vocabulary, predicate_counts: np.ndarray) -> ModelConfig:
    """The architecture that a configuration describes, for the classes that the data have.

    Args:
        config: its MODEL and INPUT sections.
        vocabulary: class names.
        predicate_counts: (R,) relations in the training data.
    """
    detr, input_ = config.model.detr, config.input
    _compare_class_counts(config, vocabulary)
    # Without ONLY_PREDICATE_MULTIPLY the entity queries are multiplied too, so that pairs stay one to one.
    entity_factor = 1 if detr.only_predicate_multiply else detr.multiply_query
    return ModelConfig(
        objects=vocabulary.objects,
        predicates=vocabulary.predicates,
        predicate_counts=tuple(int(count) for count in predicate_counts),
        backbone=_backbone_config(config),
        frozen_norm=config.model.resnets.norm == "FrozenBN",
        freeze_at=config.model.backbone.freeze_at,
        hidden_dim=detr.hidden_dim,
        num_heads=detr.nheads,
        feedforward_dim=detr.dim_feedforward,
        encoder_layers=detr.enc_layers,
        decoder_layers=detr.dec_layers,
        dropout=detr.dropout,
        num_queries=detr.num_object_queries * entity_factor,
        query_multiplier=detr.multiply_query // entity_factor,
        reference_points=detr.reference_points,
        dense_head=detr.dense_loss_weight > 0,
        pixel_mean=tuple(config.model.pixel_mean),
        pixel_std=tuple(config.model.pixel_std),
        pixel_order=input_.format,
        min_size=input_.min_size_test,
        max_size=input_.max_size_test,
        nms_threshold=config.model.roi_heads.nms_thresh_test,
    )


def load_initial_weights(model: Speaq, config: Config) -> None:
    """What training starts from: MODEL.WEIGHTS, else the pretrained backbone where a hub model is named.

    MODEL.WEIGHTS is a file, a folder or an id on the hub: see `load_matching`.

    Raises:
        SpeaqError: the weights cannot be read, or do not fit.
    """
    weights, backbone = config.model.weights, config.model.backbone
    if weights:
        report = load_matching(model, weights)
        logger.info("%s: %s", weights, report)
    elif backbone.name != RESNET and backbone.pretrained:
        model.backbone.load_pretrained(backbone.name)


def _backbone_config(config: Config) -> dict[str, Any]:
    resnets = config.model.resnets
    if config.model.backbone.name != RESNET:
        return pretrained_backbone_config(config.model.backbone.name)
    bottleneck = resnets.depth >= 50
    return resnet_config(
        depth=resnets.depth,
        num_stages=max(int(name[-1]) - 1 for name in resnets.out_features),
        stem_width=resnets.stem_out_channels,
        width=resnets.res2_out_channels // 4 if bottleneck else resnets.width_per_group,
        stride_in_1x1=resnets.stride_in_1x1,
    )


def _compare_class_counts(config: Config, vocabulary: Vocabulary) -> None:
    """The data decide; a key that was set to another number is worth a word."""
    detr = config.model.detr
    for key, configured, found in (
        ("MODEL.DETR.NUM_CLASSES", detr.num_classes, len(vocabulary.objects)),
        ("MODEL.DETR.NUM_RELATION_CLASSES", detr.num_relation_classes, len(vocabulary.predicates)),
    ):
        default = type(detr).model_fields[key.rsplit(".", 1)[1].lower()].default
        if configured not in (found, default):
            logger.warning("%s is %d, but the data have %d classes: using %d", key, configured, found, found)


def build_criterion(
    config: Config, model: Speaq, predicate_counts: np.ndarray, source_names: Sequence[str]
) -> Criterion:
    """The loss that a configuration describes.

    Args:
        config: its MODEL.DETR section.
        model: whose queries and classes are matched.
        predicate_counts: (R,) relations in the training data.
        source_names: of the training data.
    """
    detr = config.model.detr
    groups = build_groups(config, model.config, predicate_counts)
    if groups is not None:
        logger.info(
            "query groups: %s predicates, %s entity queries",
            groups.predicates_per_group,
            groups.queries_per_group,
        )
    return Criterion(
        matcher=_build_matcher(config, groups),
        num_objects=len(model.config.objects),
        predicate_weights=_predicate_weights(config, model, _frequencies(config, predicate_counts)),
        no_object_weight=detr.no_object_weight,
        relation_weight=detr.relation_loss_weight,
        l1_weight=detr.l1_weight,
        giou_weight=detr.giou_weight,
        dense_weight=detr.dense_loss_weight,
        deep_supervision=detr.deep_supervision,
        source_names=source_names,
    )


def build_groups(
    config: Config, model: ModelConfig, predicate_counts: Sequence[int] | np.ndarray
) -> QueryGroups | None:
    """Which queries speak of which predicates; None where all speak of all.

    Args:
        config: its MODEL.DETR section.
        model: whose queries are grouped.
        predicate_counts: (R,) relations in the training data.
    """
    if not config.model.detr.use_group_mask:
        return None
    return group_queries(
        counts=_frequencies(config, predicate_counts).tolist(),
        num_groups=config.model.detr.num_groups,
        num_queries=model.num_queries,
        multiplier=model.query_multiplier,
    )


def _frequencies(config: Config, predicate_counts: Sequence[int] | np.ndarray) -> torch.Tensor:
    """The predicate counts (R,) int64 that group queries and weight classes."""
    counts = torch.as_tensor(predicate_counts, dtype=torch.int64)
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
        copies=detr.one2many_k,
        dynamic=detr.one2many_scheme == "dynamic",
        quality_scheme=detr.one2many_dynamic_scheme,
        predicate_weight=detr.one2many_predicate_weight if detr.one2many_predicate_score else 0.0,
        independent=detr.match_independent,
        groups=groups,
    )


def _predicate_weights(config: Config, model: Speaq, counts: torch.Tensor) -> torch.Tensor:
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
        names = [name for name, flag in zip(model.config.predicates, limited.tolist(), strict=True) if flag]
        logger.warning(
            "class weights of %d predicates that (almost) never occur are limited to %g "
            "(MODEL.DETR.MAX_RELATION_WEIGHT): %s",
            len(names),
            detr.max_relation_weight,
            ", ".join(names),
        )
    return weights


def build_postprocessor(config: Config, vocabulary: Vocabulary) -> PostProcessor:
    """The post-processing that a configuration describes."""
    test = config.test
    return PostProcessor(
        num_rel=test.num_rel,
        nms_threshold=config.model.roi_heads.nms_thresh_test,
        pnms=test.pnms,
        pnms_threshold=test.relation.pnms_threshold,
        clip_boxes=test.clip_boxes,
        drop_self_relations=test.relation.drop_self,
        vocabulary=vocabulary,
    )
