"""Nothing uses the network where all paths are local."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from golden_dataset import TINY
from speaq.config import load_config
from speaq.pretrained import Speaq
from speaq.training import launch


@pytest.fixture
def attempts(monkeypatch) -> list[str]:
    """What was looked up or connected to; all of it fails. Local sockets work, as data workers use them."""
    found: list[str] = []
    connect = socket.socket.connect

    def look_up(host, *arguments, **options):
        found.append(f"look-up of {host}")
        raise OSError("no network")

    def connect_locally(self, address):
        if self.family != getattr(socket, "AF_UNIX", None):
            found.append(f"connection to {address}")
            raise OSError("no network")
        return connect(self, address)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect_locally)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_locally)
    return found


def test_training_evaluation_and_prediction(config_file, tmp_path, attempts):
    def config(folder: str, *overrides: str):
        return load_config(
            config_file, ["OUTPUT_DIR", str(tmp_path / folder), "SOLVER.MAX_ITER", "2", *overrides]
        )

    launch.train(config("first"))
    launch.train(config("second", "MODEL.WEIGHTS", str(tmp_path / "first")))
    launch.evaluate(config("results", "MODEL.WEIGHTS", str(tmp_path / "second" / "best")))
    Speaq.from_pretrained(tmp_path / "second").predict(next((TINY / "images").iterdir()))
    assert attempts == []


def test_a_model_id_is_looked_up(attempts, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Exception, match="neither a local folder nor a readable model on the hub"):
        Speaq.from_pretrained("nobody/nothing")
    assert attempts


def test_onnxruntime_does_not_report_its_use(tmp_path):
    pytest.importorskip("onnxruntime")
    code = "from speaq.export.predictor import require; require('onnxruntime').disable_telemetry_events()"
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(launch.__file__).parents[2])}
    for name in ("CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert list(tmp_path.rglob("*onnxruntime*")) == []  # the identifier that it otherwise writes
