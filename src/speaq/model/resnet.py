"""ResNet (He et al., CVPR 2016), with the configuration and the tensor names of the transformers library.

It gives the same feature map. Importing the models of transformers takes longer than predicting an image.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from speaq.model.linear import PointwiseConv2d, convolve

_DEFAULTS: dict[str, Any] = {
    "embedding_size": 64,
    "hidden_sizes": (256, 512, 1024, 2048),
    "depths": (3, 4, 6, 3),
    "layer_type": "bottleneck",
    "downsample_in_bottleneck": False,
}


class FrozenBatchNorm2d(nn.Module):
    """Batch normalization with constant statistics and affine terms, without parameters."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Factor and summand (channels,) of each channel."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x (B, channels, h, w)."""
        scale, shift = (values.to(x.dtype)[:, None, None] for values in self.affine())
        return torch.addcmul(shift, x, scale)


class ConvNorm(nn.Module):
    """A convolution without bias and a batch norm, with a ReLU after them if asked for."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int = 1):
        super().__init__()
        convolution = PointwiseConv2d if kernel == 1 else nn.Conv2d
        self.convolution = convolution(
            in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False
        )
        self.normalization: nn.Module = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, relu: bool = True) -> Tensor:
        """Apply to x (B, channels, h, w)."""
        convolution, norm = self.convolution, self.normalization
        if isinstance(norm, FrozenBatchNorm2d):
            # Scaling the weights is cheaper than scaling the feature map.
            scale, shift = norm.affine()
            weight = convolution.weight * scale[:, None, None, None]
            x = convolve(convolution, x, weight, shift)
        else:
            x = norm(convolution(x))
        return x.relu_() if relu else x


class Residual(nn.Module):
    """Two 3x3 convolutions, or a bottleneck of 1x1, 3x3 and 1x1, beside a shortcut."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, bottleneck: bool, stride_in_1x1: bool
    ):
        super().__init__()
        self.shortcut = (
            nn.Identity()
            if in_channels == out_channels and stride == 1
            else ConvNorm(in_channels, out_channels, kernel=1, stride=stride)
        )
        if bottleneck:
            width = out_channels // 4
            first, second = (stride, 1) if stride_in_1x1 else (1, stride)
            self.layer = nn.ModuleList(
                (
                    ConvNorm(in_channels, width, kernel=1, stride=first),
                    ConvNorm(width, width, kernel=3, stride=second),
                    ConvNorm(width, out_channels, kernel=1),
                )
            )
        else:
            self.layer = nn.ModuleList(
                (
                    ConvNorm(in_channels, out_channels, kernel=3, stride=stride),
                    ConvNorm(out_channels, out_channels, kernel=3),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """Apply to x (B, channels, h, w)."""
        shortcut = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(x, relu=False)
        *inner, last = self.layer
        for layer in inner:
            x = layer(x)
        return last(x, relu=False).add_(shortcut).relu_()


class ResNet(nn.Module):
    """A ResNet up to its last stage.

    Args:
        config: entries of a transformers ``ResNetConfig``; see `can_build`.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        values = {**_DEFAULTS, **config}
        stem, sizes = values["embedding_size"], values["hidden_sizes"]
        self.embedder = nn.ModuleDict({"embedder": ConvNorm(3, stem, kernel=7, stride=2)})
        self.pooler = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages = nn.ModuleList()
        for i, (in_channels, channels) in enumerate(pairwise((stem, *sizes))):
            layers = nn.Sequential(
                *(
                    Residual(
                        in_channels if j == 0 else channels,
                        channels,
                        stride=2 if i > 0 and j == 0 else 1,
                        bottleneck=values["layer_type"] == "bottleneck",
                        stride_in_1x1=values["downsample_in_bottleneck"],
                    )
                    for j in range(values["depths"][i])
                )
            )
            stages.append(nn.ModuleDict({"layers": layers}))
        self.encoder = nn.ModuleDict({"stages": stages})
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    @staticmethod
    def can_build(config: dict[str, Any]) -> bool:
        """Whether the configuration is that of such a ResNet, with nothing out of the ordinary."""
        return (
            config.get("model_type") == "resnet"
            and config.keys() <= {"model_type", "out_features", *_DEFAULTS}
            and config.get("layer_type", "bottleneck") in ("basic", "bottleneck")
            and len(config.get("depths", _DEFAULTS["depths"]))
            == len(config.get("hidden_sizes", _DEFAULTS["hidden_sizes"]))
        )

    def forward(self, images: Tensor) -> Tensor:
        """Feature map (B, channels, h, w) of images (B, 3, H, W)."""
        x = self.pooler(self.embedder["embedder"](images))
        for stage in self.encoder["stages"].children():
            for layers in stage.children():
                x = layers(x)
        return x
