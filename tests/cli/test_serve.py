"""speaq serve."""

import sys

import pytest

from speaq.cli import app, run


def test_missing_extra_is_named(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("speaq.tools.serve")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(SystemExit) as end:
        run(app, ["serve", "no_model"])
    error = capsys.readouterr().err
    assert end.value.code == 2 and error.count("\n") == 1
    assert 'pip install "speaq[serve]"' in error


def test_missing_model_is_named(capsys):
    pytest.importorskip("fastapi")
    pytest.importorskip("fastapi_offline")
    with pytest.raises(SystemExit) as end:
        run(app, ["serve", "no_model.onnx"])
    assert end.value.code == 2 and "no_model.onnx" in capsys.readouterr().err
