"""Checkpoints of a training, resuming from them, signals, and invalid devices."""

import os
import shutil
import signal
import sys
from pathlib import Path
from types import ModuleType

import lightning
import pytest
import torch
from lightning.pytorch.loggers import WandbLogger

from golden_dataset import TINY
from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.losses.criterion import Criterion
from speaq.training import logs
from speaq.training.checkpoints import (
    FolderCheckpoint,
    complete_checkpoints,
    newest_checkpoint,
    published_checkpoint,
)
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train
from speaq.training.logs import console
from speaq.training.module import SceneGraphModule

CPU = Cluster(num_gpus=0)
STATE = {
    "global_step": 1,
    "lr_schedulers": [],
    "optimizer_states": [],
    "seed": 0,
    "skipped_steps": 0,
    "samples": {},
}


@pytest.fixture(scope="module")
def started(config_file, tmp_path_factory) -> Path:
    """A training of two steps."""
    output = tmp_path_factory.mktemp("started")
    overrides = ["OUTPUT_DIR", str(output), "SOLVER.MAX_ITER", "2", "DATASETS.TEST", "()"]
    train(load_config(config_file, overrides), cluster=CPU)
    return output


@pytest.fixture
def copy(started, config_file, tmp_path):
    """From overrides to the configuration that goes on in a copy of that training, to step 4."""
    shutil.copytree(started, tmp_path / "copy")

    def load(*overrides: str):
        common = ["OUTPUT_DIR", str(tmp_path / "copy"), "SOLVER.MAX_ITER", "4", "DATASETS.TEST", "()"]
        return load_config(config_file, [*common, *overrides])

    return load


def write_checkpoint(output: Path, number: int, weight: float = 0.0) -> Path:
    folder = output / "checkpoints" / f"iter_{number:07d}"
    tensors = {"model.w": torch.full((3,), weight)}
    FolderCheckpoint().save_checkpoint(STATE | {"state_dict": tensors, "model_config": "{}"}, folder)
    return folder


def test_complete_checkpoints_are_ordered_by_number(tmp_path):
    numbers = (5, 40, 9_999_999, 10_000_000)
    folders = [write_checkpoint(tmp_path, number) for number in numbers]
    (tmp_path / "checkpoints" / "iter_x").mkdir()
    (tmp_path / "checkpoints" / "iter_99999999").mkdir()
    assert complete_checkpoints(tmp_path) == folders
    for number, name in zip((3, 2, 1), ("model.safetensors", "trainer.pt", "config.json"), strict=True):
        (folders[number] / name).unlink()
        assert newest_checkpoint(tmp_path) == folders[number - 1]
    assert newest_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("name", ["trainer.pt", "model.safetensors"])
def test_load_checkpoint_refuses_damaged_files(tmp_path, name):
    folder = write_checkpoint(tmp_path, 7, weight=2.0)
    assert FolderCheckpoint().load_checkpoint(folder)["state_dict"]["model.w"].tolist() == [2.0] * 3
    whole = (folder / name).read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        (folder / name).write_bytes(content)
        with pytest.raises(SpeaqError, match=rf"iter_0000007/{name}.*delete .*iter_0000007 to resume"):
            FolderCheckpoint().load_checkpoint(folder)


def test_load_checkpoint_refuses_other_content(tmp_path):
    folder = write_checkpoint(tmp_path, 7)
    for content in ([1], {"seed": 1}):
        torch.save(content, folder / "trainer.pt")
        with pytest.raises(SpeaqError, match=r"trainer\.pt: not the state of a training"):
            FolderCheckpoint().load_checkpoint(folder)


def test_save_checkpoint_raises_where_it_cannot_write(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(SpeaqError, match="iter_0000001: cannot write"):
        write_checkpoint(tmp_path, 1)


def test_resume_deletes_what_a_killed_training_left(copy):
    config = copy()
    output = Path(config.output_dir)
    names = (".writing-x", "best/.saving-x", "best/.writing-x")
    left = [output / name for name in names]
    left += [output / "checkpoints" / name for name in (".iter_0000003.part", ".iter_0000001.former")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "model.safetensors").touch()
    train(config, cluster=CPU, resume=True)
    assert not list(output.rglob(".*"))
    assert complete_checkpoints(output)[-1].name == "iter_0000004"


def test_train_refuses_the_output_of_another_training(copy):
    config = copy()
    with pytest.raises(SpeaqError, match="iter_0000002: OUTPUT_DIR contains the checkpoints of another"):
        train(config, cluster=CPU)
    assert [path.name for path in complete_checkpoints(Path(config.output_dir))] == ["iter_0000002"]


def test_resume_applies_changed_solver_settings(copy):
    config = copy("SOLVER.BASE_LR", "1e-5", "SOLVER.WEIGHT_DECAY", "0.5", "SOLVER.STEPS", "(3,)")
    train(config, cluster=CPU, resume=True)
    newest = newest_checkpoint(Path(config.output_dir))
    assert newest is not None
    state = FolderCheckpoint().load_checkpoint(newest)
    assert state["global_step"] == 4
    groups = state["optimizer_states"][0]["param_groups"]
    assert [group["lr"] for group in groups] == pytest.approx([1e-6, 1e-7])  # after STEPS; the backbone's
    assert {group["weight_decay"] for group in groups} == {0.5}


@pytest.mark.parametrize(
    "change",
    [
        ("SOLVER.OPTIMIZER", "SGD"),
        ("SOLVER.BACKBONE_MULTIPLIER", "1.0"),
        ("MODEL.BACKBONE.FREEZE_AT", "0"),
    ],
)
def test_resume_refuses_another_optimizer(copy, change):
    with pytest.raises(SpeaqError, match=r"had another SOLVER\.OPTIMIZER or other parameter groups"):
        train(copy(*change), cluster=CPU, resume=True)


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("how", "end", "code"),
    [
        (signal.SIGINT, KeyboardInterrupt, None),
        (signal.SIGTERM, SystemExit, 143),
        (signal.SIGUSR1, SystemExit, 128 + signal.SIGUSR1),
    ],
)
def test_signals_end_training_with_the_usual_exit_codes(copy, monkeypatch, how, end, code, workers):
    if how is signal.SIGINT:  # which a shell has its background jobs ignore
        signal.signal(signal.SIGINT, signal.default_int_handler)
    send_in(monkeypatch, Criterion, "forward", how)
    config = copy("DATALOADER.NUM_WORKERS", workers)
    with pytest.raises(end) as stop:
        train(config, cluster=CPU, resume=True)
    if code is not None:
        assert stop.value.code == code
        assert complete_checkpoints(Path(config.output_dir))[-1].name == "iter_0000003"
    log = (Path(config.output_dir) / "log.txt").read_text()
    assert f"interrupted; --resume continues from {newest_checkpoint(Path(config.output_dir))}" in log


def test_resume_repeats_the_last_evaluation_of_a_training_with_fewer_steps(copy):
    config = copy("DATASETS.TEST", "('VG_val',)", "TEST.EVAL_PERIOD", "2")
    train(config, cluster=CPU, resume=True)
    assert [path.name for path in complete_checkpoints(Path(config.output_dir))][-1] == "iter_0000004"
    log = (Path(config.output_dir) / "log.txt").read_text()
    assert "repeating the interrupted evaluation of iteration 1" in log


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(lightning.Trainer, "_run_stage"), (SceneGraphModule, "validation_step")],
    ids=["start", "repeated evaluation"],
)
def test_signals_before_the_first_step_end_a_resumed_training(copy, monkeypatch, owner, name, how):
    send_in(monkeypatch, owner, name, how)
    config = copy("DATASETS.TEST", "('VG_val',)", "TEST.EVAL_PERIOD", "2", "SOLVER.CHECKPOINT_PERIOD", "5")
    with pytest.raises(SystemExit) as stop:
        train(config, cluster=CPU, resume=True)
    assert stop.value.code == 128 + how
    newest = newest_checkpoint(Path(config.output_dir))
    assert newest is not None
    assert newest.name == "iter_0000002"
    log = (Path(config.output_dir) / "log.txt").read_text()
    assert f"interrupted; --resume continues from {newest}" in log


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGUSR1])
def test_signals_at_the_start_end_an_evaluation(copy, monkeypatch, how):
    send_in(monkeypatch, lightning.Trainer, "_run_stage", how)
    with pytest.raises(SystemExit) as stop:
        evaluate(copy("DATASETS.TEST", "('VG_val',)"), cluster=CPU, resume=True)
    assert stop.value.code == 128 + how


def send_in(monkeypatch, owner: type, name: str, how: int) -> None:
    """Send a signal to this process at the start of a method."""
    original = getattr(owner, name)

    def method(*arguments, **options):
        os.kill(os.getpid(), how)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, method)


@pytest.mark.parametrize("named", [True, False])
def test_output_of_the_published_code_is_evaluated_but_not_resumed(started, config_file, tmp_path, named):
    for number in (1999, 4999):
        file = tmp_path / f"model_{number:07d}.pth"
        torch.save({"model": {}}, file)
    if named:
        (tmp_path / "last_checkpoint").write_text("model_0001999.pth")
    expected = tmp_path / ("model_0001999.pth" if named else "model_0004999.pth")
    assert published_checkpoint(tmp_path) == expected
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path)])
    for resume in (True, False):
        with pytest.raises(SpeaqError, match=f"{expected}: OUTPUT_DIR .* cannot be resumed.*MODEL.WEIGHTS"):
            train(config, cluster=CPU, resume=resume)
    assert not (tmp_path / "log.txt").exists()
    with pytest.raises(SpeaqError, match=f"{expected}: "):  # it has no tensors
        evaluate(config, cluster=CPU, resume=True)


def test_a_worse_model_does_not_replace_the_best_after_resuming(config_file, tmp_path, monkeypatch):
    # The checkpoint of step 2 is saved before the evaluation of step 2.
    values = iter([0.5, 0.3, 0.7])
    original = SceneGraphMetrics.compute
    monkeypatch.setattr(
        SceneGraphMetrics, "compute", lambda metric: original(metric) | {"mR@100": next(values)}
    )
    options = ["OUTPUT_DIR", str(tmp_path), "TEST.EVAL_PERIOD", "2"]
    best = tmp_path / "best" / "model.safetensors"
    train(load_config(config_file, [*options, "SOLVER.MAX_ITER", "2"]), cluster=CPU)
    first = best.read_bytes()
    train(load_config(config_file, [*options, "SOLVER.MAX_ITER", "4"]), cluster=CPU, resume=True)
    assert best.read_bytes() == first
    train(load_config(config_file, [*options, "SOLVER.MAX_ITER", "6"]), cluster=CPU, resume=True)
    assert best.read_bytes() != first


def test_missing_images_are_found_before_the_training(config_file, tmp_path):
    shutil.copytree(TINY / "images", tmp_path / "images")
    for file in sorted((tmp_path / "images").iterdir())[::2]:
        file.unlink()
    options = ["OUTPUT_DIR", str(tmp_path / "run"), "DATASETS.VISUAL_GENOME.IMAGES", str(tmp_path / "images")]
    with pytest.raises(
        SpeaqError, match=r"images: \d+ of \d+ images have no file .*, \.\.\..*CORRUPTED_IMAGES"
    ):
        train(load_config(config_file, options), cluster=CPU)
    options += ["DATASETS.TEST", "('VG_test',)"]
    with pytest.raises(SpeaqError, match=r"images: \d+ of \d+ images have no file"):
        evaluate(load_config(config_file, options), cluster=CPU)


def test_wandb_without_login_is_refused_before_the_model_is_built(config_file, tmp_path, monkeypatch):
    class WandbError(Exception):
        pass

    class WandbWithoutLogin(WandbLogger):
        def __init__(self, **options):
            pass

        @property
        def experiment(self):
            raise WandbError("No API key configured.")

    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    errors = ModuleType("wandb.errors")
    monkeypatch.setattr(errors, "Error", WandbError, raising=False)
    monkeypatch.setitem(sys.modules, "wandb.errors", errors)
    monkeypatch.setattr(logs, "WandbLogger", WandbWithoutLogin)
    monkeypatch.setattr("speaq.training.launch.load_training_sources", None)  # it does not come to that
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path), "WANDB.USE_WANDB", "True"])
    message = r"No API key configured\. Run wandb login, set WANDB_MODE=offline .*WANDB.USE_WANDB False"
    with pytest.raises(SpeaqError, match=message):
        train(config, cluster=CPU)


def test_train_refuses_an_output_folder_it_cannot_write(config_file, tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SpeaqError, match=f"OUTPUT_DIR {folder}: cannot write there"):
            train(load_config(config_file, ["OUTPUT_DIR", str(folder)]), cluster=CPU)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_gpus": -1}, "--num-gpus -1: expected 0"),
        ({"num_gpus": 0, "num_machines": 0}, "--num-machines 0: expected 1"),
        ({"num_gpus": 0, "dist_url": "nonsense"}, "--dist-url nonsense: expected a port from 1 to 65535"),
        ({"num_gpus": 0, "dist_url": "tcp://host:99999"}, "--dist-url tcp://host:99999: expected a port"),
        ({"num_gpus": 0, "dist_url": "0"}, "--dist-url 0: expected a port"),
    ],
)
def test_cluster_refuses_invalid_options(config_file, options, message):
    with pytest.raises(SpeaqError, match=message):
        Cluster(**options).trainer_options(load_config(config_file))


def test_console_prints_class_names_without_markup():
    with console.capture() as capture:
        console.print("on [/b] :cat:")
    assert capture.get() == "on [/b] :cat:\n"
