"""Early stopping: when it stops, what it leaves, and resuming."""

import json
import shutil

import pytest
from safetensors.torch import load_file

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.training.checkpoints import complete_checkpoints
from speaq.training.cluster import Cluster
from speaq.training.launch import train

CPU = Cluster(num_gpus=0)


@pytest.fixture
def run(config_file, tmp_path, monkeypatch):
    """Train with given values of mR@100 in the evaluations, which there are after every step."""
    original = SceneGraphMetrics.compute

    def start(values, patience, *overrides, max_iter=8, period=1):
        remaining = iter(values)
        monkeypatch.setattr(
            SceneGraphMetrics, "compute", lambda metric: original(metric) | {"mR@100": next(remaining)}
        )
        options = ["OUTPUT_DIR", tmp_path, "TEST.EVAL_PERIOD", 1, "TEST.EARLY_STOPPING.PATIENCE", patience]
        options += ["SOLVER.MAX_ITER", max_iter, "SOLVER.CHECKPOINT_PERIOD", period, *overrides]
        train(load_config(config_file, [str(option) for option in options]), cluster=CPU, resume=True)
        assert not list(remaining)
        return (tmp_path / "log.txt").read_text(), complete_checkpoints(tmp_path)[-1].name

    return start


def test_training_stops_after_evaluations_without_improvement(run, tmp_path, capsys):
    # Neither NaN nor less than MIN_DELTA is an improvement, but the best model may be better by less.
    log, newest = run([0.1, 0.4, float("nan"), 0.42], 2, "TEST.EARLY_STOPPING.MIN_DELTA", 0.05, period=3)
    assert newest == "iter_0000004"
    sentence = (
        "stopped early at iteration 3: no improvement of mR@100 in 2 evaluations; the best was 0.4200 at iter"
    )
    assert log.count(sentence + "ation 3") == 1
    assert "Done. All files" in log
    assert "Mean" in capsys.readouterr().err  # the tables of a finished training
    assert json.loads((tmp_path / "results.json").read_text())["iteration"] == 3
    best = load_file(tmp_path / "best" / "model.safetensors")
    last = load_file(tmp_path / "checkpoints" / "iter_0000004" / "model.safetensors")
    assert all((best[name] == last[name]).all() for name in best)


def test_a_stopped_training_continues_only_with_more_patience(run, tmp_path):
    run([0.5, 0.2, 0.3], 2)
    log, newest = run([0.3], 2)  # evaluated again, like every finished training that is resumed
    assert newest == "iter_0000003"
    assert log.count("stopped early at iteration 2: no improvement of mR@100 in 2 evaluations") == 2
    assert "raise TEST.EARLY_STOPPING.PATIENCE" in log
    log, newest = run([0.6, 0.1, 0.2, 0.3], 3)
    assert newest == "iter_0000007"
    assert "iteration 6: no improvement of mR@100 in 3 evaluations; the best was 0.6000 at iteration 3" in log


@pytest.mark.parametrize("period", [1, 2])
def test_an_interrupted_training_stops_where_it_would_have(run, tmp_path, period):
    run([0.5, 0.2], 3, max_iter=2, period=period)
    shutil.rmtree(tmp_path / "best")
    _, newest = run([0.4, 0.3], 3, period=period)
    assert newest == "iter_0000004"


def test_early_stopping_needs_evaluations(config_file):
    for other in (["TEST.EVAL_PERIOD", "0"], ["DATASETS.TEST", "()"]):
        with pytest.raises(SpeaqError, match=rf"TEST.EARLY_STOPPING.PATIENCE.* and {other[0]}"):
            load_config(config_file, ["TEST.EARLY_STOPPING.PATIENCE", "2", *other])
