"""Weights given by an address."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from speaq.checkpoints.names import to_published
from speaq.checkpoints.sources import local_source, weights_source
from speaq.checkpoints.weights import load_initial_weights, load_matching
from speaq.cli import app, run
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.model.backbone import Backbone, resnet_config
from speaq.pretrained import Speaq
from tiny_model import tiny_config

MSRA = "detectron2://ImageNetPretrained/MSRA/R-101.pkl"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("FVCORE_CACHE", raising=False)
    return tmp_path / "home"


def write_resnet(path: Path) -> Speaq:
    """A ResNet in the format of Detectron2's model zoo."""
    model = Speaq(tiny_config(backbone=resnet_config(depth=50, stem_width=8, width=8)))
    prefix = "detr.backbone.0.backbone."
    state = to_published(model.state_dict())
    arrays = {name.removeprefix(prefix): t.numpy() for name, t in state.items() if name.startswith(prefix)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "MSRA"}))
    return model


@pytest.mark.parametrize(
    "place",
    [
        "R-101.pkl",
        "ImageNetPretrained/MSRA/R-101.pkl",
        "home/.torch/iopath_cache/detectron2/ImageNetPretrained/MSRA/R-101.pkl",
        "home/.torch/fvcore_cache/detectron2/ImageNetPretrained/MSRA/R-101.pkl",
        "cache/detectron2/ImageNetPretrained/MSRA/R-101.pkl",
    ],
)
def test_a_model_of_the_zoo_that_the_user_has(tmp_path, monkeypatch, caplog, place):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path / "cache"))
    theirs = write_resnet(tmp_path / place)
    model = Speaq(theirs.config)
    with caplog.at_level("INFO"):
        load_initial_weights(model, Config.model_validate({"MODEL": {"WEIGHTS": MSRA}}))
    assert all(
        torch.equal(a, b) for a, b in zip(model.backbone.buffers(), theirs.backbone.buffers(), strict=True)
    )
    assert f"{MSRA}: using the file " in caplog.text and "R-101.pkl" in caplog.text


@pytest.mark.parametrize("depth", [50, 101])
@pytest.mark.parametrize("origin", ["MSRA", "torchvision"])
def test_a_model_of_the_zoo_from_the_hub(tmp_path, monkeypatch, caplog, depth, origin):
    backbone = resnet_config(depth=depth, stem_width=8, width=8, stride_in_1x1=True)
    blocks = str(backbone["depths"])
    (tmp_path / "config.json").write_text(f'{{"model_type": "resnet", "depths": {blocks}}}')
    loaded: list[Any] = []
    monkeypatch.setattr("speaq.checkpoints.weights.download", lambda name, files: tmp_path)
    monkeypatch.setattr(Backbone, "load_pretrained", lambda self, name: loaded.append(name))
    source = f"detectron2://ImageNetPretrained/{origin}/R-{depth}.pkl"
    load_matching(Speaq(tiny_config(backbone=backbone)), source)
    assert loaded == [f"microsoft/resnet-{depth}"]
    assert f"{source}: there is no local copy; using microsoft/resnet-{depth} of the hub" in caplog.text
    assert "has other weights" in caplog.text
    assert "set MODEL.RESNETS.STRIDE_IN_1X1 False" in caplog.text
    other = resnet_config(depth=34 if depth == 101 else 101, stem_width=8, width=8)
    with pytest.raises(SpeaqError, match=r"blocks, but the backbone has .*; set MODEL.RESNETS.DEPTH"):
        load_matching(Speaq(tiny_config(backbone=other)), source)


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("http://example.org/a.pth", "download the file and give the path of the file"),
        ("s3://bucket/a.pth", "download the file and give the path of the file"),
        ("catalog://ImageNetPretrained/MSRA/R-50", "download the file and give the path of the file"),
        (
            "detectron2://COCO-Detection/retinanet/model.pkl",
            "download https://dl.fbaipublicfiles.com/detectron2/COCO-Detection/retinanet/model.pkl and",
        ),
        (
            "https://huggingface.co/facebook/detr-resnet-50",
            "give the id of the model, facebook/detr-resnet-50",
        ),
        ("https://huggingface.co/a/b/resolve/main/model.safetensors", "give the id of the model, a/b"),
        ("hf://facebook/detr-resnet-50", "give the id of the model, facebook/detr-resnet-50"),
    ],
)
def test_addresses_are_refused_with_what_to_do(source, advice):
    with pytest.raises(SpeaqError) as caught:
        load_matching(Speaq(tiny_config()), source)
    assert str(caught.value).startswith(f"{source}: addresses are not opened; ")
    assert advice in str(caught.value)
    with pytest.raises(SpeaqError, match="addresses are not opened"):
        Speaq.from_pretrained(Path(source))


def test_paths_and_ids_are_no_addresses(tmp_path):
    for source in ("a.pth", "owner/name", str(tmp_path), "C:/weights/a.pth", r"C:\a.pth", tmp_path):
        assert local_source(source) == weights_source(source) == source


def message(capsys: Any, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        run(app, list(arguments))
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_convert_command_refuses_addresses(tmp_path, capsys):
    Path("dicts.json").write_text('{"label_to_idx": {"a": 1}, "predicate_to_idx": {"b": 1}}')
    text = message(capsys, "convert", MSRA, "out", "--mapping", "dicts.json")
    assert f"{MSRA}: addresses are not opened; download https://dl.fbaipublicfiles.com/detectron2/" in text


@pytest.mark.parametrize("name", ["w.pth", "w.pkl", "w.ckpt", "w.PTH", "w.safetensors"])
def test_commands_that_take_a_model_say_how_to_convert_a_file(name, capsys):
    Path(name).touch()
    Path("config.yaml").touch()
    Image.new("RGB", (8, 8)).save("photo.jpg")
    advice = f"{name}: a checkpoint file: convert it first with `speaq convert {name} FOLDER"
    assert advice in message(capsys, "predict", "photo.jpg", "--model", name)
    assert advice in message(capsys, "evaluate", name, "--config-file", "config.yaml")
    assert advice in message(capsys, "convert", name, "out.pth", "--to", "published")


def test_commands_that_take_a_model_want_its_folder(tmp_path):
    Speaq(tiny_config()).save_pretrained(tmp_path / "model")
    with pytest.raises(SpeaqError, match=r"a file of a saved model; give its folder, .*model$"):
        Speaq.from_pretrained(tmp_path / "model" / "model.safetensors")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(
        SpeaqError, match="a file; expected the folder of a saved model, or a model id on the hub"
    ):
        Speaq.from_pretrained(tmp_path / "model.onnx")
