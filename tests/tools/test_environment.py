"""`speaq doctor`: what it says of packages, paths, memory and a trial of training, and its exit codes."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from golden_dataset import TINY
from speaq.cli import app, run
from speaq.config import load_config
from speaq.tools import environment
from speaq.tools.environment import anonymous, check_environment


def check(*overrides: object, config_file: Path | None = None, train: bool = False):
    """Status, found text and advice of each finding by its name."""
    config = load_config(config_file, list(map(str, overrides)))
    return {
        what: rest
        for status, what, *texts in check_environment(config, train=train)
        for rest in [(status, *texts)]
    }


def test_machine_that_trains_has_no_problem(tmp_path):
    found = check("OUTPUT_DIR", tmp_path / "run")
    assert not [what for what, (status, *_) in found.items() if status == "problem"]
    assert "torch 2." in found["packages"][1]
    assert found["gloo"][:2] == ("ok", "all_reduce works")
    assert not (tmp_path / "run").exists()


def test_packages_that_are_missing_or_too_old_are_problems(monkeypatch):
    versions = {"speaq": "0.1.0", "numpy": "1.2", "torch": "2.13.0+cpu", "av": "12"}

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    required = ["numpy>=1.26", "torch>=2.6", "h5py>=3", 'av>=13; extra == "video"', "ruff; extra == 'dev'"]
    monkeypatch.setattr(environment, "version", version)
    monkeypatch.setattr(environment, "requires", lambda name: required)
    found = check()
    assert found["numpy"] == ("problem", "1.2", "pip install 'numpy>=1.26'")
    assert found["h5py"] == ("problem", "not installed", "pip install 'h5py>=3'")
    assert found["packages"][1] == "speaq 0.1.0, torch 2.13.0+cpu"
    assert found["extra video"] == ("ok", "av 12 (pip install 'speaq[video]')", "")
    assert "extra dev" not in found


def test_paths_of_a_configuration(config_file, tmp_path):
    real, other = "DATASETS.VISUAL_GENOME.", "DATASETS.SYNTHETIC_GENOME."
    found = check(
        *(f"{real}IMAGES", [str(TINY / "images"), str(tmp_path / "none")]),
        *(f"{real}VG_ATTRIBUTE_H5", ""),
        *(f"{real}MAPPING_DICTIONARY", tmp_path),
        *(f"{other}IMAGE_DATA", tmp_path / "unused.json"),
        *("MODEL.WEIGHTS", "facebook/detr-resnet-50"),
        *("MODEL.WEIGHTS_SYNONYMS", tmp_path / "synonyms.txt"),
        config_file=config_file,
    )
    assert found[f"{real}IMAGES"] == ("problem", f"{tmp_path / 'none'} does not exist", "correct the path")
    assert found[f"{real}IMAGE_DATA"] == ("ok", str(TINY / "image_data.json"), "")
    assert found[f"{real}VG_ATTRIBUTE_H5"][:2] == ("problem", "not set")
    assert found[f"{real}MAPPING_DICTIONARY"][:2] == ("problem", f"{tmp_path} is a folder")
    assert found[f"{other}IMAGE_DATA"][0] == "warning"
    assert found["MODEL.WEIGHTS"][0] == "ok" and "downloaded" in found["MODEL.WEIGHTS"][1]
    assert found["MODEL.WEIGHTS_SYNONYMS"][0] == "problem"
    assert not found.keys() & {f"{other}IMAGES", "MODEL.BACKBONE.NAME", "TEST.LONG_TAIL.FILE"}
    assert (
        check("DATASETS.TYPE", "VISUAL GENOME", "DATASETS.TRAIN", "('SYNTHETIC_train',)")["DATASETS"][0]
        == "problem"
    )


def test_parquet_takes_the_place_of_other_paths(config_file, tmp_path):
    section = "DATASETS.VISUAL_GENOME."
    assert f"{section}PARQUET" not in check(config_file=config_file)
    for value in (str(tmp_path), "hf://datasets/user/name"):
        found = check(f"{section}PARQUET", value, f"{section}IMAGE_DATA", "", config_file=config_file)
        assert found[f"{section}PARQUET"][0] == "ok" and f"{section}IMAGE_DATA" not in found


def test_little_memory_and_many_threads_are_warnings(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "_memory", lambda: 2**30)
    monkeypatch.setattr("torch.get_num_threads", lambda: 10_000)
    monkeypatch.setattr(environment.shutil, "which", lambda name: "nvidia-smi")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    (tmp_path / "file").touch()
    found = check("OUTPUT_DIR", tmp_path / "file" / "run")
    assert found["memory"][:2] == ("warning", "1.0 GiB")
    assert found["threads"][0] == "warning" and "OMP_NUM_THREADS=" in found["threads"][2]
    assert found["cuda"][0] == "warning"
    assert found["disk"] == ("problem", f"cannot write to {tmp_path / 'file'}", "choose another OUTPUT_DIR")


def run_here(command: list[str], **options: object) -> subprocess.CompletedProcess:
    """Run ``python -P -m speaq ...`` within this process."""
    assert command[1:4] == ["-P", "-m", "speaq"]
    run(app, [*command[4:], "DATALOADER.NUM_WORKERS=0"])
    return subprocess.CompletedProcess(command, 0)


def test_trial_trains_and_predicts(monkeypatch):
    monkeypatch.setattr(environment.subprocess, "run", run_here)
    status, text, _ = check(train=True)["training"]
    assert status == "ok"
    assert text.startswith("4 steps, loss ") and "relations predicted" in text


def test_trial_that_fails_is_a_problem(monkeypatch):
    def fail(command, **options):
        return subprocess.CompletedProcess(command, -11, "", "first line\nspeaq: no memory\n")

    def hang(command, *, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(environment.subprocess, "run", fail)
    assert check(train=True)["training"][:2] == ("problem", "ends with exit code -11: speaq: no memory")
    monkeypatch.setattr(environment.subprocess, "run", hang)
    assert check(train=True)["training"][:2] == ("problem", "not finished after 300 seconds")


def test_names_of_users_and_machines_are_left_out(monkeypatch):
    home = str(Path("/home/ada"))
    monkeypatch.setattr(environment, "expand", lambda path: home)
    monkeypatch.setattr(environment.platform, "node", lambda: "engine")
    text = f"{home}/vg, {home}m/vg, /data/ada/vg /scratch/ada; Canada engine engineer"
    assert anonymous(text) == f"~/vg, {home}m/vg, /data/USER/vg /scratch/USER; Canada HOST engineer"
    monkeypatch.setattr(environment, "expand", lambda path: "/")  # of a user without a home
    assert anonymous("/data/vg") == "/data/vg"


def test_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = check(train=True)
    assert found["torch"][0] == "problem" and found["torch"][2] == "install torch again"
    assert "processor" not in found


def test_command(capsys, tmp_path):
    run(app, ["doctor", "--no-train", "--json", "OUTPUT_DIR", str(tmp_path)])
    findings = json.loads(capsys.readouterr().out)
    assert {each["status"] for each in findings} <= {"ok", "warning"}
    with pytest.raises(SystemExit) as stop:
        run(app, ["doctor", "--no-train", "MODEL.WEIGHTS", str(tmp_path / "none.pth")])
    out = capsys.readouterr().out
    assert stop.value.code == 1
    assert (
        "problem  MODEL.WEIGHTS: " in out
        and "none.pth does not exist; correct the path\nproblems: 1, " in out
    )
    with pytest.raises(SystemExit) as stop:
        run(app, ["doctor", "MODEL.WEIGHT", "x"])
    assert stop.value.code == 2
