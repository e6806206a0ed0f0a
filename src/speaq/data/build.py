"""Training samples, augmentation and the order of images as the configuration says.

S: sources, R: predicate classes, K: distinct triplets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speaq.config import Config
from speaq.config.data import DatasetSection, Input
from speaq.config.training import Solver
from speaq.data.dataset import MixedDataset, SceneGraphDataset
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.mixing import Mixture
from speaq.data.randomness import Purpose, generator
from speaq.data.sampling import Epochs, ShuffledEpochs
from speaq.data.sources import DataSource, load_training_sources
from speaq.data.statistics import DatasetStatistics, check_predicate_counts, mixed_counts
from speaq.data.transforms import Crop, Resize, TestTransform, TrainTransform
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What to draw from, and in which order; for `TrainBatchSampler`.

    Attributes:
        dataset: from a draw to a sample.
        epochs: of every source, which images an epoch has.
        mixture: how many images of every source are in a batch.
    """

    dataset: MixedDataset
    epochs: tuple[Epochs, ...]
    mixture: Mixture


@dataclass(frozen=True, slots=True)
class TrainingStatistics:
    """What the loss and the metrics must know of the training data.

    Attributes:
        predicate_counts: (R,) int64, how often each predicate is seen.
        triplets: (K, 3) int64, the distinct (subject class, object class, predicate) of all sources.
    """

    predicate_counts: np.ndarray
    triplets: np.ndarray


def build_mixture(sources: Sequence[DataSource], solver: Solver) -> Mixture:
    """The shares of the sources in the global batches of a training with these SOLVER settings."""
    return Mixture(
        [source.share.ratio for source in sources],
        final_ratios=[source.share.ratio_at_end for source in sources],
        batch_size=solver.ims_per_batch,
        num_steps=solver.max_iter,
    )


def build_statistics(sources: Sequence[DataSource], mixture: Mixture, *, of: str) -> TrainingStatistics:
    """Predicate frequencies and known triplets of the training data.

    Args:
        sources: with their training splits.
        mixture: how much is drawn from each.
        of: "mix", or the name of the source whose predicates are counted.

    Raises:
        SpeaqError: the source is not part of the mix, or the statistics are of no use.
    """
    statistics = {source.name: DatasetStatistics.of(source.dataset) for source in sources}
    counts = {name: each.predicate_counts for name, each in statistics.items()}
    if of == "mix":
        passes = [
            share / each.num_images for share, each in zip(mixture.shares(), statistics.values(), strict=True)
        ]
        chosen = mixed_counts(list(counts.values()), passes)
    elif of in counts:
        chosen = counts[of]
    else:
        raise SpeaqError(
            f"DATASETS.MULTI_DATASET.STATISTICS is {of}, which is not trained on; expected mix or one of "
            f"{', '.join(counts)}."
        )
    origin = of if of != "mix" else f"the training data ({', '.join(counts)})"
    triplets = np.unique(np.concatenate([each.triplets for each in statistics.values()]), axis=0)
    return TrainingStatistics(check_predicate_counts(chosen, origin), triplets)


def load_statistics(config: Config) -> TrainingStatistics | None:
    """Of the data sets that a configuration trains on, if it names any.

    Raises:
        SpeaqError: they cannot be read or mixed, or are of no use.
    """
    if not config.datasets.train and not config.datasets.type:
        return None
    sources = load_training_sources(config)
    mixture = build_mixture(sources, config.solver)
    return build_statistics(sources, mixture, of=config.datasets.multi_dataset.statistics)


def build_training_set(
    sources: Sequence[DataSource], mixture: Mixture, *, input_settings: Input, seed: int
) -> TrainingSet:
    """Training samples of all sources, and the order of their images.

    Args:
        sources: with their training splits.
        mixture: of these sources.
        input_settings: the augmentation, which all sources share.
        seed: of the run.

    Raises:
        SpeaqError: two ways of sampling are asked for at once.
    """
    transform = build_train_transform(input_settings, sources[0].dataset.vocabulary)
    parts, orders = [], []
    for position, source in enumerate(sources):
        section, dataset = source.section, source.dataset
        epochs, resampling = _build_epochs(
            section, dataset, seed=_seed_of_source(seed, position), key=source.key
        )
        orders.append(epochs)
        parts.append(
            SceneGraphDataset(
                dataset,
                transform=transform,
                seed=seed,
                filter_duplicate_relations=section.filter_duplicate_relations,
                max_num_objects=section.max_num_objects,
                max_num_relations=section.max_num_relations,
                resampling=resampling,
            )
        )
    return TrainingSet(MixedDataset(parts), tuple(orders), mixture)


def _build_epochs(
    section: DatasetSection, dataset: VisualGenome, *, seed: int, key: str
) -> tuple[Epochs, BilevelResampling | None]:
    """The order of the images of a source, and how its relations are thinned out."""
    if section.bgnn and section.per_class_dataset:
        raise SpeaqError(
            f"{key}: BGNN and PER_CLASS_DATASET are both True: two ways of sampling. Choose one of them."
        )
    if section.bgnn:
        resampling = BilevelResampling(
            dataset, oversample=section.oversample_param, undersample=section.undersample_param, seed=seed
        )
        return resampling, resampling
    if section.per_class_dataset:
        return ClassBalancedEpochs(dataset, seed=seed), None
    return ShuffledEpochs(num_images=len(dataset), seed=seed), None


def _seed_of_source(seed: int, position: int) -> int:
    """Sources of equal size are not walked in the same order; the first one has the seed of the run."""
    return seed if position == 0 else int(generator(Purpose.SOURCE, seed, position).integers(2**63))


def build_train_transform(settings: Input, vocabulary: Vocabulary) -> TrainTransform:
    """The augmentation that INPUT asks for."""
    crop = Crop(settings.crop.type, (settings.crop.size[0], settings.crop.size[1]))
    return TrainTransform(
        vocabulary=vocabulary,
        resize=Resize(settings.min_size_train, settings.max_size_train, settings.min_size_train_sampling),
        crop=crop if settings.crop.enabled else None,
        flip_probability=0.5 if settings.random_flip == "horizontal" else 0.0,
    )


def build_test_transform(settings: Input) -> TestTransform:
    """The resizing for evaluation that INPUT asks for."""
    return TestTransform(shortest_edge=settings.min_size_test, max_size=settings.max_size_test)
