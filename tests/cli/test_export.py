"""`speaq export`: options and errors."""

from pathlib import Path

import pytest
import torch

from speaq.cli import app, run
from speaq.export.onnx import OnnxReport
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


def test_export_format_torch_writes_a_program(monkeypatch, capsys, tmp_path, model_folder):
    asked = {}

    def export_program(model, path, **options):
        asked.update(options, path=path)
        path.write_bytes(b"12")
        return []

    monkeypatch.setattr("speaq.export.program.export_program", export_program)
    output = tmp_path / "model.pt2"
    options = ["--format", "torch", "--no-postprocess", "--pixels", "float32", "--no-check"]
    run(app, ["export", str(model_folder), str(output), *options])
    assert asked == {"path": output, "num_rel": None, "pixels": "float32", "check": False}
    assert f"written to {output}" in capsys.readouterr().out


def test_export_writes_onnx_by_default(monkeypatch, capsys, tmp_path, model_folder):
    asked = {}

    def export_onnx(model, path, **options):
        asked.update(options, path=path)
        path.write_bytes(b"12")
        return OnnxReport()

    monkeypatch.setattr("speaq.export.onnx.export_onnx", export_onnx)
    output = tmp_path / "model.onnx"
    run(app, ["export", str(model_folder), str(output)])
    defaults = {"num_rel": 1, "pixels": "uint8", "int8": False, "opset": None, "check": True}
    assert asked == {"path": output, **defaults}
    run(app, ["export", str(model_folder), str(output), "--int8", "--opset", "20", "--no-postprocess"])
    assert asked == {"path": output, **defaults, "int8": True, "opset": 20, "num_rel": None}
    assert capsys.readouterr().out.count(f"written to {output}") == 2


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
