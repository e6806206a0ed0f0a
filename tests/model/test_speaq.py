"""The assembled network: shapes, masks, initialisation, gradients."""

import doctest
import math
from typing import Any

import pytest
import torch
from torch import nn

from speaq.model import speaq
from speaq.model.attention import Attention
from speaq.model.backbone import FrozenBatchNorm2d
from speaq.model.decoder import Conditioning, Memory
from speaq.model.position import grid_embedding
from speaq.pretrained import Speaq
from speaq.structures import RawOutput
from tiny_model import tiny_config

SIZES = torch.tensor([[100, 135], [70, 97]])


def tiny_model(**changes: Any) -> Speaq:
    values: dict[str, Any] = {
        "objects": ("cup", "table", "cat"),
        "predicates": ("on", "near"),
        "feedforward_dim": 32,
        "dropout": 0.0,
        "num_queries": 5,
        "query_multiplier": 2,
    }
    torch.manual_seed(0)
    return Speaq(tiny_config(**{**values, **changes}))


def batch() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (2, 3, 100, 135), generator=generator, dtype=torch.uint8)


def tensors(output: RawOutput) -> list[torch.Tensor]:
    values = (getattr(output, name) for name in RawOutput.__dataclass_fields__)
    return [value for value in values if value is not None]


def assert_same(a: RawOutput, b: RawOutput, atol: float = 0.0) -> None:
    for ours, theirs in zip(tensors(a), tensors(b), strict=True):
        torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("extras", [False, True])
def test_every_trainable_parameter_gets_a_gradient(multiplier, layers, extras):
    model = tiny_model(
        query_multiplier=multiplier, decoder_layers=layers, reference_points=extras, dense_head=extras
    ).train()
    output = model(batch(), SIZES)
    assert output.subject_logits.shape == output.object_logits.shape == (layers, 2, 5, 4)
    assert output.predicate_logits.shape == (layers, 2, 5 * multiplier, 3)
    assert output.predicate_boxes.shape == (layers, 2, 5 * multiplier, 4)
    assert (output.token_logits is not None) == extras
    sum(tensor.square().sum() for tensor in tensors(output)).backward()  # type: ignore[union-attr]
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen and all(name.startswith("backbone.") for name in frozen)


def test_what_is_in_the_padding_has_no_influence():
    model, images = tiny_model().eval(), batch()
    noisy = images.clone()
    noisy[1, :, 70:] = 255
    noisy[1, :, :, 97:] = 3
    with torch.no_grad():
        assert_same(model(images, SIZES), model(noisy, SIZES))


def test_padding_cells_are_masked_and_positions_do_not_depend_on_the_padding():
    model = tiny_model().eval()
    with torch.no_grad():
        tokens, position, valid, grid = model._tokens(batch(), SIZES)
        assert grid == (4, 5) and valid is not None
        # 70 x 97 pixels reach into 3 x 4 cells of 32 x 32.
        expected = torch.zeros(4, 5, dtype=torch.bool)
        expected[:3, :4] = True
        assert valid.tolist() == [[True] * 20, expected.flatten().tolist()]
        _, alone, nothing, _ = model._tokens(batch()[1:, :, :70, :97], None)
        assert nothing is None
        torch.testing.assert_close(position[1][valid[1]], alone[0])
        changed = torch.where(valid[..., None], tokens, 7.0)
        results = []
        for x in (tokens, changed):
            memory = model.encoder(x, position, valid)
            results.append(model.decoder(Memory(memory, memory + position, valid)))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_sizes_without_padding_equal_no_sizes():
    model, images = tiny_model().eval(), batch()
    sizes = torch.tensor([[100, 135], [100, 135]])
    with torch.no_grad():
        assert_same(model(images, sizes), model(images))
        each = model(images[:1]), model(images[1:])
        together = model(images)
    for a, b, c in zip(tensors(each[0]), tensors(each[1]), tensors(together), strict=True):
        torch.testing.assert_close(torch.cat((a, b), dim=1), c, atol=1e-5, rtol=0)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_model_can_be_made_without_autograd(context):
    with context():
        made = tiny_model().eval()
        assert_same(made(batch()), tiny_model().eval()(batch()))


def test_position_code_is_that_of_detr():
    code = grid_embedding(torch.tensor([[2, 3]]), 2, 3, 8)[0, 1, 0]
    y, x = 2 / (2 + 1e-6) * 2 * math.pi, 1 / (3 + 1e-6) * 2 * math.pi
    expected = [f(v / 10000 ** (i / 4)) for v in (y, x) for i in (0, 2) for f in (math.sin, math.cos)]
    torch.testing.assert_close(code, torch.tensor(expected), atol=1e-5, rtol=0)


def test_bgr_models_see_the_channels_in_their_order():
    rgb = tiny_model(pixel_mean=(1.0, 2.0, 3.0), pixel_std=(4.0, 5.0, 6.0)).eval()
    bgr = tiny_model(pixel_mean=(1.0, 2.0, 3.0), pixel_std=(4.0, 5.0, 6.0), pixel_order="BGR").eval()
    with torch.no_grad():
        assert_same(rgb(batch().flip(1)), bgr(batch()))


@pytest.mark.parametrize("reference_points", [False, True])
def test_conditionings_start_without_effect(reference_points):
    model = tiny_model(decoder_layers=3, reference_points=reference_points).eval()
    with torch.no_grad():
        before = model(batch(), SIZES, all_layers=True)
        for module in model.modules():
            if isinstance(module, Conditioning):
                for parameter in module.attention.parameters():
                    parameter.normal_()
        assert_same(before, model(batch(), SIZES, all_layers=True))


def test_initialisation():
    model = tiny_model(hidden_dim=64, num_queries=200)

    def bound(weight: torch.Tensor) -> float:
        return float(weight.detach().abs().max())

    layer = model.decoder.subject_layers[0]
    assert isinstance(layer, nn.Module)
    # Packed (3 D, D) in the published model, hence sqrt(6 / (4 D)); else sqrt(6 / (in + out)).
    for attention, key_width in (
        (layer.self_attention, None),
        (model.decoder.object_position[0].attention, None),
        (model.decoder.relation_position[0].attention, 128),
        (model.decoder.relation_graph[0].attention, 192),
    ):
        assert isinstance(attention, Attention)
        packed = key_width is None
        assert bound(attention.query.weight) == pytest.approx((6 / (256 if packed else 128)) ** 0.5, rel=0.02)
        width = 256 if packed else key_width + 64
        assert bound(attention.key.weight) == pytest.approx((6 / width) ** 0.5, rel=0.02)
        assert bound(attention.value.weight) == pytest.approx((6 / width) ** 0.5, rel=0.02)
        assert bound(attention.output.weight) == pytest.approx((6 / 128) ** 0.5, rel=0.02)
        assert not attention.query.bias.any() and not attention.output.bias.any()
    assert bound(layer.feedforward.expand.weight) == pytest.approx((6 / 96) ** 0.5, rel=0.02)
    assert bound(model.heads.entity_class.weight) == pytest.approx((6 / 68) ** 0.5, rel=0.05)
    for name in ("subject", "object", "relation"):
        weight = getattr(model.decoder, f"{name}_embedding").weight.detach()
        assert float(weight.mean()) == pytest.approx(0, abs=0.03)
        assert float(weight.std()) == pytest.approx(1, abs=0.03)
    torch.manual_seed(0)
    backbone = tiny_model().backbone
    for ours, fresh in zip(backbone.state_dict().values(), model.backbone.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, fresh)


def test_training_and_evaluation_agree_without_dropout():
    model = tiny_model(dense_head=True)
    with torch.no_grad():
        trained = model.train()(batch(), SIZES)
        evaluated = model.eval()(batch(), SIZES, all_layers=True)
        last = model(batch(), SIZES)
    assert trained.token_logits is not None and evaluated.token_logits is None
    trained.token_logits = trained.token_boxes = trained.token_points = None
    assert_same(trained, evaluated, atol=1e-6)
    assert_same(evaluated.last_layer(), last, atol=1e-6)


def test_dropout_acts_in_training_only():
    model = tiny_model(dropout=0.5)
    with torch.no_grad():
        assert not torch.equal(model.train()(batch()).subject_logits, model(batch()).subject_logits)
        assert_same(model.eval()(batch()), model(batch()))


def test_gradient_checkpointing_changes_nothing():
    results = []
    for enabled in (False, True):
        torch.manual_seed(0)
        model = tiny_model(dropout=0.5).train()
        model.set_gradient_checkpointing(enabled)
        output = model(batch(), SIZES)
        (output.predicate_logits.sum() + output.subject_boxes.sum()).backward()
        gradients = [value.grad for value in model.parameters() if value.grad is not None]
        results.append([output.predicate_logits.detach(), *gradients])
    for plain, checkpointed in zip(*results, strict=True):
        assert torch.equal(plain, checkpointed)


def test_reference_points_are_where_boxes_start():
    model = tiny_model(reference_points=True, num_queries=9, query_multiplier=3).eval()
    with torch.no_grad():
        output = model(batch(), SIZES)
    points = torch.tensor([[x, y] for y in (1 / 6, 0.5, 5 / 6) for x in (1 / 6, 0.5, 5 / 6)])
    side = float(torch.sigmoid(torch.tensor(-1.1)))
    for boxes, m in ((output.subject_boxes, 1), (output.object_boxes, 1), (output.predicate_boxes, 3)):
        expected = points.repeat_interleave(m, dim=0).expand(1, 2, -1, -1)
        torch.testing.assert_close(boxes[..., :2], expected)
        torch.testing.assert_close(boxes[..., 2:], torch.full_like(boxes[..., 2:], side))


def test_tokens_stand_where_their_cells_are():
    output = tiny_model(dense_head=True).train()(batch(), SIZES)
    assert output.token_points is not None and output.token_boxes is not None
    points = output.token_points.view(2, 4, 5, 2)
    torch.testing.assert_close(points[0, 2, 3], torch.tensor([3.5 * 32 / 135, 2.5 * 32 / 100]))
    torch.testing.assert_close(points[1, 2, 3], torch.tensor([3.5 * 32 / 97, 2.5 * 32 / 70]))
    torch.testing.assert_close(output.token_boxes[0, :, :2], output.token_points[0].clamp(1e-3, 1 - 1e-3))


def test_bfloat16_is_close_to_float32():
    model = tiny_model(reference_points=True, dense_head=True).train()
    exact = model(batch(), SIZES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch(), SIZES)
    assert all(tensor.dtype == torch.float32 for tensor in tensors(rough))
    assert_same(exact, rough, atol=0.2)
    rough.predicate_logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.filterwarnings("ignore")
def test_torch_compile():
    model = tiny_model(encoder_layers=0, decoder_layers=1, reference_points=True).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert_same(model(batch()), compiled(batch()), atol=1e-6)


def stages(model: Speaq, kind: type[nn.Module]) -> list[str]:
    return [name for name, module in model.backbone.named_modules() if isinstance(module, kind)]


@pytest.mark.parametrize("freeze_at", range(6))
def test_freeze_at(freeze_at):
    model = tiny_model(freeze_at=freeze_at, frozen_norm=False)
    trained = {name for name, p in model.backbone.named_parameters() if p.requires_grad}
    places = ["body.embedder.", *(f"body.encoder.stages.{i}." for i in range(4))]
    for i, place in enumerate(places):
        assert any(name.startswith(place) for name in trained) == (i >= freeze_at)
        # The norms of frozen parts are constants too, those of the others are trained.
        assert any(name.startswith(place) for name in stages(model, nn.BatchNorm2d)) == (i >= freeze_at)
        assert any(name.startswith(place) for name in stages(model, FrozenBatchNorm2d)) == (i < freeze_at)


def test_trained_norms_follow_the_data_and_frozen_ones_do_not():
    for frozen_norm in (True, False):
        model = tiny_model(frozen_norm=frozen_norm, freeze_at=1).train()
        before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
        model(batch(), SIZES)
        after = model.backbone.state_dict()
        changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
        assert bool(changed) != frozen_norm
        assert not any("embedder" in name for name in changed)


def test_frozen_norm_is_batch_norm_in_evaluation():
    norm, x = nn.BatchNorm2d(3).eval(), torch.randn(2, 3, 4, 5)
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    frozen = FrozenBatchNorm2d(3)
    frozen.load_state_dict(norm.state_dict(), strict=False)
    torch.testing.assert_close(frozen(x), norm(x))
    assert list(frozen.parameters()) == []


def test_the_example_of_the_documentation():
    assert doctest.testmod(speaq) == (0, 6)
