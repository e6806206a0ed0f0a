"""Weights on disk."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from speaq.checkpoints.hub import is_hub_id
from speaq.checkpoints.names import from_published, to_published
from speaq.checkpoints.saved_models import find_model
from speaq.checkpoints.weights import load_matching, read_weights
from speaq.errors import SpeaqError
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq
from tiny_model import tiny_config


def tiny_model(**changes: Any) -> Speaq:
    """A model that is quick to save."""
    return Speaq(tiny_config(**{"objects": ("cup",), "decoder_layers": 1, **changes}))


BIAS = {"input_proj.bias": torch.arange(3.0)}


def moved(state: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor + 1 for name, tensor in state.items()}


@pytest.mark.parametrize(
    "content",
    [
        BIAS,
        {"model": BIAS},
        {"state_dict": BIAS},
        {"model_state_dict": BIAS},
        {"module": BIAS},
        {"model_ema": BIAS},
        {"ema": {"module": BIAS, "updates": 5}},
        {"state": {}, "ema_state_dict": BIAS},
        {"ema": {"module": moved(BIAS)}, "model": BIAS},
        {"model": {"module": BIAS, "ema": moved(BIAS)}},
        {"model": {"state_dict": BIAS}},
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".ckpt", ".PKL"])
def test_read_weights_finds_the_state_in_a_checkpoint(tmp_path, content, suffix, caplog):
    path = tmp_path / f"model{suffix}"
    content = {**content, "epoch": 3, "optimizer": {"lr": 0.1}}
    if suffix.lower() == ".pkl":
        path.write_bytes(pickle.dumps(to_arrays(content)))
    else:
        torch.save(content, path)
    with caplog.at_level("INFO"):
        weights = read_weights(path)
    assert {name: tensor.tolist() for name, tensor in weights.items()} == {"projection.bias": [0, 1, 2]}
    if "ema" in content:  # says which of the two it took
        assert "model are used" in caplog.text or "ema.module are used" in caplog.text


def to_arrays(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: to_arrays(value) for key, value in content.items()}
    return content.numpy() if isinstance(content, torch.Tensor) else content


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "module._orig_mod.", "model.", "model._orig_mod.module.", "model.detr."],
)
@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors", "folder"])
def test_read_weights_removes_what_wrappers_add_to_names(tmp_path, prefix, suffix):
    model = tiny_model()
    published = to_published(model.state_dict())
    published = {name.removeprefix("detr."): tensor for name, tensor in published.items()}
    state = {prefix + name: tensor.contiguous() for name, tensor in published.items()}
    state[f"{prefix}backbone.0.backbone.stem.conv1.norm.num_batches_tracked"] = torch.ones(1)
    path = tmp_path / f"model{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    elif suffix == ".pkl":
        path.write_bytes(pickle.dumps(to_arrays(state)))
    elif suffix == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        model.save_pretrained(path)
        save_file(state, path / "model.safetensors")
    weights, expected = read_weights(path), from_published(published)
    assert weights.keys() == expected.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_read_weights_keeps_the_names_of_saved_models(tmp_path):
    model = tiny_model(reference_points=True, dense_head=True)
    for prefix in ("", "_orig_mod.", "module._orig_mod."):
        state = {prefix + name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(state, tmp_path / "model.safetensors")
        assert read_weights(tmp_path / "model.safetensors").keys() == model.state_dict().keys()
    inner = {"backbone._orig_mod.body.a": torch.ones(1), "decoder._fsdp_wrapped_module.b": torch.ones(1)}
    assert list(from_published(inner)) == ["backbone.body.a", "decoder.b"]


def test_read_weights_refuses_names_that_differ_in_a_prefix(tmp_path):
    torch.save({"module.input_proj.bias": torch.ones(3), **BIAS}, tmp_path / "model.pth")
    with pytest.raises(SpeaqError, match=r"model.pth: has both module.input_proj.bias and input_proj.bias"):
        read_weights(tmp_path / "model.pth")


def test_read_weights_names_the_keys_of_a_file_without_weights(tmp_path):
    torch.save({"epoch": 3, "network": {"backbone": {"a": torch.ones(1)}}}, tmp_path / "model.pth")
    with pytest.raises(SpeaqError, match=r"found none; the file has epoch, network.backbone$"):
        read_weights(tmp_path / "model.pth")


class Harmful:
    def __reduce__(self) -> tuple:
        return (print, ("this must not run",))


def test_read_weights_refuses_other_files(tmp_path, capsys):
    def message(content: Any, suffix: str) -> str:
        path = tmp_path / f"weights{suffix}"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif suffix == ".pkl":
            path.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, path)
        with pytest.raises(SpeaqError) as caught:
            read_weights(path)
        return str(caught.value).removeprefix(f"{path}: ")

    for suffix in (".pth", ".pkl"):
        assert message({"model": Harmful()}, suffix).startswith("not a checkpoint of plain tensors (holds a ")
        assert "argparse.Namespace" in message({"args": argparse.Namespace(lr=1)}, suffix)
        assert message(b"", suffix).startswith("not a checkpoint of plain tensors (")
        assert message(b"no pickle at all", suffix).startswith("not a checkpoint of plain tensors (")
        assert message({"model": {}}, suffix).startswith("expected a dictionary of tensors")
        assert message([1, 2], suffix).startswith("expected a dictionary of tensors")
    assert message(b"no tensors", ".safetensors").startswith("not a readable safetensors file")
    assert capsys.readouterr().out == ""
    with pytest.raises(SpeaqError, match=r"nowhere.pth: no such weights file"):
        read_weights(tmp_path / "nowhere.pth")
    with pytest.raises(SpeaqError, match=r"no saved model"):
        read_weights(tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors"])
def test_read_weights_refuses_damaged_files(tmp_path, suffix):
    path, rng = tmp_path / f"weights{suffix}", np.random.default_rng(0)
    state = {f"name {i}": torch.arange(4.0) for i in range(3)}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps({name: tensor.numpy() for name, tensor in state.items()}))
    else:
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    failures = 0
    for _ in range(200):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_weights(path)  # harmless damage, such as another number
        except SpeaqError as error:
            assert str(error).startswith(f"{path}: ")
            failures += 1
    assert failures > 100


def test_save_and_load(tmp_path):
    extras = {"reference_points": True, "dense_head": True, "predicate_counts": (7,)}
    model, folder = tiny_model(frozen_norm=False, **extras).train(), tmp_path / "a" / "b"
    images = torch.randint(0, 256, (1, 3, 70, 90), dtype=torch.uint8)
    with torch.no_grad():
        model(images)  # moves the running statistics
    model.save_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again = Speaq.from_pretrained(folder)
    assert not again.training and again.config == model.config
    with torch.no_grad():
        ours, theirs = model.eval()(images), again(images)
    assert torch.equal(ours.predicate_logits, theirs.predicate_logits)
    assert torch.equal(ours.subject_boxes, theirs.subject_boxes)
    report = load_matching(tiny_model(reference_points=True), folder)
    assert report.mismatched == [] and all("token_" in name for name in report.unexpected)


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    model = tiny_model()
    model.save_pretrained(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SpeaqError, match="cannot write a model here: No space left"):
        tiny_model(num_queries=9).save_pretrained(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_from_pretrained_refuses_folders_without_a_model(tmp_path):
    with pytest.raises(SpeaqError, match=r"no saved model; expected config.json and model.safetensors"):
        Speaq.from_pretrained(tmp_path)
    with pytest.raises(SpeaqError, match="no such folder, and not a model id"):
        Speaq.from_pretrained(tmp_path / "missing")
    tiny_model().save_pretrained(tmp_path / "best")
    (tmp_path / "checkpoints" / "iter_0000010").mkdir(parents=True)
    assert find_model(tmp_path) == tmp_path / "best"
    config = tmp_path / "best" / "config.json"
    config.write_text(config.read_text().replace('"num_queries": 4', '"num_queries": 5'))
    with pytest.raises(SpeaqError, match=r"subject_embedding.weight: .*\[4, 16\].*\[5, 16\]"):
        Speaq.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected the configuration of a speaq model"),
        ('{"model_type": "detr"}', "expected the configuration of a speaq model"),
        ('{"model_type": "speaq", "objects": []}', "predicates: Field required"),
        (
            '{"model_type": "speaq", "objects": [], "predicates": [], "colour": 1}',
            "colour: Unexpected keyword argument",
        ),
        (
            '{"model_type": "speaq", "objects": ["a"], "predicates": ["b"], "hidden_dim": "16"}',
            "hidden_dim: Input should be a valid integer",
        ),
        (
            '{"model_type": "speaq", "objects": ["a"], "predicates": ["b"], "hidden_dim": 18}',
            "hidden_dim is 18; expected a multiple of 4 and of num_heads, 8",
        ),
    ],
)
def test_model_config_refuses_broken_json(tmp_path, text, reason):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(SpeaqError, match=f"config.json: .*{reason}"):
        ModelConfig.from_json(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("owner/name", True),
        ("Owner-1/name_2.b", True),
        ("name", False),
        ("owner/name/more", False),
        ("./name", False),
        ("../name", False),
        (".hidden/name", False),
        ("/owner/name", False),
        ("~/name", False),
        ("existing/name", False),
        ("owner/model.onnx", False),
        ("owner/weights.pth", False),
    ],
)
def test_only_names_of_the_form_owner_name_are_looked_for_on_the_hub(tmp_path, monkeypatch, source, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "existing").mkdir()
    assert is_hub_id(source) == expected


def test_a_look_up_on_the_hub_says_first_that_there_is_no_such_folder(tmp_path, monkeypatch, caplog):
    def unreachable(*args, **options):
        assert caplog.messages == ["outpts/run: there is no such folder; looking for this model on the hub"]
        raise OSError("no connection")

    monkeypatch.setattr("huggingface_hub.HfApi.repo_info", unreachable)
    monkeypatch.chdir(tmp_path)
    message = "outpts/run: neither a local folder nor a readable model on the hub .no connection"
    with pytest.raises(SpeaqError, match=message):
        Speaq.from_pretrained("outpts/run")
