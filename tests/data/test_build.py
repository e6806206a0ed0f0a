from pathlib import Path

import numpy as np
import pytest

from speaq.config import Config
from speaq.config.data import DatasetSection, SourceShare
from speaq.config.training import Solver
from speaq.data.build import (
    build_mixture,
    build_statistics,
    build_test_transform,
    build_train_transform,
    build_training_set,
)
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.sampling import Draw, ShuffledEpochs
from speaq.data.sources import DataSource, build_dataset
from speaq.data.statistics import DatasetStatistics
from speaq.errors import SpeaqError

TINY = Path(__file__).parents[1] / "golden" / "vg_tiny"
SMALL = Config.model_validate(
    {"INPUT": {"MIN_SIZE_TRAIN": [64], "MAX_SIZE_TRAIN": 80, "RANDOM_FLIP": "none"}}
).input


def section(**keys) -> DatasetSection:
    return DatasetSection.model_validate(
        {
            "IMAGES": str(TINY / "images"),
            "IMAGE_DATA": str(TINY / "image_data.json"),
            "MAPPING_DICTIONARY": str(TINY / "dicts.json"),
            "VG_ATTRIBUTE_H5": str(TINY / "VG.h5"),
            "NUMBER_OF_VALIDATION_IMAGES": 10,
            **keys,
        }
    )


def source(name: str = "real", ratio: float = 1.0, weight: float = 1.0, **keys) -> DataSource:
    settings = section(**keys)
    dataset = build_dataset(settings, "train", source=name, loss_weight=weight)
    return DataSource(name, f"DATASETS.{name}", settings, SourceShare.of(ratio, None, weight), dataset)


def training_set(*sources: DataSource, batch_size: int = 4, num_steps: int = 3):
    mixture = build_mixture(sources, Solver(ims_per_batch=batch_size, max_iter=num_steps))
    return build_training_set(sources, mixture, input_settings=SMALL, seed=1)


def test_a_training_set_of_one_source():
    plain = training_set(source())
    assert isinstance(plain.epochs[0], ShuffledEpochs)
    assert sorted(plain.epochs[0](0)) == list(range(len(plain.dataset.parts[0])))
    assert plain.dataset.parts[0].filter_duplicate_relations
    assert max(plain.dataset[Draw(0, 0, 0)].image.shape) == 80


@pytest.mark.parametrize("position", [0, 1])
def test_every_source_can_be_resampled(position):
    def mixed(**keys):
        sources = [source("real"), source("synthetic")]
        sources[position] = source(sources[position].name, **keys)
        return training_set(*sources)

    bgnn = mixed(BGNN=True)
    assert isinstance(bgnn.epochs[position], BilevelResampling)
    assert bgnn.dataset.parts[position].resampling is bgnn.epochs[position]
    assert isinstance(bgnn.epochs[1 - position], ShuffledEpochs)
    assert bgnn.dataset.parts[1 - position].resampling is None
    assert isinstance(mixed(PER_CLASS_DATASET=True).epochs[position], ClassBalancedEpochs)
    name = ("real", "synthetic")[position]
    with pytest.raises(SpeaqError, match=f"^DATASETS.{name}: BGNN and PER_CLASS_DATASET are both True"):
        mixed(BGNN=True, PER_CLASS_DATASET=True)


def test_a_draw_names_its_source():
    both = training_set(source("real"), source("synthetic", weight=0.5))
    samples = [both.dataset[Draw(0, 0, 3, position)] for position in (0, 1)]
    assert [sample.target.source for sample in samples] == ["real", "synthetic"]
    assert [sample.target.loss_weight for sample in samples] == [1.0, 0.5]
    assert samples[0].target.image_id == samples[1].target.image_id


def test_sources_of_equal_size_have_orders_of_their_own():
    both = training_set(source("real"), source("synthetic"))
    assert both.epochs[0](0).tolist() != both.epochs[1](0).tolist()
    assert both.epochs[0](0).tolist() == training_set(source("real")).epochs[0](0).tolist()


def test_statistics_are_weighted_by_what_is_drawn():
    real, synthetic = source("real", 0.75), source("synthetic", 0.25, CORRUPTED_IMAGES=["11", "12", "13"])
    counts = [DatasetStatistics.of(each.dataset).predicate_counts for each in (real, synthetic)]
    sizes = [len(each.dataset) for each in (real, synthetic)]
    mixture = build_mixture([real, synthetic], Solver(ims_per_batch=8, max_iter=10))
    mixed = build_statistics([real, synthetic], mixture, of="mix").predicate_counts
    expected = 0.75 / sizes[0] * counts[0] + 0.25 / sizes[1] * counts[1]
    np.testing.assert_allclose(mixed, expected / (0.25 / sizes[1]), atol=0.5)
    for of, count in zip(("real", "synthetic"), counts, strict=True):
        chosen = build_statistics([real, synthetic], mixture, of=of).predicate_counts
        assert chosen.tolist() == count.tolist()
    with pytest.raises(
        SpeaqError, match=r"STATISTICS is drawn, which is not trained on; expected mix or one of"
    ):
        build_statistics([real, synthetic], mixture, of="drawn")


def test_statistics_of_one_source_are_its_counts():
    real = source()
    mixture = build_mixture([real], Solver(ims_per_batch=8, max_iter=10))
    expected = DatasetStatistics.of(real.dataset)
    found = build_statistics([real], mixture, of="mix")
    assert found.predicate_counts.tolist() == expected.predicate_counts.tolist()
    assert found.triplets.tolist() == expected.triplets.tolist()


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
    vocabulary = build_dataset(section(), "val").vocabulary
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
