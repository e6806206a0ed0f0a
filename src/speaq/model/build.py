"""From a configuration and the classes of the data to the architecture of the model."""

import logging
from typing import Any

import numpy as np

from speaq.config import Config
from speaq.model.backbone import pretrained_backbone_config, resnet_config
from speaq.model.config import ModelConfig
from speaq.structures import Vocabulary

logger = logging.getLogger(__name__)

RESNET = "build_resnet_backbone"


def model_config(config: Config, vocabulary: Vocabulary, predicate_counts: np.ndarray) -> ModelConfig:
    """The architecture of a configuration, with the classes of the data.

    Args:
        config: its MODEL and INPUT sections.
        vocabulary: class names.
        predicate_counts: (R,) relations in the training data, rounded to integers here.
    """
    detr, input_ = config.model.detr, config.input
    _compare_class_counts(config, vocabulary)
    # Without ONLY_PREDICATE_MULTIPLY the entity queries are multiplied too, so that pairs stay one to one.
    entity_factor = 1 if detr.only_predicate_multiply else detr.multiply_query
    return ModelConfig(
        objects=vocabulary.objects,
        predicates=vocabulary.predicates,
        predicate_counts=tuple(round(float(count)) for count in predicate_counts),
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
    """Warn of a configured number of classes that differs from the data."""
    detr = config.model.detr
    for key, configured, found in (
        ("MODEL.DETR.NUM_CLASSES", detr.num_classes, len(vocabulary.objects)),
        ("MODEL.DETR.NUM_RELATION_CLASSES", detr.num_relation_classes, len(vocabulary.predicates)),
    ):
        default = type(detr).model_fields[key.rsplit(".", 1)[1].lower()].default
        if configured not in (found, default):
            logger.warning("%s is %d, but the data have %d classes: using %d", key, configured, found, found)
