from pathlib import Path

import pytest

from speaq.config import Config
from speaq.config.data import GenomeSection
from speaq.data.build import (
    build_genome,
    build_test_transform,
    build_train_transform,
    build_training_set,
    find_source,
    load_split,
)
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.sampling import Draw, ShuffledEpochs
from speaq.errors import SpeaqError

TINY = Path(__file__).parents[1] / "golden" / "vg_tiny"


def section(**keys) -> GenomeSection:
    return GenomeSection.model_validate(
        {
            "IMAGES": str(TINY / "images"),
            "IMAGE_DATA": str(TINY / "image_data.json"),
            "MAPPING_DICTIONARY": str(TINY / "dicts.json"),
            "VG_ATTRIBUTE_H5": str(TINY / "VG.h5"),
            "NUMBER_OF_VALIDATION_IMAGES": 10,
            **keys,
        }
    )


def config(name: str, keys: dict) -> Config:
    return Config.model_validate({"DATASETS": {name: section(**keys).model_dump(by_alias=True)}})


@pytest.mark.parametrize(("name", "count"), [("VG_train", 74), ("VG_val", 10), ("VG_test", 35)])
def test_visual_genome_by_name(name, count):
    genome = load_split(config("VISUAL_GENOME", {"FILTER_NON_OVERLAP": False}), name)
    assert len(genome) == count
    assert (genome.source, genome.loss_weight) == ("real", 1.0)


def test_synthetic_by_name():
    genome = load_split(config("SYNTHETIC_GENOME", {}), "SYNTHETIC_train")
    assert len(genome) == 47
    assert genome.source == "synthetic"


@pytest.mark.parametrize("key", ["IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY", "VG_ATTRIBUTE_H5"])
def test_unset_paths_are_named(key):
    with pytest.raises(SpeaqError, match=rf"^DATASETS\.VISUAL_GENOME\.{key} is not set"):
        load_split(config("VISUAL_GENOME", {key: ""}), "VG_train")
    with pytest.raises(SpeaqError, match=rf"^DATASETS\.SYNTHETIC_GENOME\.{key} is not set"):
        load_split(config("SYNTHETIC_GENOME", {key: ""}), "SYNTHETIC_train")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MULTI_train", "not available in this version"),
        ("COCO_train", "know only VG_train"),
        ("VG_all", "know only"),
    ],
)
def test_other_names_are_refused(name, message):
    with pytest.raises(SpeaqError, match=f"{name}: .*{message}"):
        find_source(Config(), name)


def test_settings_arrive():
    genome = build_genome(
        section(CLIPPED=True, CORRUPTED_IMAGES=["11"], FILTER_NON_OVERLAP=False), "train", loss_weight=0.5
    )
    assert genome.image_ids[0] == 12
    assert (genome.clip_boxes, genome.box_scale, genome.loss_weight) == (True, 1024, 0.5)


def test_training_sets():
    genome = build_genome(section(), "train")
    settings = Config.model_validate(
        {"INPUT": {"MIN_SIZE_TRAIN": [64], "MAX_SIZE_TRAIN": 80, "RANDOM_FLIP": "none"}}
    ).input
    transform = build_train_transform(settings, genome.vocabulary)
    assert (transform.flip_probability, transform.crop) == (0.0, None)
    plain = build_training_set(section(), genome, transform=transform, seed=1)
    assert isinstance(plain.epochs, ShuffledEpochs)
    assert sorted(plain.epochs(0)) == list(range(len(genome)))
    assert plain.dataset.filter_duplicate_relations
    assert max(plain.dataset[Draw(0, 0, 0)].image.shape) == 80
    bgnn = build_training_set(section(BGNN=True), genome, transform=transform, seed=1)
    assert isinstance(bgnn.epochs, BilevelResampling)
    assert bgnn.dataset.resampling is bgnn.epochs
    balanced = build_training_set(section(PER_CLASS_DATASET=True), genome, transform=transform, seed=1)
    assert isinstance(balanced.epochs, ClassBalancedEpochs)
    with pytest.raises(SpeaqError, match="BGNN and PER_CLASS_DATASET"):
        build_training_set(section(BGNN=True, PER_CLASS_DATASET=True), genome, transform=transform, seed=1)


def test_transforms():
    settings = Config.model_validate(
        {
            "INPUT": {
                "MIN_SIZE_TRAIN": [480, 800],
                "MIN_SIZE_TRAIN_SAMPLING": "range",
                "MAX_SIZE_TRAIN": 1000,
                "MIN_SIZE_TEST": 600,
                "MAX_SIZE_TEST": 1000,
                "CROP": {"ENABLED": True, "TYPE": "absolute_range", "SIZE": [384, 600]},
            }
        }
    ).input
    vocabulary = build_genome(section(), "val").vocabulary
    transform = build_train_transform(settings, vocabulary)
    assert (transform.resize.edges, transform.resize.max_size, transform.resize.sampling) == (
        (480, 800),
        1000,
        "range",
    )
    assert transform.crop is not None
    assert (transform.crop.kind, transform.crop.size) == ("absolute_range", (384, 600))
    assert transform.flip_probability == 0.5
    assert build_test_transform(settings).output_size(500, 1000) == (500, 1000)
