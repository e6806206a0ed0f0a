"""Rows of the class heads by the names of the classes, for a training on other classes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from speaq.checkpoints.weights import LoadReport, load_initial_weights, load_matching
from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.pretrained import Speaq
from speaq.structures import Vocabulary
from speaq.training.launch import _load_model
from tiny_model import tiny_config

OLD = {"objects": ("cup", "table", "dog", "Traffic_Light"), "predicates": ("on", "wearing", "near")}
HEADS = ("heads.entity_class", "heads.predicate_class", "token_class")


def saved(folder: Path, **changes: Any) -> Speaq:
    torch.manual_seed(0)
    model = Speaq(tiny_config(dense_head=True, **{**OLD, **changes}))
    with torch.no_grad():
        for head in HEADS:
            model.get_parameter(f"{head}.bias").normal_()
    model.save_pretrained(folder)
    return model


def fine_tune(folder: Path, objects: tuple[str, ...], predicates: tuple[str, ...], **options: Any) -> Any:
    """The row of the checkpoint that each class has, None if its own, with the report."""
    torch.manual_seed(1)
    model = Speaq(tiny_config(dense_head=True, objects=objects, predicates=predicates))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_matching(model, folder, **options)
    theirs = Speaq.from_pretrained(folder if folder.is_dir() else folder.parent).state_dict()
    rows: dict[str, list[int | None]] = {}
    for head in HEADS:
        found: list[int | None] = []
        for row, weight in enumerate(model.get_parameter(f"{head}.weight")):
            places = (theirs[f"{head}.weight"] == weight).all(1).nonzero().flatten().tolist()
            bias = model.get_parameter(f"{head}.bias")[row]
            if places:
                assert bias == theirs[f"{head}.bias"][places[0]]
            else:
                assert torch.equal(weight, before[f"{head}.weight"][row])
                assert bias == before[f"{head}.bias"][row]
            found.append(places[0] if places else None)
        rows[head] = found
    assert torch.equal(model.projection.weight, theirs["projection.weight"])
    return rows, report


def test_rows_of_other_classes_are_matched_by_name(tmp_path, caplog):
    saved(tmp_path)
    with caplog.at_level("INFO"):
        rows, report = fine_tune(tmp_path, ("dog", "puppy", "cup", "traffic light"), ("near", "holding"))
    assert rows["heads.entity_class"] == rows["token_class"] == [2, None, 0, 3, 4]
    assert rows["heads.predicate_class"] == [2, None, 3]
    assert report.partial == sorted(f"{head}.{part}" for head in HEADS for part in ("weight", "bias"))
    assert not set(report.partial) & {*report.loaded, *report.missing} and report.mismatched == []
    for text in (
        "3 of 4 objects taken from the checkpoint by name (dog, cup, traffic light); 1 newly initialized",
        "1 of 2 predicates taken from the checkpoint by name (near); 1 newly initialized (holding)",
    ):
        assert text in caplog.text


def test_rows_of_the_same_classes_in_another_order_are_all_loaded(tmp_path):
    saved(tmp_path)
    rows, report = fine_tune(
        tmp_path / "model.safetensors", ("Traffic_Light", "dog", "table", "cup"), ("near", "on", "wearing")
    )
    assert rows["heads.entity_class"] == [3, 2, 1, 0, 4]
    assert rows["heads.predicate_class"] == [2, 0, 1, 3]
    assert report.partial == report.missing == report.mismatched == []


def test_rows_of_synonyms(tmp_path, caplog):
    saved(tmp_path)
    aliases = tmp_path / "synonyms.txt"
    aliases.write_text("puppy, dog, hound\ncup, mug\nwears, wearing, has on\n")
    torch.manual_seed(1)
    model = Speaq(tiny_config(objects=("mug", "hound", "cat"), predicates=("has on",)))
    section = {"WEIGHTS": str(tmp_path), "WEIGHTS_SYNONYMS": str(aliases)}
    with caplog.at_level("INFO"):
        load_initial_weights(model, Config.model_validate({"MODEL": section}))
    theirs = Speaq.from_pretrained(tmp_path)
    assert torch.equal(
        model.heads.entity_class.weight[[0, 1, 3]], theirs.heads.entity_class.weight[[0, 2, 4]]
    )
    assert torch.equal(model.heads.predicate_class.weight, theirs.heads.predicate_class.weight[[1, 3]])
    assert "2 of 3 objects taken from the checkpoint by name (mug, hound); 1 newly" in caplog.text
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    load_matching(model, tmp_path / "model.pth", synonyms={"mug": "cup"})
    assert "model.pth does not name its classes; the synonyms have no effect" in caplog.text
    section["WEIGHTS_SYNONYMS"] = str(tmp_path / "nowhere.txt")
    with pytest.raises(SpeaqError, match=r"nowhere.txt: cannot read these aliases"):
        load_initial_weights(model, Config.model_validate({"MODEL": section}))


def test_heads_of_another_size_than_the_names_are_reported(tmp_path):
    saved(tmp_path, hidden_dim=32)
    new = Speaq(tiny_config(objects=("dog",), predicates=("on",)))
    report = load_matching(new, tmp_path)
    assert any(text.startswith("heads.entity_class.weight (5, 32) for (2, 16)") for text in report.mismatched)
    assert report.partial == [] and "heads.entity_class.bias" in report.loaded


def test_a_model_with_rows_of_its_own_is_not_evaluated(tmp_path):
    saved(tmp_path)
    pairs = {"DETR": {"HIDDEN_DIM": 16, "NHEADS": 2, "DIM_FEEDFORWARD": 16, "ENC_LAYERS": 1, "DEC_LAYERS": 2}}
    pairs["DETR"] |= {"NUM_OBJECT_QUERIES": 4, "NUM_RELATION_QUERIES": 4, "DENSE_LOSS_WEIGHT": 1}
    pairs |= {
        "RESNETS": {"DEPTH": 18, "STEM_OUT_CHANNELS": 8, "WIDTH_PER_GROUP": 8, "OUT_FEATURES": ["res5"]}
    }
    config, file = Config.model_validate({"MODEL": pairs}), tmp_path / "model.safetensors"
    assert _load_model(config, file, Vocabulary(**OLD)).vocabulary.objects == OLD["objects"]
    with pytest.raises(SpeaqError, match=r"does not match the model of the configuration: .* partial"):
        _load_model(config, file, Vocabulary(("cup", "cat", "dog", "bus"), OLD["predicates"]))


def test_report_tells_how_many_are_partial():
    report = LoadReport(["a"], [], [], [], [], ["b", "c"])
    assert str(report) == "1 tensors loaded; 2 partial (b, c)"
