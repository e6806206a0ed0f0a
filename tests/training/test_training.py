"""Whole trainings: what they leave behind, that resuming is exact, and what non-finite numbers do."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.losses.criterion import Criterion
from speaq.pretrained import Speaq
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train

CPU = Cluster(num_gpus=0)


@pytest.fixture(scope="module")
def trained(config_file, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    train(load_config(config_file, ["OUTPUT_DIR", str(output)]), cluster=CPU)
    return output


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_train_writes_the_output_folder(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "best",
        "checkpoints",
        "config.yaml",
        "log.txt",
        "metrics.json",
        "results.json",
        "tensorboard",
    }
    kept = sorted(path.name for path in (trained / "checkpoints").iterdir())
    assert kept == ["iter_0000004", "iter_0000006"]  # MAX_TO_KEEP 2
    assert list((trained / "tensorboard").glob("events.out.tfevents.*"))
    assert load_config(trained / "config.yaml").solver.max_iter == 6


def test_log_has_the_classic_format(trained):
    lines = (trained / "log.txt").read_text().splitlines()
    steps = [line for line in lines if " iter: " in line]
    assert [int(re.search(r"iter: (\d+)", line)[1]) for line in steps] == [1, 3, 5]
    for name in ("total_loss", "loss_ce_subject", "loss_giou_relation_0", "time", "data_time", "lr"):
        assert re.search(rf" {name}: [\d.e+-]+ ", steps[-1]), name
    assert "k_log" not in steps[-1]
    copied = [line.split("copypaste: ")[1] for line in lines if "copypaste: " in line]
    assert copied[0] == "Task: bbox"
    assert copied[4].startswith("SGMeanRecall@20,SGMeanRecall@50,SGMeanRecall@100,SGRecall@20")
    assert sum(line.startswith("Task: SG") for line in copied) == 2  # at 3 and at 6
    assert any("SGG eval:     R @ 20:" in line for line in lines)


def test_metrics_are_one_json_object_per_line(trained):
    rows = [json.loads(line) for line in (trained / "metrics.json").read_text().splitlines()]
    steps = [row for row in rows if "total_loss" in row]
    assert [row["iteration"] for row in steps] == [1, 3, 5]
    # Step 1 is half way through the warm-up of 2 steps; STEPS has 5.
    assert steps[0]["lr"] == pytest.approx(1e-3 * (0.5 + 0.5 * 0.001))
    assert [row["lr"] for row in steps[1:]] == pytest.approx([1e-3, 1e-4])
    golden = Path(__file__).parents[1] / "golden" / "detectron2_metrics.json"
    published = set(json.loads(golden.read_text().splitlines()[0]))
    three_layers = {name for name in published if name.endswith("_1") or name == "k_log_layer3"}
    assert published - three_layers - {"rank_data_time"} <= set(steps[0])
    assert [row["iteration"] for row in rows if "SG/R@20" in row] == [2, 5]


def test_the_reported_loss_is_the_weighted_sum_of_its_terms(trained):
    rows = [json.loads(line) for line in (trained / "metrics.json").read_text().splitlines()]
    # The median of two steps is their mean, and so linear in the terms.
    row = next(row for row in rows if "total_loss" in row)
    factors = {"bbox": 5.0, "giou": 2.0}
    terms = {name: value for name, value in row.items() if name.startswith("loss_")}
    total = sum(value * factors.get(name.split("_")[1], 1.0) for name, value in terms.items())
    assert row["total_loss"] == pytest.approx(total, rel=1e-5)


def test_resume_is_bit_exact(trained, config_file, tmp_path):
    shutil.copytree(trained / "checkpoints" / "iter_0000004", tmp_path / "checkpoints" / "iter_0000004")
    # Neither the number of workers nor the interruption changes anything.
    # The weights that a training began with need not be there any more.
    options = ["OUTPUT_DIR", str(tmp_path), "DATALOADER.NUM_WORKERS", "2", "MODEL.WEIGHTS", "gone.pth"]
    train(load_config(config_file, options), cluster=CPU, resume=True)
    whole = weights(trained / "checkpoints" / "iter_0000006")
    resumed = weights(tmp_path / "checkpoints" / "iter_0000006")
    earlier = weights(trained / "checkpoints" / "iter_0000004")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert any(not torch.equal(whole[name], earlier[name]) for name in whole)


def test_evaluate_gives_the_results_of_the_training(trained, config_file, tmp_path):
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    evaluate(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU, resume=True)
    during, alone = (json.loads((folder / "results.json").read_text()) for folder in (trained, tmp_path))
    assert during["VG_val"] == alone["VG_val"]
    assert alone["iteration"] is None


def test_a_checkpoint_is_a_model(trained):
    model = Speaq.from_pretrained(trained / "checkpoints" / "iter_0000004")
    assert model.vocabulary.predicates[0] == "above"
    assert Speaq.from_pretrained(trained).config == model.config  # the best one


def test_frozen_parameters_do_not_change(trained):
    before, after = (weights(trained / "checkpoints" / f"iter_000000{i}") for i in (4, 6))
    stem = [name for name in before if name.startswith("backbone.body.embedder")]
    assert stem
    assert all(torch.equal(before[name], after[name]) for name in stem)


def test_resume_refuses_another_model(trained, config_file):
    config = load_config(config_file, ["OUTPUT_DIR", str(trained), "MODEL.DETR.DIM_FEEDFORWARD", "32"])
    with pytest.raises(SpeaqError, match="different: feedforward_dim"):
        train(config, cluster=CPU, resume=True)


def test_evaluate_refuses_a_missing_model(config_file, tmp_path):
    with pytest.raises(SpeaqError, match="no checkpoint to evaluate"):
        evaluate(load_config(config_file, ["OUTPUT_DIR", str(tmp_path)]), cluster=CPU, resume=True)


def test_accumulated_micro_batches_make_one_step(config_file, tmp_path):
    options = ["OUTPUT_DIR", str(tmp_path), "SOLVER.ACCUMULATE", "2", "SOLVER.MAX_ITER", "3"]
    train(load_config(config_file, options), cluster=CPU)
    rows = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert [row["iteration"] for row in rows if "total_loss" in row] == [1, 2]
    assert [row["iteration"] for row in rows if "SG/R@20" in row] == [2]
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["iter_0000002", "iter_0000003"]


@pytest.mark.parametrize("options", [["SOLVER.OPTIMIZER", "SGD"], ["SOLVER.AMP.ENABLED", "True"]])
def test_train_with_other_optimizers_and_precisions(config_file, tmp_path, options):
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", "2", *options])
    train(config, cluster=CPU)
    rows = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert rows[0]["total_loss"] > 0


class Broken:
    """Makes the loss of chosen calls not a number."""

    def __init__(self, monkeypatch, calls):
        self.count, self.images = 0, []
        original = Criterion.forward

        def forward(criterion, output, targets):
            if self.count in calls:
                first = torch.tensor([float("nan"), 1, 1, 1])[:, None, None]
                output.subject_boxes = output.subject_boxes * first
                self.images.append(targets[0].image_id)
            self.count += 1
            return original(criterion, output, targets)

        monkeypatch.setattr(Criterion, "forward", forward)


def test_step_with_nan_loss_is_skipped_and_logged(config_file, tmp_path, monkeypatch):
    broken = Broken(monkeypatch, {2, 3})
    options = ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", "5", "SOLVER.CHECKPOINT_PERIOD", "1"]
    train(load_config(config_file, [*options, "SOLVER.MAX_TO_KEEP", "9"]), cluster=CPU)
    after = [weights(tmp_path / "checkpoints" / f"iter_000000{i}") for i in (2, 3, 4, 5)]
    assert all(torch.equal(after[0][name], after[2][name]) for name in after[0])
    assert any(not torch.equal(after[2][name], after[3][name]) for name in after[0])
    log = (tmp_path / "log.txt").read_text()
    for image in broken.images:
        assert f"loss_bbox_subject is not finite for image {image}" in log
    assert "step skipped (2 in a row, 2 in all)" in log


def test_too_many_skipped_steps_stop_the_training(config_file, tmp_path, monkeypatch):
    Broken(monkeypatch, set(range(1, 100)))
    options = ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_NONFINITE_STEPS", "2"]
    with pytest.raises(SpeaqError, match="stopped at iteration 3: 3 steps in a row had a non-finite loss"):
        train(load_config(config_file, options), cluster=CPU)


def test_train_refuses_more_gpus_than_available(config_file):
    config = load_config(config_file, [])
    with pytest.raises(SpeaqError, match=r"--num-gpus 99: this machine has \d+ CUDA GPU"):
        train(config, cluster=Cluster(num_gpus=99))


def test_several_machines_need_an_address(config_file):
    config = load_config(config_file, [])
    with pytest.raises(SpeaqError, match="--dist-url tcp://HOST:PORT"):
        train(config, cluster=Cluster(num_gpus=0, num_machines=2, dist_url="29503"))
    with pytest.raises(SpeaqError, match="--machine-rank 2: expected 0 to 1"):
        train(config, cluster=Cluster(num_gpus=0, num_machines=2, machine_rank=2))
