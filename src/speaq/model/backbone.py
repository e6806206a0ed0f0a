"""Backbones: ResNets, and others of the transformers library, of which the last stage is used."""

import json
from typing import Any

import torch
from torch import Tensor, nn

from speaq.errors import SpeaqError
from speaq.model.resnet import FrozenBatchNorm2d, ResNet

_RESNET_DEPTHS = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


def resnet_config(
    *, depth: int, num_stages: int = 4, stem_width: int = 64, width: int = 64, stride_in_1x1: bool = False
) -> dict[str, Any]:
    """Configuration of a ResNet (He et al., CVPR 2016) that ends with stage ``num_stages``.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_stages: 1 to 4; the output stride is 2 ** (num_stages + 1).
        stem_width: channels of the stem.
        width: channels of the 3x3 convolutions in the first stage.
        stride_in_1x1: whether bottlenecks have their stride in the 1x1 instead of the 3x3 convolution.
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


# Entries of a transformers configuration that do not shape a backbone.
_IRRELEVANT = ("architectures", "dtype", "id2label", "label2id", "transformers_version", "out_indices")


def pretrained_backbone_config(name: str) -> dict[str, Any]:
    """Configuration of a transformers backbone on the hub or in a folder, with its last stage as output.

    Raises:
        SpeaqError: there is no such model, or it cannot be a backbone.
    """
    from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig

    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise SpeaqError(
            f"MODEL.BACKBONE.NAME {name!r}: neither 'build_resnet_backbone' nor a transformers model that "
            f"can be read ({_first_line(error)})"
        ) from error
    if type(config) not in MODEL_FOR_BACKBONE_MAPPING or not getattr(config, "stage_names", None):
        raise SpeaqError(
            f"MODEL.BACKBONE.NAME {name!r}: a {config.model_type} model cannot be a backbone; ResNet, "
            "ConvNeXt, Swin, DINOv2 and others can"
        )
    # Through JSON, so that the configuration does not change when it is saved and read.
    values = json.loads(config.to_json_string(use_diff=True))
    shape = {key: value for key, value in values.items() if key not in _IRRELEVANT}
    return {**shape, "model_type": config.model_type, "out_features": [config.stage_names[-1]]}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _is_counter(name: str) -> bool:
    """Whether a tensor is the batch counter of a batch norm."""
    return name.endswith("num_batches_tracked")


def _replace_batch_norms(module: nn.Module) -> None:
    """Replace every nn.BatchNorm2d of ``module`` by a frozen one with the same values."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, child.eps)
            frozen.load_state_dict(child.state_dict(), strict=False)
            setattr(module, name, frozen)
        else:
            _replace_batch_norms(child)


def _transformers_backbone(config: dict[str, Any]) -> Any:
    """A backbone of transformers, whose output has ``feature_maps``."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import CONFIG_MAPPING, AutoBackbone

    values = dict(config)
    model_type = values.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise SpeaqError(
            f"a backbone of model_type {model_type!r}: expected one that the installed transformers "
            "knows, such as 'resnet'; update transformers, or correct the backbone in config.json"
        )
    if "use_pretrained_backbone" in values:  # of timm, which would download weights
        values["use_pretrained_backbone"] = False
    try:
        return AutoBackbone.from_config(CONFIG_MAPPING[model_type](**values))
    except StrictDataclassError as error:
        reason = " ".join(str(error).split())
        raise SpeaqError(f"a backbone of model_type {model_type!r}: {reason}") from error


class Backbone(nn.Module):
    """The feature map of an image, from the last stage of a transformers backbone.

    Args:
        config: configuration of the transformers backbone, with ``model_type``.
        frozen_norm: replace batch norms by frozen ones.
        freeze_at: number of parts that are not trained, norms included; 1: the stem, 2: also the first stage,
            and so on. The stages of a plain vision transformer are its blocks.

    Attributes:
        channels: channels of the feature map.
        stride: pixels per cell of the feature map.

    Raises:
        SpeaqError: there is no such backbone, it takes images of one size only, or has no parts to freeze.
    """

    def __init__(self, config: dict[str, Any], *, frozen_norm: bool = True, freeze_at: int = 2):
        super().__init__()
        self.config = config
        self.body = ResNet(config) if ResNet.can_build(config) else _transformers_backbone(config)
        self.channels, self.stride = self._probe()
        if frozen_norm:
            _replace_batch_norms(self.body)
        for part in self._parts(freeze_at):
            _replace_batch_norms(part)
            part.requires_grad_(False)

    def load_pretrained(self, name: str) -> None:
        """Load the weights of a transformers model with the same configuration, by hub id or folder.

        Raises:
            SpeaqError: there are no weights, or they are not those of this backbone.
        """
        try:
            # Not AutoBackbone.from_pretrained: it asks the hub whether the name exists, even for a folder.
            template = _transformers_backbone(self.config)
            pretrained, report = type(template).from_pretrained(
                name, config=template.config, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise SpeaqError(
                f"MODEL.BACKBONE.NAME {name!r}: no weights that can be read ({_first_line(error)}); "
                "set MODEL.BACKBONE.PRETRAINED False to start from random ones"
            ) from error
        # Norms after a stage are the backbone's own: a classifier has none, and they start as identity.
        missing = sorted(key for key in report["missing_keys"] if "hidden_states_norms" not in key)
        state = {key: value for key, value in pretrained.state_dict().items() if not _is_counter(key)}
        result = self.body.load_state_dict(state, strict=False)
        missing += [key for key in result.missing_keys if not _is_counter(key)]
        if missing or result.unexpected_keys:
            raise SpeaqError(
                f"MODEL.BACKBONE.NAME {name!r}: weights do not fit the backbone; missing {missing[:3]}, "
                f"unexpected {result.unexpected_keys[:3]}"
            )

    def _parts(self, number: int) -> list[nn.Module]:
        """The first ``number`` of: the stem, then the stages."""
        # A few families have no stem of their own: it is in the first stage.
        stem_name, stem = next(
            (item for item in self.body.named_modules() if item[0].endswith(("embedder", "embeddings"))),
            ("none", nn.Identity()),
        )
        stages = next(
            (
                list(module)
                for name, module in self.body.named_modules()
                if isinstance(module, nn.ModuleList) and not name.startswith(stem_name)
            ),
            [],
        )
        if number > 1 and not stages:
            raise SpeaqError(
                f"MODEL.BACKBONE.FREEZE_AT {number}: the stages of a {self.config['model_type']} backbone "
                "are unknown; set it to 0 to train it whole"
            )
        return [stem, *stages][:number]

    @torch.enable_grad()
    def _probe(self) -> tuple[int, int]:
        """Channels and stride of the feature map; excludes parameters without a gradient from training."""
        side = 256
        training = self.body.training
        try:
            self.body.eval()
            features = self.forward(torch.zeros(1, 3, side, side))
        except (RuntimeError, ValueError) as error:
            raise SpeaqError(
                f"a {self.config['model_type']} backbone that does not take RGB images of {side} x {side} "
                f"pixels ({_first_line(error)}); choose one that takes any size"
            ) from error
        self.body.train(training)
        if features.requires_grad:  # unless the model is made in inference mode
            # Distributed training waits for the gradient of every parameter that requires one.
            parameters = [parameter for parameter in self.body.parameters() if parameter.requires_grad]
            gradients = torch.autograd.grad(features.sum(), parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.requires_grad_(gradient is not None)
        return features.shape[1], round(side / features.shape[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Feature map (B, channels, h, w) of normalised images (B, 3, H, W)."""
        features = self.body(images)
        return features if isinstance(self.body, ResNet) else features.feature_maps[-1]
