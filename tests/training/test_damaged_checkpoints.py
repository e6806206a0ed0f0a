"""Checkpoints with damaged files: the training goes on from the one before."""

import json
from pathlib import Path

import pytest
import torch

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.training.checkpoints import FolderCheckpoint, find_checkpoint
from speaq.training.cluster import Cluster
from speaq.training.launch import _find_source, train
from tiny_model import tiny_config

STATE = {
    "global_step": 1,
    "lr_schedulers": [],
    "optimizer_states": [],
    "seed": 0,
    "skipped_steps": 0,
    "samples": {},
}
FILES = ("config.json", "model.safetensors", "trainer.pt", "sha256.json")


@pytest.fixture
def checkpoints(tmp_path) -> list[Path]:
    """Two checkpoints."""
    folders = [tmp_path / "checkpoints" / f"iter_{number:07d}" for number in (9, 10)]
    for folder in folders:
        content = {"state_dict": {"model.w": torch.ones(3)}, "model_config": tiny_config().to_json()}
        FolderCheckpoint().save_checkpoint(STATE | content, folder)
    return folders


def flip_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_find_checkpoint_gives_the_newest_one(checkpoints, tmp_path):
    assert sorted(file.name for file in checkpoints[1].iterdir()) == sorted(FILES)
    assert find_checkpoint(tmp_path) == checkpoints[1]
    assert find_checkpoint(tmp_path / "none") is None


@pytest.mark.parametrize("name", FILES)
def test_find_checkpoint_goes_back_after_one_flipped_bit(checkpoints, tmp_path, name, caplog):
    flip_bit(checkpoints[1] / name)
    assert find_checkpoint(tmp_path) == checkpoints[0]
    assert f"iter_0000010/{name}: " in caplog.text or name == "sha256.json"
    assert caplog.messages[0].endswith(f"using the older checkpoint {checkpoints[0]}")
    flip_bit(checkpoints[0] / name)
    with pytest.raises(SpeaqError, match=r"iter_0000010/.*iter_0000009/.*no older checkpoint is left.*copy"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("content", [None, ""])
def test_find_checkpoint_goes_back_without_a_configuration(checkpoints, tmp_path, content, hashed, caplog):
    file = checkpoints[1] / "config.json"
    file.unlink() if content is None else file.write_text(content)
    if not hashed:
        (checkpoints[1] / "sha256.json").unlink()
    assert find_checkpoint(tmp_path) == checkpoints[0]
    assert str(file) in caplog.text


def test_find_checkpoint_accepts_checkpoints_without_hashes(checkpoints, tmp_path):
    (checkpoints[1] / "sha256.json").unlink()
    assert find_checkpoint(tmp_path) == checkpoints[1]


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000, json.dumps({"config.json": 1})])
def test_find_checkpoint_goes_back_from_files_that_are_not_hashes(checkpoints, tmp_path, content, caplog):
    (checkpoints[1] / "sha256.json").write_text(content)
    assert find_checkpoint(tmp_path) == checkpoints[0]
    assert "iter_0000010" in caplog.text


def test_training_resumes_from_the_older_checkpoint(trained_twice):
    config, newest = trained_twice
    flip_bit(newest / "trainer.pt")
    train(config, cluster=Cluster(num_gpus=0), resume=True)
    log = (Path(config.output_dir) / "log.txt").read_text()
    assert "iter_0000002/trainer.pt: damaged; its SHA-256" in log
    assert "using the older checkpoint" in log and "iter_0000001" in log
    assert find_checkpoint(Path(config.output_dir)) == newest.with_name("iter_0000003")


@pytest.fixture
def trained_twice(config_file, tmp_path):
    """The configuration of a training to step 3 with checkpoints of steps 1 and 2, and the newest of them."""
    common = ["OUTPUT_DIR", str(tmp_path / "run"), "DATASETS.TEST", "()", "SOLVER.CHECKPOINT_PERIOD", "1"]
    common += ["SOLVER.IMS_PER_BATCH", "1"]
    train(load_config(config_file, [*common, "SOLVER.MAX_ITER", "2"]), cluster=Cluster(num_gpus=0))
    return (
        load_config(config_file, [*common, "SOLVER.MAX_ITER", "3", "SOLVER.MAX_TO_KEEP", "1"]),
        tmp_path / "run" / "checkpoints" / "iter_0000002",
    )


def test_evaluation_uses_the_older_checkpoint(checkpoints, tmp_path, config_file, caplog):
    flip_bit(checkpoints[1] / "model.safetensors")
    config = load_config(config_file, ["OUTPUT_DIR", str(tmp_path)])
    assert _find_source(config, resume=True) == checkpoints[0]
    assert "iter_0000010/model.safetensors: damaged" in caplog.text
