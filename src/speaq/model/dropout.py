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
        Mask of the shape, uint8, 1 for what is kept (products with uint8 are faster than with bool); and the
        factor that keeps the expectation.
    """
    drop = min(round(probability * _STEPS), _STEPS - 1)
    count = shape.numel()
    numbers = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    numbers = numbers.view(torch.int16)[:count].view(shape)
    keep = torch.ge(numbers, drop - _STEPS // 2, out=torch.empty(shape, dtype=torch.uint8))
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


class DropoutReLU(Dropout):
    """A ReLU, then dropout. Training on the CPU keeps the result only, without the mask."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x (...)."""
        fused = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if self.training and self.probability > 0 and fused:
            return _DropoutReLU.apply(x, self.probability)
        return super().forward(torch.relu(x))


class _DropoutReLU(torch.autograd.Function):
    """The result is positive exactly where the gradient passes."""

    @staticmethod
    def forward(ctx, x: Tensor, probability: float) -> Tensor:
        keep, factor = keep_mask(x.shape, probability)
        y = torch.relu(x).mul_(keep).mul_(factor)
        ctx.save_for_backward(y)
        ctx.factor = factor
        return y

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(grad_outputs[0], y, 0).mul_(ctx.factor), None


class DropoutAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(d)) with dropout, times v, on the CPU.

    The probabilities are most of a decoder's activations. The backward pass computes them again (as in Dao et
    al., FlashAttention, NeurIPS 2022); the mask of what was kept takes a fourth of their memory.
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
        weights = _softmax(q, k, valid)
        keep, factor = keep_mask(weights.shape, probability)
        ctx.save_for_backward(q, k, v, valid, keep)
        ctx.factor = factor
        return weights.mul_(keep) @ (v * factor)

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, k and v."""
        q, k, v, valid, keep = ctx.saved_tensors
        grad = grad_outputs[0] * ctx.factor
        weights = _softmax(q, k, valid)
        kept = weights * keep
        grad_v = kept.transpose(-1, -2) @ grad
        grad_scores = (grad @ v.transpose(-1, -2)).mul_(kept)
        total = grad_scores.sum(-1, keepdim=True)
        grad_scores.addcmul_(weights, total, value=-1)
        scale = q.shape[-1] ** -0.5
        return grad_scores @ (k * scale), grad_scores.transpose(-1, -2) @ (q * scale), grad_v, None, None


def _softmax(q: Tensor, k: Tensor, valid: Tensor | None) -> Tensor:
    """Attention probabilities (B, heads, n, k)."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if valid is not None:
        scores.masked_fill_(~valid, -torch.inf)
    return torch.softmax(scores, -1, out=scores)
