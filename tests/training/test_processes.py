"""Training on several processes is training on one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from speaq.config import load_config
from speaq.tools.scenes import generate_dataset
from speaq.training.cluster import Cluster
from speaq.training.launch import train

# Several trainings one after the other: starting processes takes longer than a training.
SCRIPT = """
import json
import sys
from pathlib import Path
import torch
from speaq.config import load_config
from speaq.losses.criterion import Criterion
from speaq.training.cluster import Cluster
from speaq.training.launch import train

original, calls, broken_call = Criterion.forward, 0, 0


def forward(criterion, output, targets):
    global calls
    calls += 1
    if torch.distributed.get_rank() == 1 and calls == broken_call:
        output.predicate_boxes = output.predicate_boxes * float("nan")
    return original(criterion, output, targets)


Criterion.forward = forward
for overrides, broken_call in json.loads(sys.argv[2]):
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    calls = 0
    cluster = Cluster(num_gpus=0, cpu_processes=2)
    train(load_config(Path(sys.argv[1]), overrides), cluster=cluster, resume=True)
"""


@pytest.fixture(scope="module")
def trainings(config_file, tmp_path_factory) -> Path:
    """The folder with the output folders of all trainings."""
    folder: Path = tmp_path_factory.mktemp("processes")
    # Images of one size, so that padding does not depend on who shares a batch.
    data = generate_dataset(folder / "data", num_images=12, num_val=3, num_test=1, image_size=64)
    flat = generate_dataset(folder / "flat", style="flat", num_images=7, num_val=2, num_test=1, image_size=64)
    settings = {
        **{f"DATASETS.VISUAL_GENOME.{key}": path for key, path in data.settings.items()},
        "INPUT.MIN_SIZE_TRAIN": "(64,)",
        # Adam makes whole steps of the rounding in gradients near zero; SGD shows them as they are.
        "SOLVER.OPTIMIZER": "SGD",
        "SOLVER.BASE_LR": 0.05,
        "SOLVER.STEPS": "(50,)",
        "MODEL.DETR.DROPOUT": 0.0,
        "MODEL.DETR.NUM_GROUPS": 2,
    }
    mix = {
        **{f"DATASETS.VISUAL_GENOME_SYNTHETIC.{key}": path for key, path in flat.settings.items()},
        "DATASETS.TYPE": "MULTI_DATASET",
        "DATASETS.TRAIN": "('MULTI_train',)",
        "DATASETS.TEST": "('MULTI_val',)",
        "DATASETS.MULTI_DATASET.ENABLED": True,
    }

    def overrides(name: str, max_iter: int, **further: object) -> list[str]:
        pairs = settings | {"OUTPUT_DIR": folder / name, "SOLVER.MAX_ITER": max_iter} | further
        return [str(item) for pair in pairs.items() for item in pair]

    for name, further in (("one", {}), ("mix_one", mix)):
        train(load_config(config_file, overrides(name, 4, **further)), cluster=Cluster(num_gpus=0))
    # Their settings, and the call of the criterion that goes wrong on rank 1.
    runs = [
        (overrides("two", 4), 0),
        (overrides("stopped", 2), 0),
        (overrides("mix_two", 4, **mix), 0),
        (overrides("broken", 3), 3),
        (overrides("stopped", 4), 0),
    ]
    script = folder / "run.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(config_file), json.dumps(runs)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    return folder


def weights(training: Path, step: int) -> dict[str, torch.Tensor]:
    return load_file(training / "checkpoints" / f"iter_{step:07d}" / "model.safetensors")


def test_two_processes_with_half_the_batch_each_give_the_same_weights(trainings):
    one, two = weights(trainings / "one", 4), weights(trainings / "two", 4)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-6, msg=name)
    # Interrupted after two steps and continued, also exactly.
    resumed = weights(trainings / "stopped", 4)
    assert all(torch.equal(two[name], resumed[name]) for name in two)
    assert "resuming from" in (trainings / "stopped" / "log.txt").read_text()


def test_a_mix_on_two_processes_is_that_on_one(trainings):
    folders = [trainings / "mix_one", trainings / "mix_two"]
    one, two = (weights(folder, 4) for folder in folders)
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-6, msg=name)
    logs = [json.loads((folder / "metrics.json").read_text().splitlines()[-4]) for folder in folders]
    assert logs[0]["samples_real"] == logs[1]["samples_real"] == 11
    for term in ("loss_relation_real", "loss_relation_synthetic", "total_loss"):
        assert logs[0][term] == pytest.approx(logs[1][term], rel=1e-4)
    results = [json.loads((folder / "results.json").read_text()) for folder in folders]
    assert [each["MULTI_val"]["images"] for each in results] == [5, 5]


def test_all_processes_skip_a_step_that_went_wrong_on_one(trainings):
    folder = trainings / "broken"
    after_two, after_three = weights(folder, 2), weights(folder, 3)
    assert all(torch.equal(after_two[name], after_three[name]) for name in after_two)
    logs = [(folder / name).read_text() for name in ("log.txt", "log.txt.rank1")]
    assert all("iteration 2: step skipped (1 in a row, 1 in all)" in log for log in logs)
    assert "loss_bbox_relation is not finite for image 1" in logs[1]
    assert "is not finite for image" not in logs[0]
