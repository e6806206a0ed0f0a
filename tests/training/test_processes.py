"""Training on several processes is training on one."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from speaq.tools.scenes import generate_dataset
from speaq.training.checkpoints import newest_checkpoint

SCRIPT = """
import os
import signal
import sys
from pathlib import Path
import torch
from speaq.config import load_config
from speaq.losses.criterion import Criterion
from speaq.training.cluster import Cluster
from speaq.training.launch import train

file, processes, broken_call, signalled, *overrides = sys.argv[1:]
original, calls = Criterion.forward, []


def forward(criterion, output, targets):
    calls.append(targets)
    rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
    if rank == 1 and len(calls) == int(broken_call):
        output.predicate_boxes = output.predicate_boxes * float("nan")
    if rank == int(signalled) and len(calls) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return original(criterion, output, targets)


Criterion.forward = forward
cluster = Cluster(num_gpus=0, cpu_processes=int(processes))
train(load_config(Path(file), overrides), cluster=cluster, resume=True)
"""


@pytest.fixture
def run(config_file, tmp_path):
    """Train to step 4 with a number of processes; gives the final weights."""
    # Images of one size, so that padding does not depend on who shares a batch.
    data = generate_dataset(tmp_path / "data", num_images=12, num_val=3, num_test=1, image_size=64)
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    settings = {
        **{f"DATASETS.VISUAL_GENOME.{key}": path for key, path in data.settings.items()},
        "INPUT.MIN_SIZE_TRAIN": "(64,)",
        # Adam makes whole steps of the rounding in gradients near zero; SGD shows them as they are.
        "SOLVER.OPTIMIZER": "SGD",
        "SOLVER.BASE_LR": 0.05,
        "MODEL.DETR.DROPOUT": 0.0,
        "MODEL.DETR.NUM_GROUPS": 2,
    }

    def start(
        name: str,
        processes: int,
        max_iter: int = 4,
        broken_call: int = 0,
        signalled: int = -1,
        code: int = 0,
        launch: Sequence[str] = (),
        **further,
    ) -> dict[str, torch.Tensor]:
        output: Path = tmp_path / name
        pairs = settings | {"OUTPUT_DIR": output, "SOLVER.MAX_ITER": max_iter, "SOLVER.STEPS": "(50,)"}
        pairs |= further
        overrides = [str(item) for pair in pairs.items() for item in pair]
        numbers = [str(number) for number in (processes, broken_call, signalled)]
        command = [sys.executable, *launch, str(script), str(config_file), *numbers]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        result = subprocess.run(
            [*command, *overrides], capture_output=True, text=True, check=False, env=environment, timeout=120
        )
        assert result.returncode == code, result.stderr[-2000:]
        if code:
            return {}
        return load_file(output / "checkpoints" / f"iter_{max_iter:07d}" / "model.safetensors")

    return start


def test_two_processes_with_half_the_batch_each_give_the_same_weights(run):
    average = {"SOLVER.EMA.ENABLED": True, "SOLVER.EMA.WARMUP_ITERS": 3}
    one, two = run("one", 1, **average), run("two", 2, **average)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-6, msg=name)
    # Interrupted after two steps and continued, also exactly.
    run("stopped", 2, max_iter=2, **average)
    resumed = run("stopped", 2, **average)
    assert all(torch.equal(two[name], resumed[name]) for name in two)


def test_a_mix_on_two_processes_is_that_on_one(run, tmp_path):
    flat = generate_dataset(
        tmp_path / "flat", style="flat", num_images=7, num_val=2, num_test=1, image_size=64
    )
    mix = {
        **{f"DATASETS.VISUAL_GENOME_SYNTHETIC.{key}": path for key, path in flat.settings.items()},
        "DATASETS.TYPE": "MULTI_DATASET",
        "DATASETS.TRAIN": "('MULTI_train',)",
        "DATASETS.TEST": "('MULTI_val',)",
        "DATASETS.MULTI_DATASET.ENABLED": True,
    }
    one, two = run("one", 1, **mix), run("two", 2, **mix)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    logs = [
        json.loads((tmp_path / name / "metrics.json").read_text().splitlines()[-4]) for name in ("one", "two")
    ]
    assert logs[0]["samples_real"] == logs[1]["samples_real"] == 11
    for term in ("loss_relation_real", "loss_relation_synthetic", "total_loss"):
        assert logs[0][term] == pytest.approx(logs[1][term], rel=1e-4)
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two")]
    assert [each["MULTI_val"]["images"] for each in results] == [5, 5]


def test_all_processes_skip_a_step_that_went_wrong_on_one(run, tmp_path):
    after_three = run("broken", 2, max_iter=3, broken_call=3)
    after_two = load_file(tmp_path / "broken" / "checkpoints" / "iter_0000002" / "model.safetensors")
    assert all(torch.equal(after_two[name], after_three[name]) for name in after_two)
    logs = [(tmp_path / "broken" / name).read_text() for name in ("log.txt", "log.txt.rank1")]
    assert all("iteration 2: step skipped (1 in a row, 1 in all)" in log for log in logs)
    assert "loss_bbox_relation is not finite for image 1" in logs[1]
    assert "is not finite for image" not in logs[0]


@pytest.mark.parametrize("signalled", [0, 1])
def test_all_processes_stop_after_the_same_step_when_one_receives_sigterm(run, tmp_path, signalled):
    run("stopped", 2, max_iter=1000, signalled=signalled, code=128 + signal.SIGTERM)
    newest = newest_checkpoint(tmp_path / "stopped")
    assert newest is not None
    assert newest.name == "iter_0000002"
    for name in ("log.txt", "log.txt.rank1"):
        log = (tmp_path / "stopped" / name).read_text()
        assert f"interrupted; --resume continues from {newest}" in log
    assert not (tmp_path / "stopped" / "training.lock").exists()


def test_processes_of_torchrun_train_together(run, tmp_path):
    run("own", 2)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29779"]
    run("torchrun", 1, launch=launch)
    own, joined = (
        (tmp_path / name / "metrics.json").read_text().splitlines() for name in ("own", "torchrun")
    )
    losses = [[json.loads(line).get("total_loss") for line in lines] for lines in (own, joined)]
    assert losses[0] == losses[1]
