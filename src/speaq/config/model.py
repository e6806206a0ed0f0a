"""The section MODEL: the network, the matching and the loss."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from speaq.config.field_types import (
    Choice,
    Conflict,
    Count,
    Flag,
    Integer,
    Natural,
    NonEmptyPathText,
    NonNegative,
    Number,
    PathText,
    Positive,
    Section,
    Several,
    Share,
    Text,
)

Stage = Literal["res2", "res3", "res4", "res5"]


class Backbone(Section):
    """MODEL.BACKBONE: the network that extracts features from images."""

    name: NonEmptyPathText = "build_resnet_backbone"
    """build_resnet_backbone (MODEL.RESNETS) or the id of a transformers model."""
    freeze_at: Annotated[Integer, Field(ge=0, le=5)] = 2
    """Frozen parts: 0 none, 1 the stem, 2 also the first stage, ..."""
    pretrained: Flag = True
    """Load pretrained weights where NAME is a transformers model id."""


class ResNets(Section):
    """MODEL.RESNETS: the residual network of build_resnet_backbone."""

    depth: Choice[Literal[18, 34, 50, 101, 152]] = 50
    """Number of layers."""
    norm: Choice[Literal["FrozenBN", "BN"]] = "FrozenBN"
    """FrozenBN or BN: frozen or trained batch norm."""
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
    """C, number of object classes without `no object`."""
    num_relation_classes: Count = 50
    """R, number of predicate classes without `no relation`."""

    hidden_dim: Count = 256
    """D, width of the transformer."""
    nheads: Count = 8
    """Number of attention heads."""
    dim_feedforward: Count = 2048
    """Hidden width of the feed-forward networks."""
    enc_layers: Annotated[Natural, Field(le=1000)] = 6
    """Number of encoder layers."""
    dec_layers: Annotated[Count, Field(le=1000)] = 6
    """L, number of decoder layers."""
    dropout: Share = 0.1
    """Dropout probability."""
    pre_norm: Choice[Literal[False]] = False
    """Only post-norm layers are implemented."""
    position_embedding: Choice[Literal["PositionEmbeddingSine"]] = "PositionEmbeddingSine"
    """Only the sine encoding is implemented."""
    reference_points: Flag = False
    """Predict boxes relative to a learned reference point of each query."""

    num_object_queries: Count = 100
    """Q, number of entity queries."""
    num_relation_queries: Count = 100
    """Number of predicate queries before multiplication; must equal NUM_OBJECT_QUERIES."""
    multiply_query: Count = 1
    """m, number of predicate queries per entity query; there are m * Q predicate queries."""
    only_predicate_multiply: Flag = False
    """Multiply the predicate queries, not the entity queries."""

    cost_class: NonNegative = 1.0
    """Weight of class probabilities in the matching cost."""
    l1_weight: NonNegative = 5.0
    """Weight of the L1 distance of boxes, in cost and loss."""
    giou_weight: NonNegative = 2.0
    """Weight of the generalised IoU of boxes, in cost and loss."""
    match_independent: Flag = False
    """Match every decoder layer separately instead of all together."""
    use_group_mask: Flag = False
    """Use groupwise query specialization."""
    num_groups: Count = 5
    """G, number of groups of predicates and of queries."""
    predicate_frequencies: Choice[Literal["train", "published"]] = "train"
    """Predicate counts that define the groups: of the training set (train), or those published for VG."""
    one2many_scheme: Choice[Literal["static", "dynamic"]] = "static"
    """Number of queries per relation. static: ONE2MANY_K; dynamic: depends on the quality of predictions."""
    one2many_dynamic_scheme: Choice[Literal["min", "max", "gm", "am"]] = "min"
    """Quality from subject and object IoU: min, max, geometric mean (gm) or arithmetic mean (am)."""
    one2many_k: Count = 1
    """k: number of queries (static) or of qualities that are summed (dynamic)."""
    one2many_predicate_score: Flag = False
    """Add the predicate probability to the quality."""
    one2many_predicate_weight: Annotated[Number, Field(ge=-1000, le=1000)] = 1.0
    """Weight of the predicate probability in the quality; negative in the paper."""

    deep_supervision: Flag = True
    """Compute the loss at every decoder layer."""
    no_object_weight: NonNegative = 0.1
    """Weight of `no object` in the cross-entropy."""
    relation_loss_weight: NonNegative = 1.0
    """Weight of the predicate terms of the loss."""
    reweight_relations: Flag = False
    """Weight predicates in the loss by their inverse frequency."""
    reweight_rel_eos_coef: NonNegative = 0.1
    """Weight of `no relation` in the cross-entropy."""
    oversample_param: NonNegative = 0.07
    """t of the predicate weight max(sqrt(t / frequency), 1) ** u."""
    undersample_param: NonNegative = 1.0
    """u of the predicate weight max(sqrt(t / frequency), 1) ** u."""
    max_relation_weight: Positive = 100.0
    """Maximum of the predicate weight."""
    dense_loss_weight: NonNegative = 0.0
    """Weight of an auxiliary loss on the encoder tokens; 0: disabled."""

    def conflicts(self) -> Iterator[Conflict]:
        """Sizes that do not divide, numbers of queries that differ, and assignments that need other keys."""
        key = "MODEL.DETR."
        if self.hidden_dim % self.nheads:
            reason = "all attention heads have the same width: HIDDEN_DIM must be a multiple of NHEADS"
            yield Conflict((f"{key}HIDDEN_DIM", f"{key}NHEADS"), reason)
        if self.hidden_dim % 4:
            reason = "the encoding has a sine and a cosine of both axes: HIDDEN_DIM must be a multiple of 4"
            yield Conflict((f"{key}HIDDEN_DIM", f"{key}POSITION_EMBEDDING"), reason)
        if self.one2many_scheme == "dynamic" and not self.match_independent:
            reason = "dynamic assignment differs between decoder layers: set MATCH_INDEPENDENT True"
            yield Conflict((f"{key}ONE2MANY_SCHEME", f"{key}MATCH_INDEPENDENT"), reason)
        if self.num_object_queries != self.num_relation_queries:
            reason = "every predicate query belongs to one entity query: set both to the same number"
            yield Conflict((f"{key}NUM_OBJECT_QUERIES", f"{key}NUM_RELATION_QUERIES"), reason)
        if self.use_group_mask and self.num_groups > self.num_object_queries:
            reason = "every group needs at least one query: use fewer groups or more queries"
            yield Conflict((f"{key}NUM_GROUPS", f"{key}NUM_OBJECT_QUERIES"), reason)


class RoiHeads(Section):
    """MODEL.ROI_HEADS: post-processing."""

    nms_thresh_test: Share = 0.5
    """IoU above which boxes of one class are merged into one entity."""


class RoiSceneGraphHead(Section):
    """MODEL.ROI_SCENEGRAPH_HEAD: evaluation."""

    zero_shot_triplets: PathText = "evaluation/datasets/vg/zeroshot_triplet.pytorch"
    """File of the triplets that do not occur in the training set."""


class Model(Section):
    """MODEL: the network."""

    device: Annotated[Text, Field(pattern=r"^(cpu|cuda(:\d+)?)$")] = "cuda"
    """Device: cpu, cuda, cuda:1."""
    weights: PathText = ""
    """Initial weights, unless training is resumed: a file, a folder or a model id on the hub."""
    compile: Flag = False
    """Compile encoder and decoder with torch.compile; needs a C++ compiler."""
    weights_synonyms: PathText = ""
    """Text file of lines `name, other name, ...`: classes that are matched with those of WEIGHTS."""
    pixel_mean: Annotated[Several[Number], Field(min_length=3, max_length=3)] = (103.53, 116.28, 123.675)
    """Mean of the channels, 0..255, in the order of INPUT.FORMAT."""
    pixel_std: Annotated[Several[Positive], Field(min_length=3, max_length=3)] = (1.0, 1.0, 1.0)
    """Standard deviation of the channels, in the order of INPUT.FORMAT."""
    backbone: Backbone = Backbone()
    resnets: ResNets = ResNets()
    detr: Detr = Detr()
    roi_heads: RoiHeads = RoiHeads()
    roi_scenegraph_head: RoiSceneGraphHead = RoiSceneGraphHead()
