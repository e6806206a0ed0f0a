"""`speaq export`: options and errors."""

from pathlib import Path

import pytest
import torch

from speaq.cli import app, run
from speaq.export.parity import Report
from speaq.pretrained import Speaq
from tiny_model import tiny_config


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    Speaq(tiny_config()).save_pretrained(folder)
    return folder


def failing(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        run(app, ["export", *arguments])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return captured.err + captured.out


def test_export_passes_its_options_on(monkeypatch, capsys, tmp_path, model_folder):
    given = {}

    def export_model(model, path, **options):
        given.update(options, path=path)
        path.write_bytes(b"12")
        return Report([], [])

    monkeypatch.setattr("speaq.export.files.export_model", export_model)
    output = tmp_path / "model.onnx"
    run(app, ["export", str(model_folder), str(output)])
    defaults = {"format_": "onnx", "num_rel": 1, "pixels": "uint8"}
    defaults |= {"int8": False, "opset": None, "check": True, "path": output}
    assert given == defaults
    run(app, ["export", str(model_folder), str(output), "--int8", "--opset", "20", "--no-postprocess"])
    assert given == defaults | {"int8": True, "opset": 20, "num_rel": None}
    options = ["--format", "torch", "--no-postprocess", "--pixels", "float32", "--no-check"]
    run(app, ["export", str(model_folder), str(output), *options])
    assert given == defaults | {"format_": "torch", "num_rel": None, "pixels": "float32", "check": False}
    assert capsys.readouterr().out.count(f"written to {output}") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "torch", "--int8"], "--int8 and --opset need --format onnx"),
        (["--format", "torch", "--opset", "20"], "--int8 and --opset need --format onnx"),
        (["TEST.NUM_REL", "2"], "TEST.NUM_REL 2: overrides need a configuration"),
        (["--config-file", "x.yaml"], "--config-file is for comparing recalls"),
        (["--int8", "--no-postprocess", "--config-file", "x.yaml"], "--config-file is for comparing recalls"),
        (["--num-rel", "0"], "--num-rel"),
        (["--format", "tensorflow"], "--format"),
    ],
)
def test_export_rejects_options_that_do_not_fit(capsys, tmp_path, model_folder, arguments, message):
    assert message in failing(capsys, str(model_folder), str(tmp_path / "model.onnx"), *arguments)
    assert list(tmp_path.iterdir()) == []


def test_export_reports_a_missing_model(capsys, tmp_path):
    assert "none: no such folder" in failing(capsys, str(tmp_path / "none"), str(tmp_path / "model.onnx"))
