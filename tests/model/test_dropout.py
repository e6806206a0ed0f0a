import pytest
import torch

from speaq.model.dropout import Dropout, DropoutAttention, DropoutReLU, keep_mask


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_keep_mask_has_the_probability(probability):
    torch.manual_seed(0)
    keep, factor = keep_mask(torch.Size((1000, 1001)), probability)
    number = keep.numel()
    assert keep.shape == (1000, 1001)
    spread = (probability * (1 - probability) / number) ** 0.5
    assert abs(keep.double().mean() - (1 - probability)) < 4 * spread + 2**-17
    assert factor == pytest.approx(1 / (1 - probability), rel=1e-4)


def test_keep_mask_of_neighbours_is_independent():
    torch.manual_seed(1)
    keep, _ = keep_mask(torch.Size((400_000,)), 0.3)
    dropped = (keep == 0).double()
    for distance in (1, 2, 3, 4):
        both = (dropped[distance:] * dropped[:-distance]).mean()
        assert abs(both - 0.09) < 4 * (0.09 * 0.91 / len(keep)) ** 0.5


def test_keep_mask_of_probability_0_keeps_all():
    keep, factor = keep_mask(torch.Size((10_000,)), 0.0)
    assert keep.all()
    assert factor == 1


def test_dropout_keeps_the_mean_and_is_off_in_evaluation():
    torch.manual_seed(0)
    dropout = Dropout(0.1)
    x = torch.ones(300, 1000)
    result = dropout(x)
    assert result.unique().tolist() == [0, pytest.approx(1 / 0.9, rel=1e-4)]
    assert result.mean() == pytest.approx(1, abs=3e-3)
    assert dropout.eval()(x) is x


def test_dropout_is_reproducible():
    dropout, x = Dropout(0.5), torch.ones(1001)
    torch.manual_seed(3)
    first = dropout(x)
    torch.manual_seed(3)
    assert (dropout(x) == first).all()


@pytest.mark.parametrize("masked", [False, True])
def test_dropout_attention_equals_the_equation(masked):
    torch.manual_seed(0)
    shape = (2, 3, 5, 4)
    q, k, v = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
    valid = torch.ones(2, 1, 1, 5, dtype=torch.bool)
    if masked:
        valid[1, ..., 3:] = False

    def attend(q, k, v):
        torch.manual_seed(7)
        return DropoutAttention.apply(q, k, v, valid if masked else None, 0.3)

    torch.manual_seed(7)
    keep, factor = keep_mask(torch.Size((2, 3, 5, 5)), 0.3)
    scores = (q @ k.transpose(-1, -2) / 2).masked_fill(~valid, -torch.inf)
    expected = (scores.softmax(-1) * keep * factor) @ v
    torch.testing.assert_close(attend(q, k, v), expected)
    assert torch.autograd.gradcheck(attend, (q, k, v))


def test_dropout_relu_equals_relu_and_dropout():
    torch.manual_seed(0)
    x = torch.randn(40, 50, dtype=torch.float64, requires_grad=True)
    module = DropoutReLU(0.3)

    def apply(x):
        torch.manual_seed(7)
        return module(x)

    torch.manual_seed(7)
    keep, factor = keep_mask(x.shape, 0.3)
    torch.testing.assert_close(apply(x), x.relu() * keep * factor)
    assert torch.autograd.gradcheck(apply, (x[:3, :4],))
    assert (module.eval()(x) == x.relu()).all()
