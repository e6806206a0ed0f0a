from pathlib import Path

import numpy as np
import pytest

from speaq.config import Config
from speaq.config.data import DatasetSection, Input, SourceShare
from speaq.config.training import Solver
from speaq.data.build import (
    build_mixture,
    build_statistics,
    build_training_set,
)
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.sampling import Draw, ShuffledEpochs
from speaq.data.sources import DataSource, build_dataset
from speaq.data.statistics import count_dataset
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

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
    share = SourceShare(ratio, ratio, weight)
    return DataSource(f"DATASETS.{name}", settings, share, name=name, dataset=dataset)


def training_set(*sources: DataSource, batch_size: int = 4, num_steps: int = 3):
    mixture = build_mixture(sources, Solver(ims_per_batch=batch_size, max_iter=num_steps))
    return build_training_set(sources, mixture, input_settings=SMALL, seed=1)


def test_build_training_set_of_one_source():
    plain = training_set(source())
    assert isinstance(plain.epochs[0], ShuffledEpochs)
    assert sorted(plain.epochs[0](0)) == list(range(len(plain.dataset.sources[0].dataset)))
    assert max(plain.dataset[Draw(0, 0, 0)].image.shape) == 80


def test_build_training_set_logs_the_predicates_that_a_flip_exchanges(caplog):
    caplog.set_level("INFO", logger="speaq.data.build")
    real = source()
    for names, listed in (
        (("Left of", "on", "Right_of"), "Left of / Right_of"),
        (("on", "in"), "none have left and right in their names"),
    ):
        real.dataset.vocabulary = Vocabulary(real.dataset.vocabulary.objects, names)
        mixture = build_mixture([real], Solver())
        build_training_set([real], mixture, input_settings=Input(), seed=1)
        assert caplog.messages[-1] == f"predicates that a horizontal flip exchanges: {listed}"
    build_training_set([real], mixture, input_settings=SMALL, seed=1)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("position", [0, 1])
def test_build_training_set_resamples_any_source(position):
    def mixed(**keys):
        sources = [source("real"), source("synthetic")]
        sources[position] = source(sources[position].name, **keys)
        return training_set(*sources)

    bgnn = mixed(BGNN=True)
    assert isinstance(bgnn.epochs[position], BilevelResampling)
    assert bgnn.dataset.epochs is bgnn.epochs
    assert isinstance(bgnn.epochs[1 - position], ShuffledEpochs)
    assert isinstance(mixed(PER_CLASS_DATASET=True).epochs[position], ClassBalancedEpochs)
    name = ("real", "synthetic")[position]
    with pytest.raises(SpeaqError, match=f"^DATASETS.{name}: BGNN and PER_CLASS_DATASET are both True"):
        mixed(BGNN=True, PER_CLASS_DATASET=True)


def test_training_samples_carry_their_source():
    both = training_set(source("real"), source("synthetic", weight=0.5))
    samples = [both.dataset[Draw(0, 0, 3, position)] for position in (0, 1)]
    assert [sample.target.source for sample in samples] == ["real", "synthetic"]
    assert [sample.target.loss_weight for sample in samples] == [1.0, 0.5]
    assert samples[0].target.image_id == samples[1].target.image_id


def test_build_training_set_orders_equal_sources_differently():
    both = training_set(source("real"), source("synthetic"))
    assert both.epochs[0](0).tolist() != both.epochs[1](0).tolist()
    assert both.epochs[0](0).tolist() == training_set(source("real")).epochs[0](0).tolist()


def test_build_statistics_weights_counts_by_the_mixture():
    real, synthetic = source("real", 0.75), source("synthetic", 0.25, CORRUPTED_IMAGES=["11", "12", "13"])
    counts = [count_dataset(each.dataset).predicate_counts for each in (real, synthetic)]
    sizes = [len(each.dataset) for each in (real, synthetic)]
    mixture = build_mixture([real, synthetic], Solver(ims_per_batch=8, max_iter=10))
    statistics = build_statistics([real, synthetic], mixture, of="mix")
    mixed = statistics.predicate_counts
    sums = np.bincount(statistics.triplets[:, 2], weights=statistics.triplet_counts, minlength=len(mixed))
    np.testing.assert_allclose(sums, mixed)
    expected = 0.75 / sizes[0] * counts[0] + 0.25 / sizes[1] * counts[1]
    np.testing.assert_allclose(mixed, expected / (0.25 / sizes[1]))
    for of, count in zip(("real", "synthetic"), counts, strict=True):
        chosen = build_statistics([real, synthetic], mixture, of=of)
        assert chosen.predicate_counts.tolist() == count.tolist()
        sums = np.bincount(chosen.triplets[:, 2], weights=chosen.triplet_counts, minlength=len(count))
        assert sums.tolist() == count.tolist()
    with pytest.raises(
        SpeaqError, match=r"STATISTICS is drawn, which is not trained on; expected mix or one of"
    ):
        build_statistics([real, synthetic], mixture, of="drawn")


def test_build_statistics_of_one_source_are_its_counts():
    real = source()
    mixture = build_mixture([real], Solver(ims_per_batch=8, max_iter=10))
    expected = count_dataset(real.dataset)
    found = build_statistics([real], mixture, of="mix")
    assert found.predicate_counts.tolist() == expected.predicate_counts.tolist()
    assert found.triplets.tolist() == expected.triplets.tolist()
    assert found.triplet_counts.tolist() == expected.triplet_counts.tolist()
