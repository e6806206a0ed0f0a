"""`speaq bench`: cost of models."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from speaq.cli import app, run
from speaq.model.speaq import parameter_count
from speaq.pretrained import Speaq
from speaq.tools.bench import _gflops, measure, measure_stages
from tiny_model import tiny_config

TINY = """\
MODEL:
  RESNETS: {DEPTH: 18, OUT_FEATURES: [res3], STEM_OUT_CHANNELS: 8, WIDTH_PER_GROUP: 8}
  DETR: {HIDDEN_DIM: 16, NHEADS: 2, DIM_FEEDFORWARD: 16, ENC_LAYERS: 1, DEC_LAYERS: 1,
         NUM_OBJECT_QUERIES: 4, NUM_RELATION_QUERIES: 4}
"""


def test_gflops_of_single_layers_agree_with_the_formula():
    def cost(model: nn.Module, *shape: int) -> float:
        return _gflops(model, torch.zeros(shape), torch.zeros(1, 2))  # type: ignore[arg-type]

    class Layer(nn.Module):
        def __init__(self, layer: nn.Module):
            super().__init__()
            self.layer = layer

        def forward(self, images: torch.Tensor, sizes: torch.Tensor) -> torch.Tensor:
            return self.layer(images)

    class Attention(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert cost(Layer(nn.Linear(30, 20)), 5, 30) * 1e9 == 2 * 5 * 30 * 20
    assert cost(Layer(nn.Conv2d(3, 7, 3, padding=1)), 1, 3, 10, 12) * 1e9 == 2 * 10 * 12 * 27 * 7
    assert cost(Layer(Attention()), 1, 2, 9, 8) * 1e9 == 2 * (2 * 2 * 9 * 9 * 8)


def test_measure_returns_the_cost_of_a_model():
    torch.manual_seed(0)
    model = Speaq(tiny_config(reference_points=True)).eval()
    small = measure(model, size=(64, 96), runs=1)
    large = measure(model, size=(64, 96), batch=3, runs=1)
    assert small.parameters == parameter_count(model.parameters())
    np.testing.assert_allclose(large.gflops / small.gflops, 3, rtol=0.1)
    assert min(small.forward_ms, small.postprocess_ms, small.predict_ms) > 0
    assert small.memory_mb is None or small.memory_mb > 50
    assert all(parameter.requires_grad for parameter in model.heads.parameters())


def test_bench_prints_a_table(tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(TINY)
    threads = torch.get_num_threads()
    options = ["--size", "64", "96", "--runs", "1", "--threads", "1", "--objects", "7", "--predicates", "3"]
    try:
        run(app, ["bench", "--config-file", str(tmp_path / "tiny.yaml"), *options])
        printed = capsys.readouterr().out
        assert "1 image of 64x96, float32, cpu, 1 thread" in printed
        for word in ("parameters", "GFLOPs", "forward", "post-processing", "predict, whole", "peak memory"):
            assert word in printed
        Speaq(tiny_config()).save_pretrained(tmp_path / "model")
        run(app, ["bench", str(tmp_path / "model"), *options, "--batch", "2"])
        assert "2 images of 64x96" in capsys.readouterr().out
    finally:
        torch.set_num_threads(threads)


def test_bench_prints_the_steps_of_the_prediction_of_images(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40)).save(tmp_path / name)
    model = Speaq(tiny_config(min_size=64, max_size=96)).eval()
    number, stages = measure_stages(model, tmp_path)
    assert number == 2 and measure_stages(model, tmp_path, limit=1)[0] == 1
    names = ["read", "resize", "backbone", "encoder", "decoder", "heads", "post-processing", "draw"]
    assert list(stages) == names and min(stages.values()) > 0
    assert not model.encoder._forward_pre_hooks and not model.decoder._forward_hooks
    model.save_pretrained(tmp_path / "model")
    run(app, ["bench", str(tmp_path / "model"), "--images", str(tmp_path)])
    printed = capsys.readouterr().out
    assert f"2 images of {tmp_path}, torch, float32, cpu" in printed
    assert all(name in printed for name in [*names, "whole", "100 %"])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model", "--config-file", "x.yaml"],
        ["--size", "0", "5", "m"],
        ["m", "--engine", "openvino"],
        ["m", "--threads", "99999999"],
    ],
)
def test_bench_rejects_wrong_options(capsys, words):
    with pytest.raises(SystemExit) as stop:
        run(app, ["bench", *words])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
