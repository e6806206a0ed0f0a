"""Training on real and synthetic images together."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from speaq.config import load_config
from speaq.data.dataset import SceneGraphDataset
from speaq.data.sampling import TrainBatchSampler
from speaq.tools.report.run import evaluate_with_report
from speaq.tools.scenes import generate_dataset
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train
from speaq.training.module import SceneGraphModule

CPU = Cluster(num_gpus=0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> list[str]:
    """KEY VALUE pairs of a mix: 9 real and 5 synthetic training images in batches of 4."""
    folder = tmp_path_factory.mktemp("mix")
    real = generate_dataset(folder / "vg", num_images=9, num_val=4, num_test=1, image_size=64)
    options = {"num_images": 5, "num_val": 3, "num_test": 1, "image_size": 64}
    synthetic = generate_dataset(folder / "generated", style="flat", **options)
    pairs = {
        "DATASETS.TYPE": "MULTI_DATASET",
        "DATASETS.TRAIN": "('MULTI_train',)",
        "DATASETS.TEST": "('MULTI_val',)",
        "DATASETS.MULTI_DATASET.ENABLED": True,
        **{f"DATASETS.VISUAL_GENOME.{key}": path for key, path in real.settings.items()},
        **{f"DATASETS.VISUAL_GENOME_SYNTHETIC.{key}": path for key, path in synthetic.settings.items()},
        "DATASETS.VISUAL_GENOME_SYNTHETIC.NUMBER_OF_VALIDATION_IMAGES": 10,
        "MODEL.DETR.NUM_GROUPS": 2,
        "SOLVER.MAX_ITER": 10,
        "SOLVER.CHECKPOINT_PERIOD": 5,
        "TEST.EVAL_PERIOD": 5,
    }
    return [str(item) for pair in pairs.items() for item in pair]


@pytest.fixture(scope="module")
def trained(config_file, settings, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("trained")
    train(load_config(config_file, [*settings, "OUTPUT_DIR", str(output)]), cluster=CPU)
    return output


def rows(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "metrics.json").read_text().splitlines()]


def test_losses_and_images_of_every_source_are_logged(trained):
    steps = [row for row in rows(trained) if "total_loss" in row]
    # 2.8 and 1.2 of every batch of 4, carried over
    assert [(row["samples_real"], row["samples_synthetic"]) for row in steps] == [
        (6, 2),
        (11, 5),
        (17, 7),
        (22, 10),
        (28, 12),
    ]
    names = {"loss_relation", "loss_bbox_relation", "loss_giou_relation", "loss_ce_subject", "total_loss"}
    for row in steps:
        assert all(row[f"{name}_{source}"] > 0 for name in names for source in ("real", "synthetic"))
        assert not any(name.endswith(("_0_real", "_0_synthetic")) for name in row)
    line = next(line for line in (trained / "log.txt").read_text().splitlines() if " iter: 9 " in line)
    assert "loss_relation_real: " in line
    assert "loss_relation_synthetic: " in line


def test_every_source_is_evaluated_alone_and_all_together(trained, config_file, settings, tmp_path):
    results = json.loads((trained / "results.json").read_text())
    real, synthetic, together = (results[f"MULTI_val{name}"] for name in ("_real", "_synthetic", ""))
    assert (real["images"], synthetic["images"], together["images"]) == (4, 3, 7)
    for figure in ("R@20", "ng-R@100"):
        figures = [each["scene_graph"][figure] for each in (real, synthetic, together)]
        assert figures[2] == pytest.approx((4 * figures[0] + 3 * figures[1]) / 7)
    keys = {name for row in rows(trained) for name in row}
    assert {"MULTI_val/SG/R@20", "MULTI_val_real/SG/mR@100", "MULTI_val_synthetic/bbox/AP50"} <= keys

    options = ["OUTPUT_DIR", str(tmp_path), "MODEL.WEIGHTS", str(trained / "checkpoints" / "iter_0000010")]
    alone = ["DATASETS.TRAIN", "()", "DATASETS.TEST", "('VG_val',)"]
    again = evaluate(load_config(config_file, [*settings, *options, *alone]), cluster=CPU).module.results[0]
    for k in (20, 50, 100):
        assert again[f"R@{k}"] == real["scene_graph"][f"R@{k}"]
        assert again[f"mR@{k}"] == real["scene_graph"][f"mR@{k}"]


@pytest.mark.usefixtures("few_examples")
def test_the_report_shows_every_source_and_all_together(trained, config_file, settings, tmp_path):
    options = [*settings, "OUTPUT_DIR", str(tmp_path), "MODEL.WEIGHTS", str(trained / "best")]
    evaluate_with_report(load_config(config_file, options), cluster=CPU)
    page = (tmp_path / "report.html").read_text()
    for name in ("MULTI_val_real", "MULTI_val_synthetic", "MULTI_val"):
        assert f">{name}<" in page
    names = {path.name for path in (tmp_path / "predictions").iterdir()}
    assert names == {"MULTI_val_real.h5", "MULTI_val_synthetic.h5"}


def test_resume_of_a_mix_is_bit_exact(trained, config_file, settings, tmp_path):
    shutil.copytree(trained / "checkpoints" / "iter_0000005", tmp_path / "checkpoints" / "iter_0000005")
    options = [*settings, "OUTPUT_DIR", str(tmp_path), "DATALOADER.NUM_WORKERS", "1"]
    train(load_config(config_file, options), cluster=CPU, resume=True)
    once, twice = (
        load_file(folder / "checkpoints" / "iter_0000010" / "model.safetensors")
        for folder in (trained, tmp_path)
    )
    assert all(torch.equal(once[name], twice[name]) for name in once)
    last = [row for row in rows(tmp_path) if "samples_real" in row][-1]
    assert (last["samples_real"], last["samples_synthetic"]) == (28, 12)


def test_accumulation_and_a_schedule_keep_the_counts(config_file, settings, tmp_path, monkeypatch):
    drawn = []
    original = TrainBatchSampler.__iter__

    def watched(sampler):
        for batch in original(sampler):
            drawn.extend(batch)
            yield batch

    monkeypatch.setattr(TrainBatchSampler, "__iter__", watched)
    ratios = {"REAL_SAMPLING_RATIO": 0.5, "REAL_SAMPLING_RATIO_END": 1}
    ratios |= {"SYNTHETIC_SAMPLING_RATIO": 0.5, "SYNTHETIC_SAMPLING_RATIO_END": 0}
    pairs = {f"DATASETS.MULTI_DATASET.{key}": ratio for key, ratio in ratios.items()}
    pairs |= {"SOLVER.ACCUMULATE": 2, "SOLVER.MAX_ITER": 5, "SOLVER.LOG_PERIOD": 1, "OUTPUT_DIR": tmp_path}
    options = [*settings, *(str(item) for pair in pairs.items() for item in pair), "DATASETS.TEST", "()"]
    train(load_config(config_file, options), cluster=CPU)
    steps = [[draw.source for draw in drawn if draw.step == step] for step in range(5)]
    assert [sum(step) for step in steps] == [2, 1, 1, 1, 0]
    logged = rows(tmp_path)
    assert (logged[-1]["samples_real"], logged[-1]["samples_synthetic"]) == (15, 5)
    assert [row["loss_relation_synthetic"] is None for row in logged] == [False] * 4 + [True]
    assert all(row["loss_relation_real"] > 0 for row in logged)


def test_resume_with_other_ratios_warns(trained, config_file, settings, tmp_path):
    shutil.copytree(trained / "checkpoints" / "iter_0000005", tmp_path / "checkpoints" / "iter_0000005")
    options = ["OUTPUT_DIR", str(tmp_path), "DATASETS.MULTI_DATASET.REAL_SAMPLING_RATIO", "0.3"]
    options += ["DATASETS.MULTI_DATASET.SYNTHETIC_SAMPLING_RATIO", "0.7", "DATASETS.TEST", "()"]
    train(load_config(config_file, [*settings, *options]), cluster=CPU, resume=True)
    told = "resuming as if 6 real, 14 synthetic images had been used, but 14 real, 6 synthetic were"
    assert told in (tmp_path / "log.txt").read_text()
    last = [row for row in rows(tmp_path) if "samples_real" in row][-1]
    assert (last["samples_real"], last["samples_synthetic"]) == (20, 20)


def test_an_image_that_is_no_number_leaves_no_trace(config_file, settings, tmp_path, monkeypatch):
    original = SceneGraphModule.transfer_batch_to_device
    broken = []

    def transfer(module, batch, device, dataloader_idx):
        batch = original(module, batch, device, dataloader_idx)
        if module.trainer.training and module.global_step == 1:
            batch.images = batch.images.float()
            batch.images[2] = torch.nan
            broken.append(batch.targets[2].image_id)
        return batch

    monkeypatch.setattr(SceneGraphModule, "transfer_batch_to_device", transfer)
    options = ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", "3", "SOLVER.CHECKPOINT_PERIOD", "1"]
    options += ["SOLVER.MAX_TO_KEEP", "9", "MODEL.RESNETS.NORM", "BN", "MODEL.BACKBONE.FREEZE_AT", "0"]
    train(load_config(config_file, [*settings, *options, "DATASETS.TEST", "()"]), cluster=CPU)
    after = [
        load_file(tmp_path / "checkpoints" / f"iter_{step:07d}" / "model.safetensors") for step in (1, 2, 3)
    ]
    assert any("running_mean" in name for name in after[0])
    assert all(torch.equal(after[0][name], after[1][name]) for name in after[0])
    assert all(value.isfinite().all() for value in after[2].values())
    assert any(not torch.equal(after[1][name], after[2][name]) for name in after[0])
    log = (tmp_path / "log.txt").read_text()
    # A batch norm that is trained mixes the images of a batch: all of them are named.
    assert re.search(rf"loss_ce_subject is not finite for image .*\b{broken[0]}\b", log)
    assert "step skipped (1 in a row, 1 in all)" in log


@pytest.mark.parametrize("boxes", [True, False], ids=["no relations", "no boxes"])
def test_batches_from_which_all_relations_vanish_are_learnt_from(
    config_file, settings, tmp_path, monkeypatch, boxes
):
    original = SceneGraphDataset.__getitem__

    def cropped(dataset, draw):
        sample = original(dataset, draw)
        target = sample.target
        target.relations, target.relation_boxes = target.relations[:0], target.relation_boxes[:0]
        if not boxes:
            target.boxes, target.labels = target.boxes[:0], target.labels[:0]
        return sample

    monkeypatch.setattr(SceneGraphDataset, "__getitem__", cropped)
    options = ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", "4", "MODEL.DETR.DENSE_LOSS_WEIGHT", "1"]
    train(load_config(config_file, [*settings, *options, "DATASETS.TEST", "()"]), cluster=CPU)
    last = rows(tmp_path)[-1]
    assert last["skipped_steps"] == 0
    assert 0 < last["total_loss"] < 1000
    assert last["loss_relation"] > 0  # "no relation" is learnt
    assert last["loss_bbox_relation"] == 0
    assert "not finite" not in (tmp_path / "log.txt").read_text()
