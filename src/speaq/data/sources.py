"""The sources of a data set name such as VG_train, SYNTHETIC_val or MULTI_test; a mix (MULTI) has several."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, get_args

from speaq.config import Config
from speaq.config.data import Datasets, DatasetSection, SourceShare
from speaq.data.parquet_images import ParquetImages
from speaq.data.selection import EmptySplitError, Split
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.images import MAX_PIXELS

logger = logging.getLogger(__name__)

_TYPES = {"VG": "VISUAL GENOME", "SYNTHETIC": "SYNTHETIC GENOME", "MULTI": "MULTI_DATASET"}


@dataclass(frozen=True, slots=True)
class Place:
    """The settings of a source.

    Attributes:
        key: name of its section in the configuration, for messages.
        section: its paths and filters.
        share: its sampling ratio and loss weight.
    """

    key: str
    section: DatasetSection
    share: SourceShare


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(Place):
    """One split of a source.

    Attributes:
        name: "real", "synthetic" or a name of DATASETS.MULTI_DATASET.SOURCES.
        dataset: its images.
    """

    name: str
    dataset: VisualGenome


def places(datasets: Datasets, name: str) -> dict[str, Place]:
    """The settings of the sources of a data set name, without those whose sampling ratio is always 0.

    Raises:
        SpeaqError: there is no such data set.
    """
    kind, _, split = name.partition("_")
    if kind not in _TYPES or split not in get_args(Split):
        known = ", ".join(f"{kind}_{split}" for kind in _TYPES for split in get_args(Split))
        raise SpeaqError(f"{name}: expected DATASETS.TRAIN and DATASETS.TEST to be among {known}.")
    alone = SourceShare(1.0, 1.0, 1.0)
    if kind == "VG":
        return {"real": Place("DATASETS.VISUAL_GENOME", datasets.visual_genome, alone)}
    if kind == "SYNTHETIC":
        return {"synthetic": Place("DATASETS.SYNTHETIC_GENOME", datasets.synthetic_genome, alone)}
    mix = datasets.multi_dataset
    sections: dict[str, tuple[str, DatasetSection]] = {
        "real": ("DATASETS.VISUAL_GENOME", datasets.visual_genome),
        "synthetic": ("DATASETS.VISUAL_GENOME_SYNTHETIC", datasets.visual_genome_synthetic),
    }
    for source, section in mix.sources.items():
        sections[source] = (f"DATASETS.MULTI_DATASET.SOURCES.{source}", section)
    used = {source: share for source, share in mix.shares.items() if share.ratio or share.ratio_at_end}
    return {source: Place(*sections[source], share) for source, share in used.items()}


def training_places(datasets: Datasets) -> dict[str, Place]:
    """The settings of the sources of DATASETS.TRAIN; where that is empty, DATASETS.TYPE decides.

    Raises:
        SpeaqError: there is not exactly one name, or it contradicts DATASETS.TYPE or
            DATASETS.MULTI_DATASET.ENABLED.
    """
    return places(datasets, _training_name(datasets))


def load_sources(config: Config, name: str) -> list[DataSource]:
    """Load the sources of a data set name; those of a mix without validation or test images are left out.

    Raises:
        SpeaqError: there is no such data set, a path is not set, a file is missing or malformed, or the
            sources differ in their classes.
    """
    kind, _, split = name.partition("_")
    sources = []
    for source, place in places(config.datasets, name).items():
        try:
            dataset = build_dataset(
                place.section,
                cast(Split, split),
                source=source,
                loss_weight=place.share.loss_weight,
                key=place.key,
                max_pixels=config.input.max_pixels,
            )
        except EmptySplitError as empty:
            if kind != "MULTI" or split == "train":
                raise
            logger.warning("%s: %s has no image for it and is left out: %s", name, source, empty)
            continue
        sources.append(DataSource(place.key, place.section, place.share, name=source, dataset=dataset))
    if not sources:
        raise SpeaqError(f"{name}: no source of the mix has an image for it.")
    _check_vocabularies(sources)
    return sources


def load_training_sources(config: Config) -> list[DataSource]:
    """Load the sources of DATASETS.TRAIN.

    Raises:
        SpeaqError: see `training_places` and `load_sources`.
    """
    return load_sources(config, _training_name(config.datasets))


def build_dataset(
    section: DatasetSection,
    split: Split,
    *,
    source: str = "real",
    loss_weight: float = 1.0,
    key: str = "DATASETS.VISUAL_GENOME",
    max_pixels: int = MAX_PIXELS,
) -> VisualGenome:
    """Load one split of the data set of a section, whose name in messages is ``key``.

    Raises:
        SpeaqError: a path is not set, or a file is missing or malformed.
    """
    if not section.parquet:
        for name in ("images", "image_data", "mapping_dictionary", "vg_attribute_h5"):
            if not getattr(section, name):
                raise SpeaqError(f"{key}.{name.upper()} is not set: give it the path of the file or folder.")
    format_ = ParquetImages if section.parquet else VisualGenome
    return format_(section, split, source=source, loss_weight=loss_weight, max_pixels=max_pixels)


def _training_name(datasets: Datasets) -> str:
    names = datasets.train
    if not names and datasets.type:
        names = (f"{next(kind for kind, type_ in _TYPES.items() if type_ == datasets.type)}_train",)
    if len(names) != 1:
        raise SpeaqError(
            f"DATASETS.TRAIN names {len(names)} data sets ({', '.join(names) or 'none'}); expected one, such "
            "as ('VG_train',), or ('MULTI_train',) for a mix of several."
        )
    kind, _, split = names[0].partition("_")
    if split in ("val", "test"):
        logger.warning("DATASETS.TRAIN is %s: training on images for evaluation", names[0])
    if datasets.type not in ("", _TYPES.get(kind)) or datasets.multi_dataset.enabled != (kind == "MULTI"):
        raise SpeaqError(
            f"DATASETS.TRAIN {names[0]}, DATASETS.TYPE {datasets.type or '(not set)'} and "
            f"DATASETS.MULTI_DATASET.ENABLED {datasets.multi_dataset.enabled} contradict each other. A mix "
            "is MULTI_train, MULTI_DATASET and True; one data set is, for instance, VG_train, VISUAL GENOME "
            "and False."
        )
    return names[0]


def _check_vocabularies(sources: Sequence[DataSource]) -> None:
    first = sources[0]
    for other in sources[1:]:
        differences = first.dataset.vocabulary.differences(other.dataset.vocabulary)
        if differences:
            raise SpeaqError(
                f"{other.key}.MAPPING_DICTIONARY ({other.section.mapping_dictionary}): expected the classes "
                f"of {first.key}.MAPPING_DICTIONARY ({first.section.mapping_dictionary}), found differences: "
                f"{'; '.join(differences)}. Use one dictionary for both, and number the labels in the HDF5 "
                "files by it."
            )
