"""Keys of the model, its matching and its loss: MODEL."""

from typing import Annotated, Literal

from pydantic import Field

from speaq.config.values import (
    Choice,
    Count,
    Flag,
    Integer,
    Natural,
    NonEmptyText,
    NonNegative,
    Number,
    Positive,
    Section,
    Several,
    Share,
    Text,
)

Stage = Literal["res2", "res3", "res4", "res5"]


class Backbone(Section):
    """MODEL.BACKBONE: the network that turns an image into features."""

    name: NonEmptyText = "build_resnet_backbone"
    """build_resnet_backbone (MODEL.RESNETS) or a transformers id."""
    freeze_at: Annotated[Integer, Field(ge=0, le=5)] = 2
    """Parts that are not trained: 0 none, 1 the stem, 2 also the first stage, ..."""
    pretrained: Flag = True
    """Load pretrained weights where NAME is a transformers model id."""


class ResNets(Section):
    """MODEL.RESNETS: the residual network of build_resnet_backbone."""

    depth: Choice[Literal[18, 34, 50, 101, 152]] = 50
    """Number of layers."""
    norm: Choice[Literal["FrozenBN", "BN"]] = "FrozenBN"
    """Batch norm, constant or trained."""
    out_features: Annotated[Several[Choice[Stage]], Field(min_length=1)] = ("res4",)
    """Stages that are computed; the last one feeds the transformer."""
    res2_out_channels: Count = 256
    """Channels of the first stage; they double at each next one."""
    stem_out_channels: Count = 64
    """Channels of the stem."""
    stride_in_1x1: Flag = True
    """Stride in the 1x1 convolution (MSRA) or in the 3x3 (PyTorch)."""
    width_per_group: Count = 64
    """Channels of the 3x3 convolutions of the first stage."""


class Detr(Section):
    """MODEL.DETR: the transformer, the assignment of queries to relations, and the loss."""

    num_classes: Count = 80
    """C, object classes without `no object`."""
    num_relation_classes: Count = 50
    """R, predicates without `no relation`."""

    hidden_dim: Count = 256
    """D, width of the transformer."""
    nheads: Count = 8
    """Attention heads."""
    dim_feedforward: Count = 2048
    """Hidden width of the feed-forward networks."""
    enc_layers: Natural = 6
    """Encoder layers."""
    dec_layers: Count = 6
    """L, decoder layers."""
    dropout: Share = 0.1
    """Dropout probability."""
    pre_norm: Choice[Literal[False]] = False
    """Only post-norm layers exist."""
    position_embedding: Choice[Literal["PositionEmbeddingSine"]] = "PositionEmbeddingSine"
    """Only the sine code exists."""
    reference_points: Flag = False
    """Predict boxes relative to a learnt point of each query."""

    num_object_queries: Count = 100
    """Q, entity queries."""
    num_relation_queries: Count = 100
    """Predicate queries before multiplication; the same Q."""
    multiply_query: Count = 1
    """m: predicate queries are m * Q."""
    only_predicate_multiply: Flag = False
    """Multiply the predicate queries, not the entity queries."""

    cost_class: NonNegative = 1.0
    """Weight of class probabilities in the matching cost."""
    l1_weight: NonNegative = 5.0
    """Weight of the L1 distance of boxes, in cost and loss."""
    giou_weight: NonNegative = 2.0
    """Weight of the generalised IoU of boxes, in cost and loss."""
    match_independent: Flag = False
    """Match every decoder layer alone instead of all together."""
    use_group_mask: Flag = False
    """Groupwise query specialization."""
    num_groups: Count = 5
    """G, groups of predicates and of queries."""
    predicate_frequencies: Choice[Literal["train", "published"]] = "train"
    """Predicate counts that form the groups: of the training set, or the published VG ones."""
    one2many_scheme: Choice[Literal["static", "dynamic"]] = "static"
    """Queries per relation: always ONE2MANY_K, or by the quality of the predictions."""
    one2many_dynamic_scheme: Choice[Literal["min", "max", "gm", "am"]] = "min"
    """Quality from subject and object IoU: least, greatest, geometric or arithmetic mean."""
    one2many_k: Count = 1
    """k: how many queries, or how many qualities are summed."""
    one2many_predicate_score: Flag = False
    """Add the predicate probability to the quality."""
    one2many_predicate_weight: Number = 1.0
    """Weight of that probability; negative in the paper."""

    deep_supervision: Flag = True
    """Loss at every decoder layer."""
    no_object_weight: NonNegative = 0.1
    """Weight of `no object` in the cross-entropy."""
    relation_loss_weight: NonNegative = 1.0
    """Weight of the predicate terms of the loss."""
    reweight_relations: Flag = False
    """Weigh predicates by their rarity."""
    reweight_rel_eos_coef: NonNegative = 0.1
    """Weight of `no relation` in the cross-entropy."""
    oversample_param: NonNegative = 0.07
    """t of the weight max(sqrt(t / frequency), 1) ** u."""
    undersample_param: NonNegative = 1.0
    """u of that weight."""
    max_relation_weight: Positive = 100.0
    """Greatest weight of a predicate."""
    dense_loss_weight: NonNegative = 0.0
    """Weight of an auxiliary loss on the encoder tokens; 0: without."""


class RoiHeads(Section):
    """MODEL.ROI_HEADS: post-processing."""

    nms_thresh_test: Share = 0.5
    """IoU above which boxes of one class are one entity."""


class RoiSceneGraphHead(Section):
    """MODEL.ROI_SCENEGRAPH_HEAD: evaluation."""

    zero_shot_triplets: Text = "evaluation/datasets/vg/zeroshot_triplet.pytorch"
    """List of the triplets never trained on."""


class Model(Section):
    """MODEL: the network."""

    device: Annotated[Text, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cuda"
    """Where to train: cpu, cuda, cuda:1."""
    weights: Text = ""
    """Checkpoint to start from where there is none to resume."""
    pixel_mean: Annotated[Several[Number], Field(min_length=3, max_length=3)] = (103.53, 116.28, 123.675)
    """Mean of the channels, 0..255, in the order of INPUT.FORMAT."""
    pixel_std: Annotated[Several[Positive], Field(min_length=3, max_length=3)] = (1.0, 1.0, 1.0)
    """Deviation of the channels, in the order of INPUT.FORMAT."""
    backbone: Backbone = Backbone()
    resnets: ResNets = ResNets()
    detr: Detr = Detr()
    roi_heads: RoiHeads = RoiHeads()
    roi_scenegraph_head: RoiSceneGraphHead = RoiSceneGraphHead()
