"""`speaq convert`: converting checkpoints."""

import json
from pathlib import Path

import pytest
import torch

from speaq.checkpoints.names import to_published
from speaq.cli import app, run
from speaq.pretrained import Speaq
from tiny_model import tiny_config

NAMES = {"label_to_idx": {"cup $1": 1, "[red]table[/red]": 2}, "predicate_to_idx": {"위에": 1}}


@pytest.fixture
def files(tmp_path, monkeypatch) -> dict[str, torch.Tensor]:
    """A published checkpoint and a mapping dictionary in the current folder; the tensors."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    state = to_published(Speaq(tiny_config(query_multiplier=2)).state_dict())
    torch.save({"model": state}, "model.pth")
    Path("dicts.json").write_text(json.dumps(NAMES), encoding="utf-8")
    return state


def failing(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        run(app, ["convert", *arguments])
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    return captured.err + captured.out


def test_convert_published_checkpoint_and_back_is_identical(files, capsys):
    run(app, ["convert", "model.pth", "ours", "--mapping", "dicts.json", "MODEL.DETR.NHEADS", "2"])
    rows = {line[:17].strip(): line[17:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["Checkpoint"] == "model.pth: a scene graph model"
    assert rows["Backbone"] == "ResNet-18, 4 stages"
    assert rows["Hidden size"] == "16, feed-forward 16"
    assert rows["Layers"] == "1 encoder, 2 decoder"
    assert (rows["Entity queries"], rows["Predicate queries"]) == ("4", "8, 2 per entity query")
    assert rows["Not in shapes"] == "2 heads, dropout 0.1, pixels RGB"
    model = Speaq.from_pretrained("ours")
    assert model.vocabulary.objects == ("cup $1", "[red]table[/red]")
    assert rows["Loaded"] == f"{len(model.state_dict())} tensors"
    run(app, ["convert", "ours", "back.pth", "--to", "published"])
    assert f"{len(files)} tensors under their published names" in capsys.readouterr().out
    back = torch.load("back.pth", weights_only=True)["model"]
    assert back.keys() == files.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in files.items())


def test_convert_lists_missing_and_unused_tensors(files, capsys):
    state = {name: tensor for name, tensor in files.items() if "relation_embed" not in name}
    state["detr.input_proj.bias"] = torch.full((16,), torch.nan)
    torch.save({**state, "criterion.weight": torch.ones(2)}, "model.pth")
    run(app, ["convert", "model.pth", "ours", "--mapping", "dicts.json"])
    out = " ".join(capsys.readouterr().out.split())
    assert "Initialized 2 tensors: heads.predicate_class" in out
    assert "Left out 1 tensors: criterion" in out
    assert "NaN or infinite 1 tensors: projection" in out


def test_convert_refuses_invalid_arguments(files, capsys, tmp_path):
    assert "give --mapping DICTS.json" in failing(capsys, "model.pth", "ours")
    message = failing(capsys, "model.pth", "ours", "--mapping", "dicts.json", "MODEL.DETR.ENC_LAYERS", "6")
    assert "model.pth: the checkpoint has encoder layers 1, but MODEL.DETR.ENC_LAYERS is 6" in message
    Path("one.json").write_text('{"label_to_idx": {"a": 1}, "predicate_to_idx": {"b": 1}}')
    message = failing(capsys, "model.pth", "ours", "--mapping", "one.json")
    assert "has 2 object classes, but the mapping dictionary names 1" in message
    assert "none.pth: no such weights file" in failing(capsys, "none.pth", "ours", "--mapping", "dicts.json")
    assert "needs no mapping" in failing(capsys, "a", "b", "--to", "published", "--mapping", "dicts.json")
    assert "a: no such folder" in failing(capsys, "a", "b", "--to", "published")
    assert not Path("ours").exists() and not Path("b").exists()
