"""``speaq plot log`` and ``vis_train_log.py``."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest

from speaq.cli import app, run

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture
def log(tmp_path) -> Path:
    path = tmp_path / "outputs" / "multi" / "log.txt"
    path.parent.mkdir(parents=True)
    shutil.copy(GOLDEN / "detectron2_log.txt", path)
    return path


@pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")
def test_vis_train_log_writes_all_figures(capsys, monkeypatch, tmp_path, log):
    monkeypatch.chdir(tmp_path)
    script = str(ROOT / "vis_train_log.py")
    monkeypatch.setattr(sys, "argv", [script, "--log-file", "outputs/multi/log.txt", "--dpi", "30"])
    runpy.run_path(script, run_name="__main__")
    printed = capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "training_plots").iterdir()) == [
        "detailed_loss_components.png",
        "relation_loss_components.png",
        "training_dynamics.png",
        "training_log.csv",
        "training_overview.png",
        "validation_metrics_detailed.png",
    ]
    assert "multi" in printed
    assert "269.5" in printed
    assert "Not drawn: real_vs_synthetic_losses, as no losses by source" in printed
    assert "Written: training_plots/training_overview.png" in printed


@pytest.mark.parametrize("option", ["--log-file", "--log-path"])
def test_log_file_takes_several_paths(option):
    for arguments in ([option, "a", "b"], [option, "a", option, "b"]):
        _, bound, _ = app.parse_args(["plot", "log", *arguments, "--output-dir", "c"])
        assert bound.arguments["log_file"] == (Path("a"), Path("b"))


def test_summary_table_of_several_runs(capsys, tmp_path):
    for name in ("first", "second"):
        lines = [json.dumps({"iteration": iteration, "total_loss": 2.5}) for iteration in (19, 39)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text("\n".join(lines) + "\n")
    output = tmp_path / "plots"
    logs = [str(tmp_path / "first"), "--log-file", str(tmp_path / "second" / "metrics.json")]
    run(app, ["plot", "log", *logs, "--output-dir", str(output), "--dpi", "20", "--smooth", "3"])
    assert "Written:" in capsys.readouterr().out
    rows = [row.split(",") for row in (output / "training_log.csv").read_text().splitlines()]
    assert rows == [["run", "iteration", "total_loss"]] + [
        [name, iteration, "2.5"] for name in ("first", "second") for iteration in ("19", "39")
    ]


def test_plot_log_refuses_invalid_arguments(capsys, tmp_path):
    for arguments, message in (
        ([], "no log is given"),
        (["--log-file", str(tmp_path / "log.txt")], "log.txt: no such file"),
        ([str(tmp_path)], "neither log.txt nor metrics.json"),
        ([str(GOLDEN / "config_defaults.json")], "no line of a training in this file"),
        ([str(GOLDEN / "detectron2_log.txt"), "--smooth", "-1"], "found -1"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(app, ["plot", "log", *arguments])
        assert stop.value.code == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert "Traceback" not in captured.err + captured.out
