"""The sections DATALOADER, DATASETS and INPUT."""

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from speaq.config.field_types import (
    Choice,
    Conflict,
    Count,
    Flag,
    Folders,
    Integer,
    Natural,
    NonEmptyText,
    NonNegative,
    PathText,
    Positive,
    Section,
    Several,
    Text,
    is_null,
    read_number,
    read_text,
)

DatasetType = Literal["", "VISUAL GENOME", "SYNTHETIC GENOME", "MULTI_DATASET"]
DatasetName = Literal[
    "VG_train",
    "VG_val",
    "VG_test",
    "SYNTHETIC_train",
    "SYNTHETIC_val",
    "SYNTHETIC_test",
    "MULTI_train",
    "MULTI_val",
    "MULTI_test",
]
Limit = Annotated[Integer, Field(ge=-1, lt=2**31)]
RatioAtEnd = Annotated[NonNegative | None, BeforeValidator(lambda value: None if is_null(value) else value)]
LossWeight = Annotated[NonNegative, Field(le=1e6)]
_RESERVED_NAMES = {"real", "synthetic", "mix", "visual_genome", "synthetic_genome", "visual_genome_synthetic"}
SOURCE_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
SourceName = Annotated[str, Field(pattern=f"^{SOURCE_NAME}$")]


def read_source_weight(value: object) -> str:
    """``name=weight`` with a weight from 0."""
    name, _, weight = read_text(value).rpartition("=")
    try:
        number = read_number(weight)
    except ValueError:
        number = -1.0
    if not name.strip() or not 0 <= number <= 1e6:
        raise ValueError("expected NAME=WEIGHT with a weight from 0, such as qwen-vl=0.5")
    return f"{name.strip()}={weight.strip()}"


SourceWeight = Annotated[str, BeforeValidator(read_source_weight)]


class DataLoader(Section):
    """DATALOADER: the processes that load images."""

    num_workers: Annotated[Natural, Field(le=1024)] = 4
    """Worker processes per rank that load and augment images; 0: the main process does."""


class DatasetSection(Section):
    """One dataset in Visual Genome format or in Parquet, real or synthetic."""

    images: Folders = ""
    """Folder of the images, named <image_id>.jpg (or .png, .jpeg, .webp, .bmp), or a list of folders."""
    image_data: PathText = ""
    """JSON list of the images with their sizes (image_data.json)."""
    mapping_dictionary: PathText = ""
    """JSON file with the numbers of the class and predicate names."""
    vg_attribute_h5: PathText = ""
    """HDF5 file of boxes and relations; SYNTHETIC_ATTRIBUTE_H5 is a synonym."""
    parquet: PathText = ""
    """Parquet file, folder of files or URL (hf://datasets/...), instead of IMAGE_DATA and VG_ATTRIBUTE_H5."""
    box_scale: Choice[Literal[512, 1024]] = 1024
    """Box coordinates in the file refer to images whose longest side has this many pixels."""
    clipped: Flag = False
    """Clip boxes to the image when they are read."""
    corrupted_images: Several[Text] = ()
    """Ids of images to leave out."""
    filter_duplicate_relations: Flag = True
    """Training: keep one random predicate of each ordered pair of boxes, drawn at each loading."""
    filter_empty_relations: Flag = True
    """Leave out images without relations."""
    filter_non_overlap: Flag = True
    """Training: keep only relations whose boxes overlap."""
    max_num_objects: Limit = -1
    """Maximum number of boxes per image; -1: all."""
    max_num_relations: Limit = -1
    """Maximum number of relations per image; -1: all."""
    number_of_validation_images: Natural = 5000
    """Number of training images, the first ones, that are used as `val` if the file marks none."""
    bgnn: Flag = False
    """Bi-level resampling of the long tail (BGNN, CVPR 2021)."""
    per_class_dataset: Flag = False
    """Class-balanced sampling: first a predicate, then an image."""
    relation_source_weights: Several[SourceWeight] = ()
    """Training: loss weights NAME=WEIGHT by the source of a relation (relation_sources); 1 for others."""
    oversample_param: NonNegative = 0.07
    """t of the repeat factor sqrt(t / frequency) of an image (BGNN)."""
    undersample_param: NonNegative = 0.7
    """Strength of the undersampling of relations of head predicates (BGNN)."""

    @property
    def source_weights(self) -> dict[str, float]:
        """RELATION_SOURCE_WEIGHTS by name."""
        parts = (item.rpartition("=") for item in self.relation_source_weights)
        return {name: float(weight) for name, _, weight in parts}


class SourceShare(NamedTuple):
    """The share and the loss weight of a source in a mix.

    Attributes:
        ratio: sampling ratio in the first batch, relative to those of the other sources.
        ratio_at_end: sampling ratio in the last batch.
        loss_weight: weight of its images in the loss.
    """

    ratio: float
    ratio_at_end: float
    loss_weight: float

    @classmethod
    def of(cls, ratio: float, ratio_at_end: float | None, loss_weight: float) -> "SourceShare":
        """Create a share; ``ratio_at_end`` defaults to ``ratio``."""
        return cls(ratio, ratio if ratio_at_end is None else ratio_at_end, loss_weight)


class MixedSource(DatasetSection):
    """A further source of a mix: a dataset with its sampling ratio and loss weight."""

    sampling_ratio: NonNegative = 0.0
    """Share of its images in the global batch."""
    sampling_ratio_end: RatioAtEnd = None
    """Share of its images at the end of training; None: as at the start."""
    loss_weight: LossWeight = 1.0
    """Weight of its images in the loss."""


class MultiDataset(Section):
    """DATASETS.MULTI_DATASET: images of several sources in one training."""

    enabled: Flag = False
    """Mix VISUAL_GENOME (real), VISUAL_GENOME_SYNTHETIC (synthetic) and SOURCES."""
    real_sampling_ratio: NonNegative = 0.7
    """Share of real images in the global batch; 0: none, and their files are not needed."""
    synthetic_sampling_ratio: NonNegative = 0.3
    """Share of synthetic images in the global batch."""
    real_sampling_ratio_end: RatioAtEnd = None
    """Share of real images at the end of training, approached linearly; None: as at the start."""
    synthetic_sampling_ratio_end: RatioAtEnd = None
    """Share of synthetic images at the end of training."""
    real_loss_weight: LossWeight = 1.0
    """Weight of a real image in the loss."""
    synthetic_loss_weight: LossWeight = 0.5
    """Weight of a synthetic image in the loss."""
    statistics: NonEmptyText = "mix"
    """mix, or a source by name, whose predicate frequencies weight the loss and group the queries."""
    sources: dict[SourceName, MixedSource] = Field(default_factory=dict)
    """Further sources by name; SOURCES.<NAME> has the keys of a dataset, its ratio and its loss weight."""

    @property
    def shares(self) -> dict[str, SourceShare]:
        """Every source by name: real, synthetic, then the further ones."""
        real = SourceShare.of(self.real_sampling_ratio, self.real_sampling_ratio_end, self.real_loss_weight)
        synthetic = SourceShare.of(
            self.synthetic_sampling_ratio, self.synthetic_sampling_ratio_end, self.synthetic_loss_weight
        )
        further = {
            name: SourceShare.of(source.sampling_ratio, source.sampling_ratio_end, source.loss_weight)
            for name, source in self.sources.items()
        }
        return {"real": real, "synthetic": synthetic, **further}

    def conflicts(self) -> Iterator[Conflict]:
        """Names that cannot be used, and shares or loss weights that leave a mix without images."""
        key = "DATASETS.MULTI_DATASET."
        names = [name.lower() for name in self.sources]
        for name in self.sources:
            if name.lower() in _RESERVED_NAMES or names.count(name.lower()) > 1:
                reason = f"the name {name} is already used (case does not matter); choose another name"
                yield Conflict((f"{key}SOURCES.{name}.SAMPLING_RATIO",), reason)
        if not self.enabled:
            return
        shares = self.shares.values()
        ratios = (f"{key}REAL_SAMPLING_RATIO", f"{key}SYNTHETIC_SAMPLING_RATIO")
        if not any(share.ratio for share in shares):
            yield Conflict(ratios, "all sampling ratios are 0; at least one ratio must be above 0")
        elif not any(share.ratio_at_end for share in shares):
            ratios_at_end = tuple(f"{ratio}_END" for ratio in ratios)
            yield Conflict(ratios_at_end, "all sampling ratios are 0 at the end; one must be above 0")
        elif not any(share.loss_weight for share in shares if share.ratio or share.ratio_at_end):
            weights = (f"{key}REAL_LOSS_WEIGHT", f"{key}SYNTHETIC_LOSS_WEIGHT")
            yield Conflict(weights, "all sources in use have loss weight 0; one weight must be above 0")
        if self.statistics != "mix" and self.statistics not in self.shares:
            reason = f"expected mix, or one of the sources {', '.join(self.shares)}"
            yield Conflict((f"{key}STATISTICS",), reason)


class Datasets(Section):
    """DATASETS: the datasets of training and evaluation, and their files."""

    type: Choice[DatasetType] = ""
    """VISUAL GENOME, SYNTHETIC GENOME, or MULTI_DATASET: a mix of several sources."""
    train: Several[Choice[DatasetName]] = ()
    """Datasets to train on: VG_train, SYNTHETIC_train or MULTI_train."""
    test: Several[Choice[DatasetName]] = ()
    """Datasets to evaluate on: VG_val, VG_test, SYNTHETIC_val, MULTI_val and so on."""
    multi_dataset: MultiDataset = MultiDataset()
    visual_genome: DatasetSection = DatasetSection()
    synthetic_genome: DatasetSection = DatasetSection()
    visual_genome_synthetic: DatasetSection = DatasetSection()
    """The synthetic part of a mix; SYNTHETIC_GENOME is synthetic data alone."""


class Crop(Section):
    """INPUT.CROP: the random crop of training images."""

    enabled: Flag = False
    """Crop half of the training images."""
    type: Choice[Literal["relative_range", "relative", "absolute", "absolute_range"]] = "relative_range"
    """relative, relative_range: SIZE relative to the image; absolute, absolute_range: in pixels."""
    size: Annotated[Several[Positive], Field(min_length=2, max_length=2)] = (0.9, 0.9)
    """Height and width; for absolute_range the smallest and the largest side."""

    def conflicts(self) -> Iterator[Conflict]:
        """The unit of SIZE depends on TYPE."""
        keys = ("INPUT.CROP.TYPE", "INPUT.CROP.SIZE")
        if not self.enabled:
            return
        if self.type.startswith("relative"):
            if max(self.size) > 1:
                yield Conflict(keys, "SIZE is relative to the image with this type: at most 1")
        elif not all(side >= 1 and side.is_integer() for side in self.size):
            yield Conflict(keys, "SIZE is in pixels with this type: whole numbers of at least 1")
        elif self.type == "absolute_range" and self.size[0] > self.size[1]:
            yield Conflict(keys, "SIZE is the smallest and the largest side with this type, in this order")


class Input(Section):
    """INPUT: how images are resized, flipped and cropped."""

    crop: Crop = Crop()
    format: Choice[Literal["RGB", "BGR"]] = "BGR"
    """Channel order that the model expects."""
    max_pixels: Count = 178_956_970
    """Images of a dataset with more pixels are refused; a pixel needs 4 bytes of memory."""
    max_size_test: Count = 1333
    """Longest side at evaluation, pixels."""
    max_size_train: Count = 1333
    """Longest side in training, pixels."""
    min_size_test: Count = 800
    """Shortest side at evaluation, pixels."""
    min_size_train: Annotated[Several[Count], Field(min_length=1)] = (800,)
    """Shortest sides in training, pixels."""
    min_size_train_sampling: Choice[Literal["choice", "range"]] = "choice"
    """choice: one of MIN_SIZE_TRAIN; range: any size between its two."""
    random_flip: Choice[Literal["horizontal", "none"]] = "horizontal"
    """horizontal: mirror each training image with probability 0.5."""

    def conflicts(self) -> Iterator[Conflict]:
        """A range needs two sizes, the smaller one first."""
        sizes = self.min_size_train
        if self.min_size_train_sampling == "range" and (len(sizes) != 2 or sizes[0] > sizes[1]):
            keys = ("INPUT.MIN_SIZE_TRAIN", "INPUT.MIN_SIZE_TRAIN_SAMPLING")
            yield Conflict(keys, "a range needs two sizes, the smaller one first")
