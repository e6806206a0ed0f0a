"""The sections SOLVER, TEST and WANDB: training, evaluation and logging."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from speaq.config.field_types import (
    Choice,
    Conflict,
    Count,
    Flag,
    Natural,
    NonNegative,
    Number,
    PathText,
    Positive,
    Section,
    Several,
    Share,
    Text,
)


class Amp(Section):
    """SOLVER.AMP: automatic mixed precision."""

    enabled: Flag = False
    """Use mixed precision. On CPUs it is faster only with hardware bf16 (AVX512_BF16, AMX)."""
    precision: Choice[Literal["bf16", "fp16"]] = "bf16"
    """bf16 or fp16; with fp16, CPUs train in float32."""


class ClipGradients(Section):
    """SOLVER.CLIP_GRADIENTS: gradient clipping."""

    enabled: Flag = False
    """Clip gradients."""
    clip_type: Choice[Literal["full_model", "norm", "value"]] = "value"
    """full_model: clip the norm of the whole gradient; norm: the norm per parameter; value: every element."""
    clip_value: Positive = 1.0
    """Maximum norm, or maximum absolute value of an element."""
    norm_type: Positive = 2.0
    """p of the p-norm."""


class Ema(Section):
    """SOLVER.EMA: exponential moving average of the weights."""

    enabled: Flag = False
    """Evaluate and save averaged weights."""
    decay: Annotated[Number, Field(ge=0, lt=1)] = 0.9999
    """Weight of the previous average at every step."""
    warmup_iters: Natural = 2000
    """Steps over which the decay rises: it is DECAY * (1 - exp(-step / WARMUP_ITERS)); 0: constant."""


class Solver(Section):
    """SOLVER: optimizer, schedule, batches and checkpoints."""

    ims_per_batch: Count = 16
    """Images per optimizer step, over all ranks."""
    accumulate: Count = 1
    """Number of micro-batches per step, to save memory; their gradients are averaged."""
    max_iter: Count = 40000
    """Training steps."""

    optimizer: Choice[Literal["ADAMW", "SGD"]] = "ADAMW"
    """ADAMW or SGD."""
    base_lr: Positive = 0.001
    """Learning rate after the warm-up."""
    base_lr_end: NonNegative = 0.0
    """Learning rate at the end of a cosine schedule."""
    backbone_multiplier: NonNegative = 0.1
    """Learning rate factor of the backbone."""
    entity_multiplier: NonNegative = 1.0
    """Learning rate factor of the subject, object and box modules."""
    relation_multiplier: NonNegative = 1.0
    """Learning rate factor of the predicate modules."""
    weight_decay: NonNegative = 0.0001
    """Weight decay."""
    momentum: Share = 0.9
    """Momentum of SGD."""
    nesterov: Flag = False
    """Nesterov momentum of SGD."""

    lr_scheduler_name: Choice[Literal["WarmupMultiStepLR", "WarmupCosineLR"]] = "WarmupMultiStepLR"
    """WarmupMultiStepLR: times GAMMA at STEPS; WarmupCosineLR: a cosine from BASE_LR to BASE_LR_END."""
    steps: Several[Natural] = (30000,)
    """Steps at which the learning rate is multiplied by GAMMA."""
    gamma: Positive = 0.1
    """Learning rate factor at each of STEPS."""
    warmup_factor: Share = 0.001
    """Learning rate factor at the first step."""
    warmup_iters: Natural = 1000
    """Steps of warm-up."""
    warmup_method: Choice[Literal["linear", "constant"]] = "linear"
    """linear: increase from WARMUP_FACTOR to 1; constant: WARMUP_FACTOR."""

    amp: Amp = Amp()
    gradient_checkpointing: Flag = False
    """Compute the layers of the transformer again in the backward pass, to save memory."""
    clip_gradients: ClipGradients = ClipGradients()
    ema: Ema = Ema()
    checkpoint_period: Count = 5000
    """Steps between checkpoints."""
    max_to_keep: Count = 2
    """Number of newest checkpoints to keep, besides the best one."""
    log_period: Count = 20
    """Steps between lines of the log."""
    max_nonfinite_steps: Natural = 10
    """Consecutive steps with a non-finite loss or gradient that are skipped before training stops."""

    def conflicts(self) -> Iterator[Conflict]:
        """Batches that cannot be split, and schedules or optimizers that need other values."""
        if self.ims_per_batch % self.accumulate:
            reason = "a batch is computed in ACCUMULATE equal parts: IMS_PER_BATCH must be a multiple of it"
            yield Conflict(("SOLVER.IMS_PER_BATCH", "SOLVER.ACCUMULATE"), reason)
        if list(self.steps) != sorted(self.steps):
            yield Conflict(("SOLVER.STEPS",), "steps must be in ascending order")
        if self.lr_scheduler_name == "WarmupCosineLR" and self.base_lr_end > self.base_lr:
            reason = "a cosine schedule decreases: BASE_LR_END must not exceed BASE_LR"
            yield Conflict(("SOLVER.BASE_LR", "SOLVER.BASE_LR_END"), reason)
        if self.optimizer == "SGD" and self.nesterov and self.momentum == 0:
            reason = "Nesterov momentum needs a MOMENTUM above 0"
            yield Conflict(("SOLVER.NESTEROV", "SOLVER.MOMENTUM"), reason)


class EvaluationRelation(Section):
    """TEST.RELATION: triplets at evaluation."""

    iou_threshold: Share = 0.5
    """Minimum IoU of both boxes for a match."""
    distinct: Flag = False
    """Rank each (subject, object, predicate) once in ng-R, not once per query; always so if NUM_REL > 1."""
    drop_self: Flag = False
    """Remove relations of an entity with itself."""
    pnms_threshold: Share = 0.7
    """Product of both IoUs above which PNMS suppresses a triplet."""


class LongTail(Section):
    """TEST.LONG_TAIL: head, body and tail of the predicates."""

    split: Choice[Literal["thirds", "published", "counts", "file"]] = "thirds"
    """thirds: by rank; published: by rank, 5 : 16 : 29 as on Visual Genome; counts: COUNTS; file: FILE."""
    counts: Annotated[Several[Natural], Field(min_length=2, max_length=2)] = (10000, 500)
    """Minimum number of training relations of a predicate of the head, and of the body."""
    file: PathText = ""
    """JSON file with the names of the predicates: {"head": [...], "body": [...], "tail": [...]}."""

    def conflicts(self) -> Iterator[Conflict]:
        """A split by counts or from a file that cannot be made."""
        key = "TEST.LONG_TAIL."
        if self.split == "file" and not self.file:
            yield Conflict((f"{key}SPLIT", f"{key}FILE"), "name the FILE with the names of the predicates")
        if self.counts[0] < self.counts[1]:
            yield Conflict((f"{key}COUNTS",), "the minimum of the head must not be below that of the body")


class EarlyStopping(Section):
    """TEST.EARLY_STOPPING: end of a training that no longer improves."""

    patience: Natural = 0
    """Evaluations without a better mR@100 after which training ends; 0: never."""
    min_delta: NonNegative = 0.0
    """Smallest increase of mR@100 that counts as an improvement, in 0..1."""


class Evaluation(Section):
    """TEST: evaluation and post-processing."""

    eval_period: Natural = 0
    """Steps between evaluations; 0: only at the end."""
    ims_per_batch: Count = 8
    """Images per evaluation batch, over all ranks."""
    metrics: Several[Choice[Literal["pooled", "pairs", "relative", "scores", "openimages"]]] = ()
    """Additional groups of metrics: pooled, pairs, relative, scores, openimages."""
    mode: Choice[Literal["sgdet", "sgcls", "predcls", "phrdet"]] = "sgdet"
    """Task: sgcls and predcls use the ground-truth boxes; phrdet compares the union of both boxes."""
    convention: Choice[Literal["speaq", "scene-graph-benchmark"]] = "speaq"
    """speaq, or scene-graph-benchmark: the conventions of that evaluator."""
    num_rel: Count = 1
    """Predicates kept per query."""
    pnms: Flag = False
    """Suppress whole triplets instead of merging entities."""
    clip_boxes: Flag = False
    """Clip boxes to the image."""
    relation: EvaluationRelation = EvaluationRelation()
    long_tail: LongTail = LongTail()
    early_stopping: EarlyStopping = EarlyStopping()

    def conflicts(self) -> Iterator[Conflict]:
        """Early stopping without evaluations during the training."""
        if self.early_stopping.patience and not self.eval_period:
            keys = ("TEST.EARLY_STOPPING.PATIENCE", "TEST.EVAL_PERIOD")
            yield Conflict(keys, "early stopping needs evaluations during the training: set EVAL_PERIOD")


class Wandb(Section):
    """WANDB: logging to Weights & Biases."""

    use_wandb: Flag = False
    """Log to Weights & Biases as well."""
    entity: Text = "your_entity"
    """Account or team."""
    project: Text = "speaq"
    """Project."""
    group: Text = "speaq"
    """Group of runs."""
    exp_name: Text = "default_exp_name"
    """Name of the run."""
