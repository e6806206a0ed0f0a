"""Models that come from and go to the hub."""

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from speaq.checkpoints.hub import download
from speaq.errors import SpeaqError
from speaq.pretrained import Speaq
from tiny_model import tiny_config


@pytest.mark.parametrize("revision", [None, "v1"])
def test_a_cached_model_loads_without_a_network(tmp_path, monkeypatch, revision):
    torch.manual_seed(0)
    model = Speaq(tiny_config())
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--someone--speaq"
    model.save_pretrained(repo / "snapshots" / commit)
    (repo / "refs").mkdir()
    (repo / "refs" / (revision or "main")).write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = Speaq.from_pretrained("someone/speaq", revision=revision)
    assert again.config == model.config
    assert torch.equal(again.projection.weight, model.projection.weight)
    with pytest.raises(
        SpeaqError, match="someone/other: neither a local folder nor a readable model on the hub"
    ):
        Speaq.from_pretrained("someone/other")


@pytest.mark.parametrize("kind", ["model", "dataset"])
def test_a_hub_that_does_not_answer_ends_the_search(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("speaq.checkpoints.hub._TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(
            SpeaqError, match=rf"a/b: neither a local folder .* {kind} on the hub \(timed out\)$"
        ):
            download("a/b", ["config.json"], repo_type=kind)


@pytest.mark.parametrize("cached", [False, True])
def test_a_hub_that_stops_answering_ends_the_search(tmp_path, monkeypatch, cached):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("speaq.checkpoints.hub._TIMEOUT", 0.05)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--a--b"
    if cached:
        (repo / "snapshots" / commit).mkdir(parents=True)
        (repo / "snapshots" / commit / "config.json").touch()
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(commit)

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            if "/tree/" in self.path:
                silent.wait()
                self.close_connection = True
            else:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"id": "a/b", "sha": commit}).encode())

        def log_message(self, *arguments):
            pass

    silent = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
        try:
            if cached:
                assert download("a/b", ["config.json"]) == repo / "snapshots" / commit
            else:
                with pytest.raises(SpeaqError, match="a/b: neither a local folder nor a readable model"):
                    download("a/b", ["config.json"])
        finally:
            silent.set()
            hub.shutdown()


class FakeApi:
    """Remembers what was uploaded."""

    def __init__(self, token: str | None = None, *, cards: bool = False, refuses: bool = False):
        self.token, self.cards, self.refuses = token, cards, refuses
        self.created: list[tuple] = []
        self.files: dict[str, str] = {}

    def __call__(self, token: str | None = None) -> "FakeApi":
        self.token = token
        return self

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        if self.refuses:
            raise OSError("no route to host")
        self.created.append((repo_id, private, exist_ok))

    def file_exists(self, repo_id: str, filename: str) -> bool:
        return self.cards

    def upload_folder(self, *, repo_id: str, folder_path: str, ignore_patterns: list[str] | None) -> str:
        paths = [path for path in Path(folder_path).iterdir() if path.name not in (ignore_patterns or ())]
        self.files = {path.name: path.read_text(errors="replace") for path in paths}
        return f"https://huggingface.co/{repo_id}"


def test_upload(monkeypatch):
    model = Speaq(tiny_config())
    api = FakeApi()
    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    address = model.push_to_hub(
        "someone/speaq", private=True, token="secret", metrics={"R@50": 0.3}, license="mit"
    )
    assert address == "https://huggingface.co/someone/speaq"
    assert (api.created, api.token) == ([("someone/speaq", True, True)], "secret")
    assert sorted(api.files) == ["README.md", "config.json", "model.safetensors"]
    assert "from_pretrained('someone/speaq')" in api.files["README.md"]
    assert "license: mit" in api.files["README.md"] and "secret" not in api.files["README.md"]

    monkeypatch.setattr(huggingface_hub, "HfApi", written := FakeApi(cards=True))
    model.push_to_hub("someone/speaq")  # whose card was edited on the hub
    assert sorted(written.files) == ["config.json", "model.safetensors"]


def test_an_upload_that_fails(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi(refuses=True))
    with pytest.raises(SpeaqError, match=r"someone/speaq: the model cannot be uploaded .*no route to host"):
        Speaq(tiny_config()).push_to_hub("someone/speaq")
    assert issubclass(HfHubHTTPError, OSError)  # what the hub's refusals are
