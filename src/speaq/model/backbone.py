"""Image features: a transformers backbone, its last stage projected by the model.

B: images, H, W: image height and width, h, w: feature map height and width.
"""

from typing import Any

import torch
from torch import Tensor, nn

from speaq.errors import SpeaqError

_RESNET_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics and affine terms are constants: no parameters, eps 1e-5."""

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

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (B, C, h, w)."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        shift = self.bias - self.running_mean * scale
        return x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]


def resnet_config(
    *, depth: int, num_stages: int = 4, stem_width: int = 64, width: int = 64, stride_in_1x1: bool = False
) -> dict[str, Any]:
    """Configuration of a ResNet (He et al., CVPR 2016) that ends with stage ``num_stages``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_stages: 1 to 4; the output stride is 2 ** (num_stages + 1).
        stem_width: channels of the stem.
        width: channels of the first stage's 3x3 convolutions.
        stride_in_1x1: whether bottlenecks subsample in the 1x1 instead of the 3x3 convolution.
    """
    layer_type, depths = _RESNET_DEPTHS[depth]
    expansion = 4 if layer_type == "bottleneck" else 1
    return {
        "model_type": "resnet",
        "embedding_size": stem_width,
        "hidden_sizes": [width * expansion * 2**stage for stage in range(num_stages)],
        "depths": list(depths[:num_stages]),
        "layer_type": layer_type,
        "downsample_in_bottleneck": stride_in_1x1,
        "out_features": [f"stage{num_stages}"],
    }


def pretrained_backbone_config(name: str) -> dict[str, Any]:
    """Configuration of a transformers backbone on the hub or in a folder, which gives its last stage.

    Raises:
        SpeaqError: there is no such model, or it cannot be a backbone.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise SpeaqError(
            f"MODEL.BACKBONE.NAME {name!r}: neither 'build_resnet_backbone' nor a transformers model that "
            f"can be read ({str(error).splitlines()[0]})"
        ) from error
    if not hasattr(config, "stage_names"):
        raise SpeaqError(f"MODEL.BACKBONE.NAME {name!r}: a {config.model_type} model cannot be a backbone")
    last = config.stage_names[-1]
    return {
        **config.to_diff_dict(),
        "model_type": config.model_type,
        "out_features": [last],
        "out_indices": None,
    }


def _replace_batch_norms(module: nn.Module) -> None:
    """Exchange every nn.BatchNorm2d below ``module`` by a frozen one with the same values."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, frozen)
        else:
            _replace_batch_norms(child)


class Backbone(nn.Module):
    """The feature map of an image, from the last stage of a transformers backbone.

    Args:
        config: of the transformers backbone, with ``model_type``.
        frozen_norm: make batch norms constants.
        freeze_at: parts that are not trained; 1: the stem, 2: and the first stage, and so on.

    Attributes:
        channels: of the feature map.
        stride: pixels per cell of the feature map.
    """

    def __init__(self, config: dict[str, Any], *, frozen_norm: bool = True, freeze_at: int = 2):
        super().__init__()
        from transformers import AutoBackbone, AutoConfig

        values = {key: value for key, value in config.items() if key != "model_type"}
        self.body = AutoBackbone.from_config(AutoConfig.for_model(config["model_type"], **values))
        self.channels: int = self.body.channels[-1]
        self.stride = self._measure_stride()
        if frozen_norm:
            _replace_batch_norms(self.body)
        for part in self._parts()[:freeze_at]:
            part.requires_grad_(False)

    def load_pretrained(self, name: str) -> None:
        """Take the weights of a transformers model of the same configuration, by hub id or folder."""
        from transformers import AutoBackbone

        pretrained = AutoBackbone.from_pretrained(name, out_features=self.body.config.out_features)
        counters = {key for key in pretrained.state_dict() if key.endswith("num_batches_tracked")}
        state = {key: value for key, value in pretrained.state_dict().items() if key not in counters}
        result = self.body.load_state_dict(state, strict=False)
        missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
        if missing or result.unexpected_keys:
            raise SpeaqError(
                f"MODEL.BACKBONE.NAME {name!r}: weights do not fit the backbone; missing {missing[:3]}, "
                f"unexpected {result.unexpected_keys[:3]}"
            )

    def _parts(self) -> list[nn.Module]:
        """Stem and stages, in the order in which data passes them."""
        stem = [getattr(self.body, name) for name in ("embedder", "embeddings") if hasattr(self.body, name)]
        encoder = getattr(self.body, "encoder", None)
        stages = [getattr(encoder, name) for name in ("stages", "layers", "layer") if hasattr(encoder, name)]
        return stem + [stage for group in stages[:1] for stage in group]

    @torch.no_grad()
    def _measure_stride(self) -> int:
        side = 256
        training = self.body.training
        cells = self.body.eval()(torch.zeros(1, 3, side, side)).feature_maps[-1].shape[-1]
        self.body.train(training)
        return round(side / cells)

    def forward(self, images: Tensor) -> Tensor:
        """Feature map (B, channels, h, w) of normalised images (B, 3, H, W)."""
        return self.body(images).feature_maps[-1]
