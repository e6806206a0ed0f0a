"""Build the training data from a configuration: statistics, samples and the order of images.

Shape letters: see `speaq.structures`; U: distinct triplets.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speaq.config import Config
from speaq.config.data import Input
from speaq.config.training import Solver
from speaq.data.dataset import SceneGraphDataset
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.mixing import Mixture
from speaq.data.randomness import Purpose, generator
from speaq.data.sampling import Epochs, ShuffledEpochs
from speaq.data.sources import DataSource, load_training_sources
from speaq.data.statistics import check_predicate_counts, count_dataset, mixed_counts
from speaq.data.transforms import TrainTransform
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The training samples, and the order of images for `TrainBatchSampler`.

    Attributes:
        dataset: the sample of each draw.
        epochs: S orders of images.
        mixture: the number of images of each source in each batch.
    """

    dataset: SceneGraphDataset
    epochs: tuple[Epochs, ...]
    mixture: Mixture


@dataclass(frozen=True, slots=True)
class TrainingStatistics:
    """Statistics of the training data for the loss and the metrics.

    Attributes:
        vocabulary: the class names.
        predicate_counts: (R,) training relations of each predicate; float64 of a mix, see `mixed_counts`.
        triplets: (U, 3) int64, the distinct (subject class, object class, predicate) of all sources.
        triplet_counts: (U,) float64, training relations of each triplet, counted as those of predicates.
    """

    vocabulary: Vocabulary
    predicate_counts: np.ndarray
    triplets: np.ndarray
    triplet_counts: np.ndarray


def build_mixture(sources: Sequence[DataSource], solver: Solver) -> Mixture:
    """The mixture of the sources in the global batches of a training."""
    return Mixture(
        [source.share.ratio for source in sources],
        final_ratios=[source.share.ratio_at_end for source in sources],
        batch_size=solver.ims_per_batch,
        num_steps=solver.max_iter,
    )


def build_statistics(sources: Sequence[DataSource], mixture: Mixture, *, of: str) -> TrainingStatistics:
    """Predicate counts and triplets of the training data.

    Args:
        sources: the training data.
        mixture: of the sources.
        of: "mix", or the name of the source whose predicates are counted.

    Raises:
        SpeaqError: the source is not part of the mix, or its counts cannot be used.
    """
    statistics = {source.name: count_dataset(source.dataset) for source in sources}
    names = ", ".join(statistics)
    if of == "mix":
        num_images = [len(source.dataset) for source in sources]
        epochs = mixture.shares() / num_images
        predicate_counts = mixed_counts([each.predicate_counts for each in statistics.values()], epochs)
    elif of in statistics:
        predicate_counts = statistics[of].predicate_counts
        epochs = np.array([float(name == of) for name in statistics])
    else:
        raise SpeaqError(
            f"DATASETS.MULTI_DATASET.STATISTICS is {of}, which is not trained on; expected mix or one of "
            f"{names}."
        )
    check_predicate_counts(predicate_counts, f"the training data ({names})" if of == "mix" else of)
    rows = np.concatenate([each.triplets for each in statistics.values()])
    triplets, index = np.unique(rows, axis=0, return_inverse=True)
    factors = epochs / epochs[epochs > 0].min()
    counts = [factor * each.triplet_counts for factor, each in zip(factors, statistics.values(), strict=True)]
    triplet_counts = np.bincount(index.ravel(), weights=np.concatenate(counts), minlength=len(triplets))
    return TrainingStatistics(sources[0].dataset.vocabulary, predicate_counts, triplets, triplet_counts)


def load_statistics(config: Config) -> TrainingStatistics | None:
    """The statistics of the data sets that a configuration trains on; None if it names no data set.

    Raises:
        SpeaqError: a data set cannot be read or mixed, or its counts cannot be used.
    """
    if not config.datasets.train and not config.datasets.type:
        return None
    sources = load_training_sources(config)
    mixture = build_mixture(sources, config.solver)
    return build_statistics(sources, mixture, of=config.datasets.multi_dataset.statistics)


def build_training_set(
    sources: Sequence[DataSource], mixture: Mixture, *, input_settings: Input, seed: int
) -> TrainingSet:
    """The training samples of the sources, and the order of their images.

    Args:
        sources: the training data.
        mixture: of the sources.
        input_settings: the augmentation of all sources.
        seed: of the run.

    Raises:
        SpeaqError: a source has both BGNN and PER_CLASS_DATASET, or one of them cannot be used.
    """
    epochs = tuple(
        _build_epochs(source, _seed_of_source(seed, position)) for position, source in enumerate(sources)
    )
    vocabulary = sources[0].dataset.vocabulary
    transform = TrainTransform(input_settings, vocabulary)
    if input_settings.random_flip == "horizontal":
        _log_exchanged(vocabulary.predicates, transform.mirrored)
    return TrainingSet(
        SceneGraphDataset(sources, epochs=epochs, transform=transform, seed=seed), epochs, mixture
    )


def _log_exchanged(predicates: Sequence[str], mirrored: np.ndarray) -> None:
    """Log which predicates a horizontal flip exchanges."""
    pairs = {tuple(sorted(pair)) for pair in enumerate(mirrored.tolist()) if pair[0] != pair[1]}
    names = [f"{predicates[first]} / {predicates[second]}" for first, second in sorted(pairs)]
    listed = ", ".join(names) or "none have left and right in their names"
    _log.info("predicates that a horizontal flip exchanges: %s", listed)


def _build_epochs(source: DataSource, seed: int) -> Epochs:
    section, dataset = source.section, source.dataset
    if section.bgnn and section.per_class_dataset:
        raise SpeaqError(
            f"{source.key}: BGNN and PER_CLASS_DATASET are both True; set only one of these two ways of "
            "sampling."
        )
    if section.bgnn:
        return BilevelResampling(
            dataset, oversample=section.oversample_param, undersample=section.undersample_param, seed=seed
        )
    if section.per_class_dataset:
        return ClassBalancedEpochs(dataset, seed=seed)
    return ShuffledEpochs(num_images=len(dataset), seed=seed)


def _seed_of_source(seed: int, position: int) -> int:
    """The seed of the run for the first source, and others, so that equal sources differ in their order."""
    return seed if position == 0 else int(generator(Purpose.SOURCE, seed, position).integers(2**63))
