"""Optimizer, learning rate schedule and gradient clipping."""

import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from speaq.config.training import ClipGradients, Solver
from speaq.errors import SpeaqError
from speaq.pretrained import Speaq

_RELATION_PARTS = ("decoder.relation_", "heads.predicate_class.")
_ENTITY_PARTS = (
    "decoder.subject_",
    "decoder.object_",
    "decoder.entity_",
    "heads.entity_class.",
    "heads.box.",
)


def parameter_groups(model: Speaq, solver: Solver) -> list[dict[str, Any]]:
    """Trainable parameters, grouped by the factor of their learning rate.

    BACKBONE_MULTIPLIER applies to the backbone, RELATION_MULTIPLIER to the predicate decoder, its queries and
    classifier, ENTITY_MULTIPLIER to the subject and object decoders, their queries, classifier and boxes; all
    other parameters (projection, encoder) have the base rate. Weight decay is the same for all.

    Returns:
        The largest group first: its learning rate is the one in the log.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        factor = 1.0
        if name.startswith("backbone."):
            factor = solver.backbone_multiplier
        elif name.startswith(_RELATION_PARTS):
            factor = solver.relation_multiplier
        elif name.startswith(_ENTITY_PARTS):
            factor = solver.entity_multiplier
        groups.setdefault(factor, []).append(parameter)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), -item[0]))
    return [{"params": parameters, "lr": solver.base_lr * factor} for factor, parameters in ordered]


def build_optimizer(model: Speaq, solver: Solver) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019) or SGD."""
    groups = parameter_groups(model, solver)
    if solver.optimizer == "SGD":
        return torch.optim.SGD(
            groups, momentum=solver.momentum, nesterov=solver.nesterov, weight_decay=solver.weight_decay
        )
    # The fused version is several times faster, but with fp16 it would unscale gradients after clipping.
    scaled = solver.amp.enabled and solver.amp.precision == "fp16"
    fused = model.device.type in ("cpu", "cuda") and not scaled
    return torch.optim.AdamW(groups, weight_decay=solver.weight_decay, fused=fused)


def learning_rate_factor(solver: Solver, step: int) -> float:
    """Learning rate of step ``step`` (from 0) relative to BASE_LR.

    WarmupMultiStepLR multiplies by GAMMA at each of STEPS; WarmupCosineLR decreases along half a cosine to
    BASE_LR_END. During the first WARMUP_ITERS steps the factor WARMUP_FACTOR applies, constant or increasing
    linearly to 1.
    """
    if solver.lr_scheduler_name == "WarmupCosineLR":
        end = solver.base_lr_end / solver.base_lr
        progress = min(step / max(solver.max_iter, 1), 1.0)
        factor = end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))
    else:
        factor = solver.gamma ** bisect_right(solver.steps, step)
    if step >= solver.warmup_iters:
        return factor
    if solver.warmup_method == "constant":
        return factor * solver.warmup_factor
    progress = step / solver.warmup_iters
    return factor * (solver.warmup_factor * (1 - progress) + progress)


def build_scheduler(optimizer: torch.optim.Optimizer, solver: Solver) -> torch.optim.lr_scheduler.LambdaLR:
    """The schedule, to be stepped after every step of the optimizer."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(solver, step))


def apply_settings(saved: dict[str, Any], schedule: dict[str, Any], model: Speaq, solver: Solver) -> None:
    """Replace the settings in a saved state, such as learning rates, by those of the configuration.

    A resumed training thus uses the settings that were changed in the meantime; the others are unchanged. The
    states of the optimizer (``saved``) and of its schedule are changed in place.

    Raises:
        SpeaqError: the state is of another optimizer or of other parameter groups.
    """
    optimizer = build_optimizer(model, solver)
    build_scheduler(optimizer, solver)
    saved_groups, groups = (
        [("betas" in group, len(group["params"])) for group in groups]
        for groups in (saved["param_groups"], optimizer.param_groups)
    )
    if saved_groups != groups:
        raise SpeaqError(
            "the training to resume had another SOLVER.OPTIMIZER or other parameter groups (they depend on "
            "BACKBONE_, ENTITY_, RELATION_MULTIPLIER of SOLVER and on MODEL.BACKBONE.FREEZE_AT); restore "
            "these settings, or start a new training in another OUTPUT_DIR with MODEL.WEIGHTS"
        )
    factor = learning_rate_factor(solver, schedule["last_epoch"])
    schedule["base_lrs"] = [group["initial_lr"] for group in optimizer.param_groups]
    for group, configured in zip(saved["param_groups"], optimizer.param_groups, strict=True):
        group |= configured | {"params": group["params"], "lr": configured["initial_lr"] * factor}


def clip_gradients(parameters: Iterable[nn.Parameter], clip: ClipGradients) -> Tensor:
    """Clip gradients in place as configured.

    CLIP_TYPE ``full_model`` clips the norm of the whole gradient, ``norm`` that of each parameter, ``value``
    every element. Parameters without a gradient are ignored.

    Returns:
        Norm of the whole gradient before clipping, scalar; not finite if any gradient is not.
    """
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    gradients = [parameter.grad for parameter in with_gradient if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients, clip.norm_type)
    if not clip.enabled:
        return norm
    if clip.clip_type == "full_model":
        torch.nn.utils.clip_grads_with_norm_(with_gradient, clip.clip_value, norm)
    elif clip.clip_type == "norm":
        for parameter in with_gradient:
            torch.nn.utils.clip_grad_norm_(parameter, clip.clip_value, clip.norm_type)
    else:
        torch.nn.utils.clip_grad_value_(with_gradient, clip.clip_value)
    return norm
