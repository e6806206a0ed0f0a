"""Data sets, augmentation and the order of images as the configuration says."""

from dataclasses import dataclass
from typing import cast, get_args

from speaq.config import Config
from speaq.config.data import GenomeSection, Input
from speaq.data.dataset import SceneGraphDataset
from speaq.data.long_tail import BilevelResampling, ClassBalancedEpochs
from speaq.data.sampling import Epochs, ShuffledEpochs
from speaq.data.transforms import Crop, Resize, TestTransform, TrainTransform
from speaq.data.visual_genome import Split, VisualGenome
from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What to draw from, and in which order.

    Attributes:
        dataset: from a draw to a sample.
        epochs: which images an epoch has, for `TrainBatchSampler`.
    """

    dataset: SceneGraphDataset
    epochs: Epochs


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where the images of a data set name come from.

    Attributes:
        section: the paths and filters.
        key: the name of that section.
        split: which of its images.
        source: "real" or "synthetic".
    """

    section: GenomeSection
    key: str
    split: Split
    source: str


def find_source(config: Config, name: str) -> DataSource:
    """What a data set name such as VG_train or SYNTHETIC_val stands for.

    Raises:
        SpeaqError: there is no such data set.
    """
    datasets = config.datasets
    sources = {
        "VG": (datasets.visual_genome, "DATASETS.VISUAL_GENOME", "real"),
        "SYNTHETIC": (datasets.synthetic_genome, "DATASETS.SYNTHETIC_GENOME", "synthetic"),
    }
    kind, _, split = name.partition("_")
    if kind == "MULTI":
        raise SpeaqError(
            f"{name}: mixing real and synthetic images is not available in this version. Set DATASETS.TRAIN "
            "and DATASETS.TEST to VG_ or SYNTHETIC_ names."
        )
    if kind not in sources or split not in get_args(Split):
        known = ", ".join(f"{kind}_{split}" for kind in sources for split in get_args(Split))
        raise SpeaqError(f"{name}: DATASETS.TRAIN and DATASETS.TEST know only {known}.")
    section, key, source = sources[kind]
    return DataSource(section, key, cast(Split, split), source)


def load_split(config: Config, name: str) -> VisualGenome:
    """The data set of a name such as VG_train or SYNTHETIC_val.

    Raises:
        SpeaqError: there is no such data set, a path is not set, or a file is missing or malformed.
    """
    found = find_source(config, name)
    return build_genome(found.section, found.split, source=found.source, key=found.key)


def build_genome(
    section: GenomeSection,
    split: Split,
    *,
    source: str = "real",
    loss_weight: float = 1.0,
    key: str = "DATASETS.VISUAL_GENOME",
) -> VisualGenome:
    """One split of the data set of a section.

    Args:
        section: where the files are, and what to filter.
        split: which images.
        source: name of the data set in its annotations.
        loss_weight: weight of its images in the training loss.
        key: name of the section, for messages.

    Raises:
        SpeaqError: a path is not set, or a file is missing or malformed.
    """
    for name in ("images", "image_data", "mapping_dictionary", "vg_attribute_h5"):
        if not getattr(section, name):
            raise SpeaqError(f"{key}.{name.upper()} is not set: give it the path of the file or folder.")
    return VisualGenome(
        images=section.images,
        annotations_h5=section.vg_attribute_h5,
        image_data=section.image_data,
        dictionary=section.mapping_dictionary,
        split=split,
        filter_empty_relations=section.filter_empty_relations,
        filter_non_overlap=section.filter_non_overlap,
        num_validation_images=section.number_of_validation_images,
        box_scale=section.box_scale,
        clip_boxes=section.clipped,
        corrupted_images=section.corrupted_images,
        source=source,
        loss_weight=loss_weight,
    )


def build_training_set(
    section: GenomeSection, genome: VisualGenome, *, transform: TrainTransform, seed: int
) -> TrainingSet:
    """Training samples of a split, and the order of its images.

    Args:
        section: of the data set.
        genome: its training split.
        transform: the augmentation.
        seed: of the run.

    Raises:
        SpeaqError: two ways of sampling are asked for at once.
    """
    if section.bgnn and section.per_class_dataset:
        raise SpeaqError(
            "BGNN and PER_CLASS_DATASET are both True: two ways of sampling. Choose one of them."
        )
    resampling = None
    epochs: Epochs = ShuffledEpochs(num_images=len(genome), seed=seed)
    if section.bgnn:
        epochs = resampling = BilevelResampling(
            genome, oversample=section.oversample_param, undersample=section.undersample_param, seed=seed
        )
    elif section.per_class_dataset:
        epochs = ClassBalancedEpochs(genome, seed=seed)
    dataset = SceneGraphDataset(
        genome,
        transform=transform,
        seed=seed,
        filter_duplicate_relations=section.filter_duplicate_relations,
        max_num_objects=section.max_num_objects,
        max_num_relations=section.max_num_relations,
        resampling=resampling,
    )
    return TrainingSet(dataset, epochs)


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
