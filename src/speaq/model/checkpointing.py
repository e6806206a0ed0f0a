"""Gradient checkpointing (Chen et al., 2016): less memory in training, for more time."""

from collections.abc import Callable
from typing import Any, Protocol

from torch.utils.checkpoint import checkpoint


class _Stack(Protocol):
    training: bool
    gradient_checkpointing: bool


def run(stack: _Stack, layer: Callable[..., Any], *inputs: Any) -> Any:
    """Call a layer of a stack.

    With ``stack.gradient_checkpointing``, training keeps the inputs only, and computes the layer again in the
    backward pass, with the same dropout.
    """
    if stack.training and stack.gradient_checkpointing:
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)
