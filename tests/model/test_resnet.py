import pytest
import torch
from transformers import AutoBackbone, ResNetConfig

from speaq.model.backbone import resnet_config
from speaq.model.resnet import ConvNorm, FrozenBatchNorm2d, ResNet


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("num_stages", [3, 4])
@pytest.mark.parametrize("stride_in_1x1", [False, True])
def test_resnet_equals_the_one_of_transformers(depth, num_stages, stride_in_1x1):
    torch.manual_seed(0)
    config = resnet_config(
        depth=depth, num_stages=num_stages, stem_width=8, width=8, stride_in_1x1=stride_in_1x1
    )
    assert ResNet.can_build(config)
    expected = AutoBackbone.from_config(
        ResNetConfig(**{k: v for k, v in config.items() if k != "model_type"})
    )
    ours = ResNet(config)
    ours.load_state_dict(expected.state_dict())
    images = torch.randn(2, 3, 72, 98)
    for training in (True, False):
        theirs = expected.train(training)(images).feature_maps[-1]
        features = ours.train(training)(images)
        torch.testing.assert_close(features, theirs, atol=1e-4, rtol=1e-4)
        for model, output in ((ours, features), (expected, theirs)):
            model.zero_grad()
            output.square().mean().backward()
        for (name, one), other in zip(ours.named_parameters(), expected.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-3, msg=name)


def test_resnets_out_of_the_ordinary_are_left_to_transformers():
    config = resnet_config(depth=18)
    assert not ResNet.can_build({**config, "hidden_act": "gelu"})
    assert not ResNet.can_build({**config, "model_type": "convnext"})
    assert not ResNet.can_build({**config, "depths": [2, 2]})


def test_frozen_norm_scales_the_weights_of_its_convolution():
    for kernel, stride in ((1, 1), (1, 2), (3, 2)):
        layer, frozen = ConvNorm(4, 6, kernel=kernel, stride=stride).eval(), FrozenBatchNorm2d(6)
        for tensor in layer.normalization.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
        x = torch.randn(2, 4, 9, 9)
        expected = layer(x)
        frozen.load_state_dict(layer.normalization.state_dict(), strict=False)
        layer.normalization = frozen
        torch.testing.assert_close(layer(x), expected)
