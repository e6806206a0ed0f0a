"""Averaged weights: their values, what is saved, and that resuming is exact."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from speaq.config import load_config
from speaq.losses.criterion import Criterion
from speaq.training.checkpoints import FolderCheckpoint
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train

CPU = Cluster(num_gpus=0)
EMA = ["SOLVER.EMA.ENABLED", "True", "SOLVER.EMA.DECAY", "0.9", "SOLVER.EMA.WARMUP_ITERS", "2"]
# Batch norms of the backbone that are trained, so that buffers change.
COMMON = ["SOLVER.CHECKPOINT_PERIOD", "1", "SOLVER.MAX_TO_KEEP", "9", "MODEL.RESNETS.NORM", "BN"]


@pytest.fixture(scope="module")
def start(config_file):
    """Train in a folder, with the averages or without."""

    def run(output: Path, *overrides: str) -> Path:
        config = load_config(config_file, ["OUTPUT_DIR", str(output), *COMMON, *overrides])
        train(config, cluster=CPU, resume=True)
        return output

    return run


@pytest.fixture(scope="module")
def plain(start, tmp_path_factory) -> Path:
    return start(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def averaged(start, tmp_path_factory) -> Path:
    return start(tmp_path_factory.mktemp("averaged"), *EMA)


def step(output: Path, number: int) -> Path:
    return output / "checkpoints" / f"iter_{number:07d}"


def saved(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def trained(folder: Path) -> dict[str, Tensor]:
    """The weights that training continues from, which are not those of the saved model."""
    state = FolderCheckpoint().load_checkpoint(folder)["state_dict"]
    return {name.removeprefix("model."): tensor for name, tensor in state.items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def test_averages_are_those_of_the_definition(plain, averaged):
    expected = trained(step(averaged, 1))
    for number in range(1, 7):
        current = trained(step(averaged, number))
        assert same(current, saved(step(plain, number)))  # the training itself is the same
        decay = 0.9 * (1 - math.exp(-(number - 1) / 2))
        for name, value in current.items():
            is_buffer = "running_" in name or "num_batches" in name
            expected[name] = value if is_buffer else decay * expected[name] + (1 - decay) * value
        found = saved(step(averaged, number))
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-7, msg=name)
    assert not same(saved(step(averaged, 6)), trained(step(averaged, 6)))


def test_the_average_is_evaluated_and_saved_as_the_best_model(averaged, config_file, tmp_path):
    assert any(same(saved(averaged / "best"), saved(step(averaged, number))) for number in (3, 6))
    shutil.copytree(averaged / "checkpoints", tmp_path / "checkpoints")
    evaluate(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU, resume=True)
    during, alone = (json.loads((folder / "results.json").read_text()) for folder in (averaged, tmp_path))
    assert during["VG_val"] == alone["VG_val"]


def test_resume_is_exact_with_averages(averaged, start, tmp_path):
    shutil.copytree(step(averaged, 3), step(tmp_path, 3))
    start(tmp_path, *EMA)
    whole, resumed = (step(folder, 6) for folder in (averaged, tmp_path))
    assert same(saved(whole), saved(resumed))
    assert same(trained(whole), trained(resumed))


def test_averages_can_be_switched_on_and_off_when_resuming(plain, averaged, start, tmp_path):
    shutil.copytree(step(plain, 4), step(tmp_path / "on", 4))
    start(tmp_path / "on", *EMA)
    assert "the checkpoint has no averaged weights" in (tmp_path / "on" / "log.txt").read_text()
    assert same(saved(step(tmp_path / "on", 5)), saved(step(plain, 5)))  # the first of the average
    assert not same(saved(step(tmp_path / "on", 6)), saved(step(plain, 6)))
    shutil.copytree(step(averaged, 4), step(tmp_path / "off", 4))
    start(tmp_path / "off")
    assert same(saved(step(tmp_path / "off", 6)), saved(step(plain, 6)))


def test_a_skipped_step_does_not_change_the_average(start, tmp_path, monkeypatch):
    original, calls = Criterion.forward, []

    def forward(criterion, output, targets):
        calls.append(targets)
        if len(calls) == 3:
            output.subject_boxes = output.subject_boxes * float("nan")
        return original(criterion, output, targets)

    monkeypatch.setattr(Criterion, "forward", forward)
    start(tmp_path, *EMA, "SOLVER.MAX_ITER", "4", "DATASETS.TEST", "()")
    averages = [saved(step(tmp_path, number)) for number in (2, 3, 4)]
    assert same(averages[0], averages[1])
    assert not same(averages[1], averages[2])
