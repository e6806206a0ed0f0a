"""Checkpoints of other implementations."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden_weights import published_state
from speaq.checkpoints.names import from_published
from speaq.checkpoints.weights import load_matching
from speaq.errors import SpeaqError
from speaq.model.backbone import resnet_config
from speaq.model.config import ModelConfig
from speaq.pretrained import Speaq

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_model(name: str = "model_small", **changes: Any) -> Speaq:
    """A model of the golden figures, with random weights."""
    cfg = json.loads((GOLDEN / f"{name}.json").read_text())["cfg"]
    detr = cfg["DETR"]
    values: dict[str, Any] = {
        "objects": tuple(f"object {i}" for i in range(detr["NUM_CLASSES"])),
        "predicates": tuple(f"predicate {i}" for i in range(detr["NUM_RELATION_CLASSES"])),
        "backbone": resnet_config(depth=cfg["RESNETS_DEPTH"]),
        "hidden_dim": detr["HIDDEN_DIM"],
        "num_heads": detr["NHEADS"],
        "feedforward_dim": detr["DIM_FEEDFORWARD"],
        "encoder_layers": detr["ENC_LAYERS"],
        "decoder_layers": detr["DEC_LAYERS"],
        "num_queries": detr["NUM_OBJECT_QUERIES"],
        "query_multiplier": 1 if name.endswith("baseline") else 2,
    }
    return Speaq(ModelConfig(**{**values, **changes}))


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    return published_state("model_small.json")


def detector(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A plain DETR of the same sizes, with the subject decoder as its only one."""
    renamed = {
        "detr.transformer.decoder.subject_layers.": "detr.transformer.decoder.layers.",
        "detr.transformer.decoder.subject_norm.": "detr.transformer.decoder.norm.",
        "detr.transformer.object_bbox_coords.": "detr.bbox_embed.",
        **{
            name: name
            for name in (
                "detr.backbone.",
                "detr.input_proj.",
                "detr.transformer.encoder.",
                "detr.query_embed.",
            )
        },
    }
    state = {"detr.class_embed.weight": torch.zeros(81, 32)}
    for name, tensor in published.items():
        for theirs, plain in renamed.items():
            if name.startswith(theirs):
                state[plain + name.removeprefix(theirs)] = tensor
    return state


@pytest.mark.parametrize("name", ["model_small", "model_small_baseline", "model_paper"])
def test_published_names_map_one_to_one(name):
    keys = dict(json.loads((GOLDEN / f"{name}.json").read_text())["keys"])
    # Only the shapes matter: tensors on the meta device have no values.
    state = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    ours = from_published(state)
    packed = sum(key.endswith(("in_proj_weight", "in_proj_bias")) for key in keys)
    assert len(ours) == len(keys) + 2 * packed
    assert sum(tensor.numel() for tensor in ours.values()) == sum(tensor.numel() for tensor in state.values())
    own = golden_model(name).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: own[key].shape for key in own}


def test_packed_matrices_are_split_in_order(published):
    ours, source = from_published(published), "detr.transformer.encoder.layers.0.self_attn."
    for kind in ("weight", "bias"):
        parts = [ours[f"encoder.layers.0.attention.{part}.{kind}"] for part in ("query", "key", "value")]
        assert torch.equal(torch.cat(parts), published[f"{source}in_proj_{kind}"])
    source = "detr.transformer.decoder.relation_pos_attn.0."
    for letter, part in (("q", "query"), ("k", "key"), ("v", "value")):
        theirs = published[f"{source}{letter}_proj_weight"]
        assert torch.equal(ours[f"decoder.relation_position.0.attention.{part}.weight"], theirs)
    assert torch.equal(
        from_published({"module.detr.input_proj.bias": torch.ones(2)})["projection.bias"], torch.ones(2)
    )


def test_a_published_checkpoint_loads_whole(published, tmp_path):
    # What detectron2 saves: the best metric is a numpy number.
    content = {
        "model": published,
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 1e-4}]},
        "scheduler": {"last_epoch": 3, "milestones": (1, 2)},
        "iteration": 149999,
        "SGMeanRecall@100": np.float64(0.176),
    }
    torch.save(content, tmp_path / "model.pth")
    model = golden_model()
    report = load_matching(model, tmp_path / "model.pth")
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], [])
    assert len(report.loaded) == len(model.state_dict())
    expected = from_published(published)
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert str(report) == f"{len(report.loaded)} tensors loaded"


def test_what_does_not_fit_is_reported_and_left_alone(published, tmp_path):
    state = {name: tensor for name, tensor in published.items() if "input_proj" not in name}
    state["criterion.empty_weight"] = torch.ones(3)
    torch.save({"model": state}, tmp_path / "model.pth")
    model = golden_model(objects=("cup", "table"))
    before = model.heads.entity_class.weight.clone()
    report = load_matching(model, tmp_path / "model.pth")
    assert report.missing == ["projection.bias", "projection.weight"]
    assert report.unexpected == ["criterion.empty_weight"]
    width, classes = model.config.hidden_dim, len(published["detr.transformer.object_embed.bias"])
    assert report.mismatched == [
        f"heads.entity_class.bias ({classes},) for (3,)",
        f"heads.entity_class.weight ({classes}, {width}) for (3, {width})",
    ]
    assert torch.equal(model.heads.entity_class.weight, before)
    assert "2 missing (projection.bias, projection.weight)" in str(report)
    torch.save({"somewhere.else": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(SpeaqError, match=r"no tensor matches this model.*same architecture"):
        load_matching(model, tmp_path / "other.pth")


def test_the_decoder_of_a_detector_starts_all_three(published, tmp_path):
    torch.save({"model": detector(published)}, tmp_path / "detector.pth")
    model = golden_model()
    report = load_matching(model, tmp_path / "detector.pth")
    own, expected = model.state_dict(), from_published(published)
    assert report.unexpected == []
    assert [text.split()[0] for text in report.mismatched] == ["heads.entity_class.weight"]
    for name in expected:
        if name.startswith("decoder.subject_layers."):
            for kind in ("subject", "object", "relation"):
                assert torch.equal(own[name.replace("subject_layers", f"{kind}_layers")], expected[name])
    for name in ("decoder.entity_norm.weight", "decoder.relation_norm.weight"):
        assert torch.equal(own[name], expected["decoder.entity_norm.weight"])
    for name in ("heads.box.layers.2.weight", "decoder.subject_embedding.weight", "projection.weight"):
        assert torch.equal(own[name], expected[name])
    # What makes a scene graph of boxes is left to be learnt.
    parts = ("_position.", "_graph.", "_graph_norm.", "_embedding.", "heads.")
    assert all(any(part in name for part in parts) for name in report.missing)
    assert "heads.predicate_class.weight" in report.missing


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_pretrained_resnets_of_detectron2(published, tmp_path, suffix):
    prefix = "detr.backbone.0.backbone."
    parts = {name.removeprefix(prefix): tensor.numpy() for name, tensor in published.items()}
    arrays = {name: array for name, array in parts.items() if name.startswith(("stem.", "res2."))}
    arrays["stem.fc.weight"] = np.zeros((10, 4), dtype=np.float32)
    content = {"model": arrays, "__author__": "torchvision", "matching_heuristics": True}
    path = tmp_path / f"R-50{suffix}"
    if suffix == ".pth":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    model = golden_model()
    report = load_matching(model, path)
    places = ("backbone.body.embedder.", "backbone.body.encoder.stages.0.")
    assert report.unexpected == ["stem.fc.weight"] and report.mismatched == []
    assert report.loaded == sorted(name for name in model.state_dict() if name.startswith(places))
    kernel = model.backbone.body.encoder.stages[0].layers[0].shortcut.convolution.weight
    assert torch.equal(kernel, published[f"{prefix}res2.0.shortcut.weight"])
