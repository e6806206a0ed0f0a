"""Dropout (Srivastava et al., JMLR 2014) that is fast on CPUs.

PyTorch draws one random number for every element. A GPU does so within other work, but a CPU spends a large
part of a training step on it. Here one number of 64 bits decides about four elements. Compiled models
(`torch.compile`) use PyTorch's own dropout, which needs no break in the graph.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEPS = 2**16  # probabilities are multiples of 1 / 65536


def keep_mask(shape: torch.Size, probability: float) -> tuple[Tensor, float]:
    """Elements to keep, on the CPU.

    Args:
        shape: of the mask.
        probability: of dropping an element, in [0, 1), rounded to a multiple of 1/65536.

    Returns:
        Mask of the shape, bool; and the factor that keeps the expectation of what is left.
    """
    drop = min(round(probability * _STEPS), _STEPS - 1)
    count = shape.numel()
    numbers = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    keep = numbers.view(torch.int16)[:count].view(shape) >= drop - _STEPS // 2
    return keep, _STEPS / (_STEPS - drop)


class Dropout(nn.Module):
    """Sets elements to 0 with a probability, in training, and scales the others.

    Args:
        probability: 0 for none.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x (...)."""
        if not self.training or self.probability == 0:
            return x
        if x.device.type != "cpu" or torch.compiler.is_compiling():
            return F.dropout(x, self.probability)
        keep, factor = keep_mask(x.shape, self.probability)
        return x * keep * factor


class DropoutAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d)) with dropout, times v, on the CPU.

    The backward pass recomputes what it needs from the probabilities and the mask, so that five bytes are
    kept for each probability instead of twelve.
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, probability: float) -> Tensor:
        """Attend.

        Args:
            ctx: of autograd.
            q: (B, heads, n, d).
            k: (B, heads, k, d).
            v: (B, heads, k, d).
            valid: (B, 1, 1, k) bool, False for keys to ignore; None if all are valid.
            probability: of dropping.

        Returns:
            (B, heads, n, d).
        """
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        if valid is not None:
            scores.masked_fill_(~valid, -torch.inf)
        weights = scores.softmax(-1)
        keep, factor = keep_mask(weights.shape, probability)
        ctx.save_for_backward(q, k, v, weights, keep)
        ctx.factor = factor
        return (weights * keep) @ (v * factor)

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, k and v."""
        q, k, v, weights, keep = ctx.saved_tensors
        grad = grad_outputs[0] * ctx.factor
        grad_v = (weights * keep).transpose(-1, -2) @ grad
        grad_scores = (grad @ v.transpose(-1, -2)).mul_(keep).mul_(weights)
        grad_scores.addcmul_(weights, grad_scores.sum(-1, keepdim=True), value=-1)
        grad_scores.mul_(q.shape[-1] ** -0.5)
        return grad_scores @ k, grad_scores.transpose(-1, -2) @ q, grad_v, None, None
