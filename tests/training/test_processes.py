"""Training on several processes is training on one."""

import json
import math
import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import training_rank
from forked import free_port, run_script, run_together, run_torchrun, torchrun_environments
from speaq.config import load_config
from speaq.tools.scenes import generate_dataset
from speaq.training.checkpoints import newest_checkpoint
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate

SCRIPT = str(Path(__file__).parents[2] / "train_iterative_model.py")
TIMES = {"time", "data_time", "eta_seconds"}


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict[str, object]:
    """A training of 4 steps on 9 real images in batches of 4, each in two parts."""
    # Images of one size, so that padding does not depend on who shares a batch.
    folder = tmp_path_factory.mktemp("data")
    data = generate_dataset(folder, num_images=9, num_val=5, num_test=1, image_size=64)
    return {
        **{f"DATASETS.VISUAL_GENOME.{key}": path for key, path in data.settings.items()},
        "INPUT.MIN_SIZE_TRAIN": "(64,)",
        # Adam makes whole steps of the rounding in gradients near zero; SGD shows them as they are.
        "SOLVER.OPTIMIZER": "SGD",
        "SOLVER.BASE_LR": 0.05,
        "SOLVER.MAX_ITER": 4,
        "SOLVER.ACCUMULATE": 2,
        "SOLVER.STEPS": "(50,)",
        "SOLVER.LOG_PERIOD": 1,
        "TEST.IMS_PER_BATCH": 2,
        "MODEL.DEVICE": "cpu",
        "MODEL.DETR.DROPOUT": 0.0,
        "MODEL.DETR.NUM_GROUPS": 2,
    }


@pytest.fixture(scope="module")
def mix(settings, tmp_path_factory) -> dict[str, object]:
    """The same with 7 synthetic images, which count half, and batches in one part."""
    folder = tmp_path_factory.mktemp("flat")
    flat = generate_dataset(folder, style="flat", num_images=7, num_val=2, num_test=1, image_size=64)
    return settings | {
        **{f"DATASETS.VISUAL_GENOME_SYNTHETIC.{key}": path for key, path in flat.settings.items()},
        "DATASETS.TYPE": "MULTI_DATASET",
        "DATASETS.TRAIN": "('MULTI_train',)",
        "DATASETS.TEST": "('MULTI_val',)",
        "DATASETS.MULTI_DATASET.ENABLED": True,
        "DATASETS.MULTI_DATASET.SYNTHETIC_LOSS_WEIGHT": 0.5,
        "SOLVER.ACCUMULATE": 1,
        "SOLVER.EMA.ENABLED": True,
        "SOLVER.EMA.WARMUP_ITERS": 3,
        "SOLVER.MAX_ITER": 6,
        "SOLVER.CHECKPOINT_PERIOD": 1,
        "SOLVER.MAX_TO_KEEP": 9,
    }


@pytest.fixture(scope="module")
def run(config_file):
    """Trains in a folder on a number of processes, which find each other as under torchrun."""

    def start(output: Path, processes: int, settings, codes=(), **wrong) -> Path:
        call = partial(training_rank.run, str(config_file), words(settings | {"OUTPUT_DIR": output}), **wrong)
        output.mkdir(exist_ok=True)
        environments = torchrun_environments(processes, free_port()) if processes > 1 else ()
        log = output.with_suffix(".txt")
        run_together([call] * processes, environments=environments, codes=codes, log=log)
        return output

    return start


@pytest.fixture(scope="module")
def two(run, settings, tmp_path_factory) -> Path:
    """A training on two processes."""
    return run(tmp_path_factory.mktemp("two") / "two", 2, settings)


@pytest.fixture(scope="module")
def mixed(run, mix, tmp_path_factory) -> list[Path]:
    """A mixed training on one process and on two, with two empty images and a broken one, each on rank 1."""
    wrong = {"empty": [[1, 2], [1, 3]], "broken": [[2, 3]]}
    folder = tmp_path_factory.mktemp("mixed")
    return [run(folder / f"{number}", number, mix, **wrong) for number in (1, 2)]


def words(settings: dict[str, object]) -> list[str]:
    return [str(item) for pair in settings.items() for item in pair]


def weights(output: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(output / "checkpoints" / f"iter_{step:07d}" / "model.safetensors")


def logged(output: Path) -> list[dict[str, float]]:
    """The logged figures of each step without the times; NaN for null."""
    rows = [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]
    return [
        {name: math.nan if value is None else value for name, value in row.items() if name not in TIMES}
        for row in rows
        if "total_loss" in row
    ]


def test_two_processes_with_half_the_batch_each_give_the_same_weights(run, settings, two, tmp_path):
    one = run(tmp_path / "one", 1, settings)
    for row, expected in zip(logged(two), logged(one), strict=True):
        assert row == pytest.approx(expected, rel=1e-5)
    for name, tensor in weights(one, 4).items():
        torch.testing.assert_close(weights(two, 4)[name], tensor, rtol=0, atol=1e-6, msg=name)
    # Interrupted after two steps and continued, also exactly.
    stopped = run(tmp_path / "stopped", 2, settings | {"SOLVER.MAX_ITER": 2})
    run(stopped, 2, settings)
    assert all(torch.equal(weights(two, 4)[name], tensor) for name, tensor in weights(stopped, 4).items())


def test_a_mix_on_two_processes_is_that_on_one(mixed):
    one, two = mixed
    for row, expected in zip(logged(two), logged(one), strict=True):
        assert row == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert logged(one)[3]["samples_real"] == 11
    assert {"loss_relation_real", "loss_relation_synthetic"} <= logged(one)[0].keys()
    for name, tensor in weights(one, 6).items():
        torch.testing.assert_close(weights(two, 6)[name], tensor, rtol=1e-4, atol=1e-6, msg=name)
    results = [json.loads((output / "results.json").read_text()) for output in mixed]
    assert [each["MULTI_val"]["images"] for each in results] == [7, 7]


def test_two_processes_draw_the_images_of_one(mixed):
    one, two = mixed
    alone = json.loads((one / "drawn0.json").read_text())
    parts = [json.loads((two / f"drawn{rank}.json").read_text()) for rank in (0, 1)]
    assert {draw[1] for draw in parts[0]} == {0, 1}
    assert sorted(draw for part in parts for draw in part) == sorted(alone)


def test_all_processes_skip_a_step_that_went_wrong_on_one(mixed):
    two = mixed[1]
    before, after = weights(two, 2), weights(two, 3)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [row["skipped_steps"] for row in logged(two)] == [0, 0, 1, 1, 1, 1]
    logs = [(two / name).read_text() for name in ("log.txt", "log.txt.rank1")]
    assert all("iteration 2: step skipped (1 in a row, 1 in all)" in log for log in logs)
    image = next(
        image
        for step, slot, _, image in json.loads((two / "drawn1.json").read_text())
        if [step, slot] == [2, 3]
    )
    assert f"loss_bbox_relation is not finite for image {image} (" in logs[1]
    assert "is not finite for image" not in logs[0]


def test_all_processes_stop_after_too_many_skipped_steps(run, settings, tmp_path):
    limit = settings | {"SOLVER.MAX_NONFINITE_STEPS": 0}
    output = run(tmp_path / "stopped", 2, limit, codes=(1, 1), broken=[[3, 2]])
    text = (tmp_path / "stopped.txt").read_text()
    assert text.count("SpeaqError: training stopped at iteration 3: 1 steps in a row had a non-finite") == 2
    newest = newest_checkpoint(output)
    assert newest is not None
    assert newest.name == "iter_0000002"


def test_the_evaluation_on_two_processes_is_that_on_one(config_file, mix, two, mixed, tmp_path):
    """Five and two images in batches of one, so that the second process has none in the end."""
    model = {"MODEL.WEIGHTS": mixed[0] / "checkpoints" / "iter_0000006"}
    results = []
    for processes in (1, 2):
        output = tmp_path / f"{processes}"
        config = load_config(config_file, words(mix | model | {"OUTPUT_DIR": output}))
        environments = torchrun_environments(processes, free_port()) if processes > 1 else ()
        call = partial(evaluate, config, cluster=Cluster(num_gpus=0))
        run_together([call] * processes, environments=environments, log=tmp_path / "log.txt")
        results.append(json.loads((output / "results.json").read_text()))
    assert flat(results[1]) == pytest.approx(flat(results[0]), rel=1e-12, nan_ok=True)


def flat(content, prefix="") -> dict[str, object]:
    """Nested figures by path; NaN for null."""
    if isinstance(content, dict):
        items = content.items()
    elif isinstance(content, list):
        items = enumerate(content)
    else:
        return {} if isinstance(content, str) else {prefix: math.nan if content is None else content}
    return {key: value for name, part in items for key, value in flat(part, f"{prefix}/{name}").items()}


@pytest.mark.parametrize("own", [False, True], ids=["launched", "started by the first"])
def test_all_processes_stop_after_the_same_step_when_one_receives_sigterm(
    run, settings, config_file, tmp_path, own
):
    output, code, endless = tmp_path / "stopped", 128 + signal.SIGTERM, settings | {"SOLVER.MAX_ITER": 1000}
    if own:  # the first process starts the second, which receives the signal
        overrides = words(endless | {"OUTPUT_DIR": output})
        call = partial(training_rank.run, str(config_file), overrides, processes=2, signalled=[1, 1])
        paths = os.pathsep.join(sys.path)
        run_together([call], environments=[{"PYTHONPATH": paths}], codes=[code], log=tmp_path / "log")
    else:
        run(output, 2, endless, codes=(code, code), signalled=[0, 1])
    newest = newest_checkpoint(output)
    assert newest is not None
    assert newest.name == "iter_0000002"
    for name in ("log.txt", "log.txt.rank1"):
        assert f"interrupted; --resume continues from {newest}" in (output / name).read_text()
    assert not (output / "training.lock").exists()


@pytest.mark.parametrize("launcher", ["torchrun", "SLURM", "none"])
def test_the_command_on_two_machines_trains_as_two_processes_do(
    config_file, settings, two, tmp_path, launcher
):
    """As documented, with two processes of this machine in place of two machines."""
    port = str(free_port())
    command = [SCRIPT, "--config-file", str(config_file)]
    overrides = words(settings | {"OUTPUT_DIR": tmp_path / "run"})
    environments = ()
    if launcher == "torchrun":
        options = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1"]
        calls = [
            partial(
                run_torchrun, [*options, "--master-port", port, "--node-rank", rank, *command, *overrides]
            )
            for rank in ("0", "1")
        ]
        environments = [{"PYTHONPATH": os.pathsep.join(sys.path)}] * 2
    elif launcher == "SLURM":
        calls = [partial(run_script, [*command, *overrides])] * 2
        job = {"SLURM_NTASKS": "2", "SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train"}
        job |= {"SLURM_NODELIST": "127.0.0.1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environments = [
            job | {"SLURM_PROCID": rank, "SLURM_LOCALID": "0", "SLURM_NODEID": rank} for rank in ("0", "1")
        ]
    else:
        options = ["--num-gpus", "0", "--num-machines", "2", "--dist-url", f"tcp://127.0.0.1:{port}"]
        calls = [
            partial(run_script, [*command, *options, "--machine-rank", rank, *overrides])
            for rank in ("0", "1")
        ]
    run_together(calls, environments=environments, log=tmp_path / "log.txt")
    assert logged(tmp_path / "run") == logged(two)
