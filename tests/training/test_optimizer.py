"""Parameter groups, schedules and clipping."""

import math

import pytest
import torch
from torch import nn

from speaq.config import load_config
from speaq.pretrained import Speaq
from speaq.training.optimizer import build_optimizer, clip_gradients, learning_rate_factor, parameter_groups
from tiny_model import tiny_config


@pytest.fixture(scope="module")
def model() -> Speaq:
    return Speaq(tiny_config())


def solver(*overrides: object):
    return load_config(None, [str(item) for item in overrides]).solver


def test_every_trained_parameter_is_in_one_group_with_its_rate(model):
    multipliers = ("SOLVER.BASE_LR", 1.0, "SOLVER.BACKBONE_MULTIPLIER", 0.1)
    multipliers += ("SOLVER.RELATION_MULTIPLIER", 2.0, "SOLVER.ENTITY_MULTIPLIER", 3.0)
    rates = {
        id(parameter): group["lr"]
        for group in parameter_groups(model, solver(*multipliers))
        for parameter in group["params"]
    }
    expected = {
        "decoder.relation_layers.0.feedforward.expand.weight": 2.0,
        "decoder.relation_embedding.weight": 2.0,
        "heads.predicate_class.weight": 2.0,
        "decoder.subject_layers.0.self_norm.weight": 3.0,
        "decoder.object_position.0.linear.weight": 3.0,
        "heads.box.layers.0.weight": 3.0,
        "encoder.layers.0.feedforward.expand.weight": 1.0,
        "projection.weight": 1.0,
    }
    named = dict(model.named_parameters())
    assert {name: rates[id(named[name])] for name in expected} == expected
    trained = {name for name, parameter in named.items() if parameter.requires_grad}
    assert len(rates) == len(trained) < len(named)
    assert {rates[id(named[name])] for name in trained if name.startswith("backbone.")} == {0.1}


def test_equal_rates_make_one_group(model):
    groups = parameter_groups(model, solver("SOLVER.BACKBONE_MULTIPLIER", 1.0))
    assert len(groups) == 1


def test_steps_and_warm_up():
    settings = solver("SOLVER.STEPS", "(10, 20)", "SOLVER.WARMUP_ITERS", 4, "SOLVER.WARMUP_FACTOR", 0.2)
    factors = [learning_rate_factor(settings, step) for step in (0, 2, 4, 9, 10, 19, 20)]
    assert factors == pytest.approx([0.2, 0.6, 1.0, 1.0, 0.1, 0.1, 0.01])


def test_cosine():
    overrides = (
        "SOLVER.LR_SCHEDULER_NAME",
        "WarmupCosineLR",
        "SOLVER.MAX_ITER",
        100,
        "SOLVER.WARMUP_ITERS",
        0,
    )
    settings = solver(*overrides, "SOLVER.BASE_LR", 1e-2, "SOLVER.BASE_LR_END", 1e-3)
    factors = [learning_rate_factor(settings, step) for step in (0, 25, 50, 100)]
    assert factors == pytest.approx([1.0, 0.1 + 0.45 * (1 + math.cos(math.pi / 4)), 0.55, 0.1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("full_model", ([0.6 * 3 / 13, 0.6 * 4 / 13], [0.6 * 12 / 13])),
        ("norm", ([0.6 * 3 / 5, 0.6 * 4 / 5], [0.6])),
        ("value", ([0.6, 0.6], [0.6])),
    ],
)
def test_clipping(kind, expected):
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 4.0]), torch.tensor([12.0])
    clip = solver(
        "SOLVER.CLIP_GRADIENTS.ENABLED", True, "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", kind,
        "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", 0.6,
    ).clip_gradients  # fmt: skip
    assert clip_gradients(parameters, clip).item() == pytest.approx(13.0)
    assert parameters[0].grad.tolist() == pytest.approx(expected[0], rel=1e-4)
    assert parameters[1].grad.tolist() == pytest.approx(expected[1], rel=1e-4)


def test_gradients_that_are_no_numbers_are_seen():
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([1.0, float("nan")])
    assert not torch.isfinite(clip_gradients([parameter], solver().clip_gradients))


def test_dropping_all_gradients_drops_the_step(model):
    optimizer = build_optimizer(model, solver())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer.zero_grad(set_to_none=True)
    optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
