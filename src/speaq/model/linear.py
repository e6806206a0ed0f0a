"""Linear layers, 1 x 1 convolutions and attention that are fast on CPUs.

PyTorch multiplies float32 matrices with MKL, and convolves with oneDNN. On processors that are not Intel's,
MKL reaches about half of what oneDNN does. A linear layer is a 1 x 1 convolution, and can use the faster one.
"""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine().lower() in ("x86_64", "amd64")
_LARGE = 10_000_000  # products from which oneDNN is faster in spite of its longer preparation

# PyTorch convolves with oneDNN in one thread only if the convolution has a stride or dilation. In a kernel of
# one pixel, there is nothing to dilate.
_DILATION = 2


def can_use_onednn(x: Tensor, products: int) -> bool:
    """Whether to write ``products`` multiplications with elements of x (...) as a convolution."""
    return (
        _ONEDNN
        and not torch.compiler.is_compiling()  # nor exporting
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and products >= _LARGE
        and not torch.is_autocast_enabled("cpu")
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear` of x (..., in_features), fast on CPUs."""
    out_features, in_features = weight.shape
    if not can_use_onednn(x, x.numel() * out_features):
        return F.linear(x, weight, bias)
    # (1, in_features, 1, n) with the channels last in memory.
    pixels = x.reshape(1, 1, -1, in_features).permute(0, 3, 1, 2)
    output = F.conv2d(pixels, weight[:, :, None, None], bias, dilation=_DILATION)
    return output.permute(0, 2, 3, 1).reshape(*x.shape[:-1], out_features)


class Linear(nn.Linear):
    """A linear layer; the results are those of `torch.nn.Linear` but for rounding."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply to an input (..., in_features)."""
        return linear(input, self.weight, self.bias)


def convolve(layer: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve x (B, channels, h, w) with the settings of a layer; fast for kernels of 1 x 1 too."""
    pointwise = layer.kernel_size == (1, 1) and layer.stride == (1, 1)
    dilation = _DILATION if pointwise and can_use_onednn(x, x.numel() * weight.shape[0]) else 1
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, dilation)


class PointwiseConv2d(nn.Conv2d):
    """A convolution with a kernel of 1 x 1; the results are those of `torch.nn.Conv2d` but for rounding."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply to an input (B, channels, h, w)."""
        return convolve(self, input, self.weight, self.bias)


def convolutional_attention(q: Tensor, k: Tensor, v: Tensor, valid: Tensor | None, num_heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, as two convolutions per image: keys and values are the kernels.

    Args:
        q: (B, n, D).
        k: (B, k, D).
        v: (B, k, D).
        valid: (B, k) bool, False for keys to ignore; None if all are valid.
        num_heads: each is a group of the convolutions; d = D / num_heads.

    Returns:
        (B, n, D).
    """
    n, width = q.shape[1:]
    d = width // num_heads
    attended = []
    for b in range(len(q)):
        keys = (k[b] * d**-0.5).unflatten(-1, (num_heads, d)).transpose(0, 1).reshape(-1, d, 1, 1)
        pixels = q[b].reshape(1, 1, n, width).permute(0, 3, 1, 2)
        scores = F.conv2d(pixels, keys, dilation=_DILATION, groups=num_heads)
        scores = scores.permute(0, 2, 3, 1).unflatten(-1, (num_heads, -1))  # (1, 1, n, heads, k)
        if valid is not None:
            scores = scores.masked_fill(~valid[b], -torch.inf)
        weights = scores.softmax(-1).flatten(-2).permute(0, 3, 1, 2)
        values = v[b].t().reshape(width, -1, 1, 1)
        output = F.conv2d(weights, values, dilation=_DILATION, groups=num_heads)
        attended.append(output.permute(0, 2, 3, 1).reshape(n, width))
    return torch.stack(attended)
