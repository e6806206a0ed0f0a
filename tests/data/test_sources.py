import json
import shutil
from pathlib import Path

import h5py
import pytest

from speaq.config import Config
from speaq.data.sources import build_dataset, load_sources, load_training_sources
from speaq.errors import SpeaqError

TINY = Path(__file__).parents[1] / "golden" / "vg_tiny"
FILES = {
    "IMAGES": str(TINY / "images"),
    "IMAGE_DATA": str(TINY / "image_data.json"),
    "MAPPING_DICTIONARY": str(TINY / "dicts.json"),
    "VG_ATTRIBUTE_H5": str(TINY / "VG.h5"),
    "NUMBER_OF_VALIDATION_IMAGES": 10,
}


def config(datasets: dict) -> Config:
    return Config.model_validate({"DATASETS": datasets})


def mix(synthetic: dict | None = None, **multi) -> dict:
    return {
        "TYPE": "MULTI_DATASET",
        "TRAIN": ["MULTI_train"],
        "VISUAL_GENOME": FILES,
        "VISUAL_GENOME_SYNTHETIC": FILES | (synthetic or {}),
        "MULTI_DATASET": {"ENABLED": True, **multi},
    }


@pytest.mark.parametrize(("name", "count"), [("VG_train", 74), ("VG_val", 10), ("VG_test", 35)])
def test_load_sources_of_visual_genome(name, count):
    (source,) = load_sources(config({"VISUAL_GENOME": FILES | {"FILTER_NON_OVERLAP": False}}), name)
    assert len(source.dataset) == count
    assert (source.name, source.dataset.source, source.dataset.loss_weight) == ("real", "real", 1.0)


def test_load_sources_of_synthetic_data():
    (source,) = load_sources(config({"SYNTHETIC_GENOME": FILES}), "SYNTHETIC_train")
    assert len(source.dataset) == 47
    assert (source.name, source.dataset.source, source.share.ratio) == ("synthetic", "synthetic", 1.0)


def test_load_sources_of_a_mix():
    further = {"rendered": FILES | {"SAMPLING_RATIO": 0.2, "LOSS_WEIGHT": 0.25}, "spare": FILES}
    settings = config(mix(SOURCES=further, SYNTHETIC_SAMPLING_RATIO_END=0.1, SYNTHETIC_LOSS_WEIGHT=0.5))
    sources = load_sources(settings, "MULTI_train")
    assert [source.name for source in sources] == ["real", "synthetic", "rendered"]  # spare has ratio 0
    assert [source.dataset.source for source in sources] == ["real", "synthetic", "rendered"]
    assert [source.dataset.loss_weight for source in sources] == [1.0, 0.5, 0.25]
    assert [source.share.ratio for source in sources] == [0.7, 0.3, 0.2]
    assert [source.share.ratio_at_end for source in sources] == [0.7, 0.1, 0.2]


def test_load_sources_ignores_sources_with_ratio_zero():
    settings = mix(REAL_SAMPLING_RATIO=0)
    del settings["VISUAL_GENOME"]
    assert [source.name for source in load_sources(config(settings), "MULTI_val")] == ["synthetic"]


@pytest.mark.parametrize("key", ["IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5"])
@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("VISUAL_GENOME", "VG_train"),
        ("SYNTHETIC_GENOME", "SYNTHETIC_train"),
        ("VISUAL_GENOME_SYNTHETIC", "MULTI_train"),
    ],
)
def test_load_sources_names_unset_paths(section, name, key):
    settings = mix() | {"SYNTHETIC_GENOME": FILES}
    settings[section] = FILES | {key: ""}
    with pytest.raises(SpeaqError, match=rf"^DATASETS\.{section}\.{key} is not set"):
        load_sources(config(settings), name)


@pytest.mark.parametrize("name", ["COCO_train", "VG_all", "MULTI", "_train"])
def test_load_sources_rejects_unknown_names(name):
    with pytest.raises(SpeaqError, match=f"{name}: .*to be among VG_train, .*MULTI_test"):
        load_sources(Config(), name)


def test_build_dataset_passes_its_settings_on():
    section = config(
        {"VISUAL_GENOME": FILES | {"CLIPPED": True, "CORRUPTED_IMAGES": ["11"], "FILTER_NON_OVERLAP": False}}
    ).datasets.visual_genome
    dataset = build_dataset(section, "train", loss_weight=0.5)
    assert dataset.image_ids[0] == 12
    assert (dataset.clip_boxes, dataset.box_scale, dataset.loss_weight) == (True, 1024, 0.5)


@pytest.mark.parametrize("weight", [float("inf"), float("nan"), -0.5])
def test_build_dataset_rejects_invalid_loss_weights(weight):
    section = config({"VISUAL_GENOME": FILES}).datasets.visual_genome
    with pytest.raises(SpeaqError, match=r"the loss weight of synthetic is .*expected a non-negative number"):
        build_dataset(section, "train", source="synthetic", loss_weight=weight)


def test_load_sources_rejects_different_classes(tmp_path):
    names = json.loads((TINY / "dicts.json").read_text())
    first, second = sorted(names["predicate_to_idx"], key=names["predicate_to_idx"].get)[:2]
    names["predicate_to_idx"][first], names["predicate_to_idx"][second] = 2, 1
    for inverse in ("idx_to_predicate", "idx_to_label"):
        names.pop(inverse, None)
    other = tmp_path / "dicts.json"
    labels = sorted(names["label_to_idx"].items(), key=lambda item: item[1])
    names["label_to_idx"] = {f"{label}!" if i == 0 else label: i + 1 for i, (label, _) in enumerate(labels)}
    other.write_text(json.dumps(names))
    with pytest.raises(SpeaqError) as error:
        load_sources(config(mix({"MAPPING_DICTIONARY": str(other)})), "MULTI_train")
    message = str(error.value)
    assert "DATASETS.VISUAL_GENOME.MAPPING_DICTIONARY" in message
    assert f"DATASETS.VISUAL_GENOME_SYNTHETIC.MAPPING_DICTIONARY ({other})" in message
    assert f"are in another order, first at number 1: '{first}' and '{second}'" in message
    assert "1 of 150 objects missing: " in message


def test_load_sources_leaves_out_sources_without_test_images(tmp_path, caplog):
    copy = tmp_path / "VG.h5"
    shutil.copyfile(TINY / "VG.h5", copy)
    with h5py.File(copy, "r+") as file:
        file["split"][...] = 0
    settings = config(mix({"VG_ATTRIBUTE_H5": str(copy)}))
    with caplog.at_level("WARNING", logger="speaq"):
        assert [source.name for source in load_sources(settings, "MULTI_test")] == ["real"]
    assert "MULTI_test: synthetic has no image for it and is left out" in caplog.text
    assert len(load_sources(settings, "MULTI_train")) == 2


def test_load_sources_needs_training_images_of_each_source():
    settings = config(mix({"NUMBER_OF_VALIDATION_IMAGES": 1000}))
    with pytest.raises(SpeaqError, match="no image is left for the split 'train'"):
        load_sources(settings, "MULTI_train")


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("VISUAL GENOME", "VG_train"),
        ("SYNTHETIC GENOME", "SYNTHETIC_train"),
        ("MULTI_DATASET", "MULTI_train"),
    ],
)
def test_load_training_sources_uses_the_type_without_a_name(type_, name):
    settings = mix() | {"TYPE": type_, "TRAIN": [], "SYNTHETIC_GENOME": FILES}
    settings["MULTI_DATASET"] = {"ENABLED": type_ == "MULTI_DATASET"}
    sources = load_training_sources(config(settings))
    assert [source.key for source in sources] == [
        source.key for source in load_sources(config(settings), name)
    ]


@pytest.mark.parametrize(
    "keys",
    [
        {"TRAIN": ["VG_train"]},
        {"TYPE": "VISUAL GENOME"},
        {"MULTI_DATASET": {"ENABLED": False}},
        {"TYPE": "", "TRAIN": ["VG_train"]},
    ],
)
def test_load_training_sources_rejects_contradicting_names_and_types(keys):
    with pytest.raises(
        SpeaqError, match=r"contradict each other. A mix is MULTI_train, MULTI_DATASET and True"
    ):
        load_training_sources(config(mix() | keys))


def test_load_training_sources_needs_exactly_one_name():
    with pytest.raises(SpeaqError, match="names 0 data sets"):
        load_training_sources(Config())
    with pytest.raises(SpeaqError, match=r"names 2 data sets \(VG_train, SYNTHETIC_train\)"):
        load_training_sources(config({"TRAIN": ["VG_train", "SYNTHETIC_train"]}))
