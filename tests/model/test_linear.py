import pytest
import torch
from torch import nn

from speaq.model.linear import Linear, PointwiseConv2d, convolutional_attention


def gradients(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The output for x, and the gradients of x and of the parameters."""
    x = x.detach().requires_grad_()
    output = module(x)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return [output, *torch.autograd.grad((output * weights).sum(), [x, *module.parameters()])]


@pytest.mark.parametrize("shape", [(300, 256), (2, 150, 256), (3, 4, 50, 256), (2, 3, 256), (0, 256)])
def test_linear_equals_torch(shape):
    torch.manual_seed(0)
    fast, plain = Linear(256, 200), nn.Linear(256, 200)
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(shape)
    for value, expected in zip(gradients(fast, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-3)
    assert fast(x).is_contiguous()


def test_linear_of_a_transposed_input_equals_torch():
    torch.manual_seed(0)
    fast = Linear(256, 200)
    x = torch.randn(256, 300).t()
    torch.testing.assert_close(fast(x), nn.functional.linear(x, fast.weight, fast.bias), rtol=1e-4, atol=1e-4)


def test_linear_in_double_precision_and_under_autocast():
    torch.manual_seed(0)
    fast, x = Linear(256, 200), torch.randn(300, 256)
    with torch.autocast("cpu", torch.bfloat16):
        half = fast(x)
    assert half.dtype == torch.bfloat16
    double = fast.double()(x.double())
    torch.testing.assert_close(half.double(), double, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("stride", [1, 2])
def test_pointwise_convolution_equals_torch(stride):
    torch.manual_seed(0)
    fast, plain = PointwiseConv2d(64, 128, 1, stride), nn.Conv2d(64, 128, 1, stride)
    plain.load_state_dict(fast.state_dict())
    x = torch.randn(2, 64, 40, 31).to(memory_format=torch.channels_last)
    for value, expected in zip(gradients(fast, x), gradients(plain, x), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_convolutional_attention_equals_torch(masked):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 90, 48), torch.randn(2, 70, 48), torch.randn(2, 70, 48)
    valid = torch.ones(2, 70, dtype=torch.bool)
    valid[1, 50:] = not masked

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (3, 16)).transpose(1, 2)

    expected = nn.functional.scaled_dot_product_attention(
        split(q), split(k), split(v), attn_mask=valid[:, None, None]
    )
    attended = convolutional_attention(q, k, v, valid if masked else None, 3)
    torch.testing.assert_close(attended, expected.transpose(1, 2).flatten(2), rtol=1e-5, atol=1e-5)
