"""Keys of training, evaluation and logging: SOLVER, TEST and WANDB."""

from typing import Literal

from speaq.config.values import (
    Choice,
    Count,
    Flag,
    Natural,
    NonNegative,
    Positive,
    Section,
    Several,
    Share,
    Text,
)


class Amp(Section):
    """SOLVER.AMP: automatic mixed precision."""

    enabled: Flag = False
    """Compute in half precision where it is safe; on GPUs only."""
    precision: Choice[Literal["bf16", "fp16"]] = "bf16"
    """The half-precision format."""


class ClipGradients(Section):
    """SOLVER.CLIP_GRADIENTS: bounds on the gradient."""

    enabled: Flag = False
    """Clip gradients."""
    clip_type: Choice[Literal["full_model", "norm", "value"]] = "value"
    """Bound the norm of the whole gradient, the norm for each parameter, or every element."""
    clip_value: Positive = 1.0
    """The bound."""
    norm_type: Positive = 2.0
    """Order of the norm."""


class Solver(Section):
    """SOLVER: optimiser, schedule, batches and checkpoints."""

    ims_per_batch: Count = 16
    """Images per step of the optimiser, over all ranks."""
    accumulate: Count = 1
    """Parts that a batch is computed in, to save memory; their gradients are averaged."""
    max_iter: Count = 40000
    """Steps of training."""

    optimizer: Choice[Literal["ADAMW", "SGD"]] = "ADAMW"
    """The optimiser."""
    base_lr: Positive = 0.001
    """Learning rate after the warm-up."""
    base_lr_end: NonNegative = 0.0
    """Learning rate at the end of a cosine schedule."""
    backbone_multiplier: NonNegative = 0.1
    """Factor of the learning rate of the backbone."""
    entity_multiplier: NonNegative = 1.0
    """Factor of the learning rate of the entity parts."""
    relation_multiplier: NonNegative = 1.0
    """Factor of the learning rate of the relation parts."""
    weight_decay: NonNegative = 0.0001
    """Weight decay."""
    momentum: Share = 0.9
    """Momentum of SGD."""
    nesterov: Flag = False
    """Nesterov momentum of SGD."""

    lr_scheduler_name: Choice[Literal["WarmupMultiStepLR", "WarmupCosineLR"]] = "WarmupMultiStepLR"
    """Steps by GAMMA, or a cosine from BASE_LR to BASE_LR_END."""
    steps: Several[Natural] = (30000,)
    """Steps at which the learning rate falls by GAMMA."""
    gamma: Positive = 0.1
    """Factor of the learning rate at each of STEPS."""
    warmup_factor: Share = 0.001
    """Share of the learning rate at the first step."""
    warmup_iters: Natural = 1000
    """Steps of warm-up."""
    warmup_method: Choice[Literal["linear", "constant"]] = "linear"
    """Course of the warm-up."""

    amp: Amp = Amp()
    clip_gradients: ClipGradients = ClipGradients()
    checkpoint_period: Count = 5000
    """Steps between two checkpoints."""
    max_to_keep: Count = 2
    """Newest checkpoints kept, the best one aside."""
    log_period: Count = 20
    """Steps between two lines of the log."""
    max_nonfinite_steps: Natural = 10
    """Steps in a row with a non-finite loss or gradient that are skipped before training stops."""


class EvaluationRelation(Section):
    """TEST.RELATION: triplets at evaluation."""

    iou_threshold: Share = 0.5
    """IoU of both boxes from which a relation is found."""
    drop_self: Flag = False
    """Leave out relations of an entity with itself."""
    pnms_threshold: Share = 0.7
    """Product of both IoUs above which PNMS suppresses a triplet."""


class Evaluation(Section):
    """TEST: evaluation and post-processing."""

    eval_period: Natural = 0
    """Steps between two evaluations; 0: only at the end."""
    ims_per_batch: Count = 8
    """Images per batch of evaluation over all ranks."""
    num_rel: Count = 1
    """Predicates kept per query."""
    pnms: Flag = False
    """Suppress whole triplets instead of pooling the entities."""
    clip_boxes: Flag = False
    """Clip boxes to the image."""
    relation: EvaluationRelation = EvaluationRelation()


class Wandb(Section):
    """WANDB: logging to Weights & Biases."""

    use_wandb: Flag = False
    """Log there too."""
    entity: Text = "your_entity"
    """Account or team."""
    project: Text = "speaq"
    """Project."""
    group: Text = "speaq"
    """Group of runs."""
    exp_name: Text = "default_exp_name"
    """Name of the run."""
