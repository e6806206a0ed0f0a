"""Training and evaluation with torch.compile."""

import functools
import json

import pytest
import torch
from safetensors.torch import load_file

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.training.cluster import Cluster
from speaq.training.failures import explain
from speaq.training.launch import train

CPU = Cluster(num_gpus=0)
SMALL = [
    *("MODEL.DETR.DROPOUT", "0", "MODEL.DETR.DEC_LAYERS", "1", "INPUT.MIN_SIZE_TRAIN", "(64,)"),
    *("DATASETS.TEST", "()", "SOLVER.LOG_PERIOD", "1"),
]


def test_a_compiled_training_is_the_same_and_can_be_resumed_without(config_file, tmp_path, monkeypatch):
    original, compiled = torch.compile, []

    def compile_to_eager(function, **options):  # the graphs are traced, but run by PyTorch
        compiled.append(function)
        return original(function, **options, backend="eager")

    monkeypatch.setattr(torch, "compile", compile_to_eager)

    def run(name, max_iter, compile):
        options = ["OUTPUT_DIR", str(tmp_path / name), "SOLVER.MAX_ITER", str(max_iter), *SMALL]
        config = load_config(config_file, [*options, "MODEL.COMPILE", str(compile)])
        train(config, cluster=CPU, resume=True)
        weights = load_file(tmp_path / name / "checkpoints" / f"iter_{max_iter:07d}" / "model.safetensors")
        rows = map(json.loads, (tmp_path / name / "metrics.json").read_text().splitlines())
        return weights, [row["total_loss"] for row in rows]

    weights, losses = run("plain", 3, compile=False)
    assert not compiled
    run("compiled", 2, compile=True)
    assert len(compiled) == 2
    resumed, same_losses = run("compiled", 3, compile=False)
    assert same_losses == pytest.approx(losses, rel=1e-5)
    assert resumed.keys() == weights.keys()


def test_compile_without_a_compiler_is_refused(config_file, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "missing++")
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path), "MODEL.COMPILE", "True"])
    with pytest.raises(SpeaqError, match=r"there is no missing\+\+: install it, .* set MODEL.COMPILE False"):
        train(config, cluster=CPU)


def test_a_backend_that_fails_is_named(config_file, tmp_path, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("unknown operator")

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=broken))
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path), "MODEL.COMPILE", "True", *SMALL])
    with pytest.raises(
        SpeaqError, match=r"torch.compile failed \(backend='broken' raised: ValueError: unknown"
    ):
        train(config, cluster=CPU)


def test_a_compiler_that_fails_is_named():
    from torch._inductor.exc import CppCompileError, InductorError

    error = InductorError(CppCompileError(["c++", "a.cpp"], "no cc1plus\nmore"), None)
    text = explain(error, device="cpu", is_training=True)
    assert "torch.compile failed (CppCompileError: C++ compile error no cc1plus). Set MODEL.COMPILE" in text
