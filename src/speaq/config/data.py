"""Keys of the data: DATALOADER, DATASETS and INPUT."""

from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field

from speaq.config.values import (
    Choice,
    Count,
    Flag,
    Integer,
    Natural,
    NonEmptyText,
    NonNegative,
    Positive,
    Section,
    Several,
    Text,
    is_null,
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
Limit = Annotated[Integer, Field(ge=-1)]
RatioAtEnd = Annotated[NonNegative | None, BeforeValidator(lambda value: None if is_null(value) else value)]
LossWeight = Annotated[NonNegative, Field(le=1e6)]
SOURCE_NAME = r"[A-Za-z][A-Za-z0-9_-]*"
SourceName = Annotated[str, Field(pattern=f"^{SOURCE_NAME}$")]


class DataLoader(Section):
    """DATALOADER: the processes that read images."""

    num_workers: Natural = 4
    """Processes per rank that read and augment; 0: in the main one."""


class GenomeSection(Section):
    """One data set in Visual Genome format, real or synthetic."""

    images: Text = ""
    """Folder of the images, named <image_id>.jpg."""
    image_data: Text = ""
    """JSON list of the images with their sizes (image_data.json)."""
    mapping_dictionary: Text = ""
    """JSON of class and predicate names and their numbers."""
    vg_attribute_h5: Text = ""
    """HDF5 file of boxes and relations; SYNTHETIC_ATTRIBUTE_H5 is its other name."""
    box_scale: Choice[Literal[512, 1024]] = 1024
    """Long side of the frame of the boxes."""
    clipped: Flag = False
    """Clip boxes to the image as they are read."""
    corrupted_images: Several[Text] = ()
    """Ids of images to leave out."""
    filter_duplicate_relations: Flag = True
    """Training: one random predicate of an ordered pair of boxes at every draw."""
    filter_empty_relations: Flag = True
    """Leave out images without relations."""
    filter_non_overlap: Flag = True
    """Training: only relations of boxes that overlap."""
    max_num_objects: Limit = -1
    """At most so many boxes of an image; -1: all."""
    max_num_relations: Limit = -1
    """At most so many relations of an image; -1: all."""
    number_of_validation_images: Natural = 5000
    """First training images that serve as `val` where the file marks none."""
    bgnn: Flag = False
    """Bi-level resampling of the long tail (BGNN, CVPR 2021)."""
    per_class_dataset: Flag = False
    """Class-balanced sampling: first a predicate, then an image."""
    oversample_param: NonNegative = 0.07
    """t of the repeat factor sqrt(t / frequency) of an image (BGNN)."""
    undersample_param: NonNegative = 0.7
    """How strongly head predicates are dropped (BGNN)."""


class SourceShare(NamedTuple):
    """What a source has in a mix.

    Attributes:
        ratio: its share in the first batch, in a unit that all sources share.
        ratio_at_end: its share in the last batch, likewise.
        loss_weight: weight of its images in the loss.
    """

    ratio: float
    ratio_at_end: float
    loss_weight: float

    @classmethod
    def of(cls, ratio: float, ratio_at_end: float | None, loss_weight: float) -> "SourceShare":
        """The share; without a ratio at the end it stays as at the start."""
        return cls(ratio, ratio if ratio_at_end is None else ratio_at_end, loss_weight)


class MixedSource(GenomeSection):
    """A further source of a mix: a data set with its ratio and its weight in the loss."""

    sampling_ratio: NonNegative = 0.0
    """Share of its images in a global batch."""
    sampling_ratio_end: RatioAtEnd = None
    """Its share at the end of the training; None: as at the start."""
    loss_weight: LossWeight = 1.0
    """Weight of its images in the loss."""


class MultiDataset(Section):
    """DATASETS.MULTI_DATASET: images of several sources in one training."""

    enabled: Flag = False
    """Mix VISUAL_GENOME (real), VISUAL_GENOME_SYNTHETIC (synthetic) and SOURCES."""
    real_sampling_ratio: NonNegative = 0.7
    """Share of real images in a global batch; 0: none, and their files are not needed."""
    synthetic_sampling_ratio: NonNegative = 0.3
    """Share of synthetic images in a global batch."""
    real_sampling_ratio_end: RatioAtEnd = None
    """Share of real images at the end of the training, reached along a line; None: as at the start."""
    synthetic_sampling_ratio_end: RatioAtEnd = None
    """Share of synthetic images at the end of the training."""
    real_loss_weight: LossWeight = 1.0
    """Weight of a real image in the loss."""
    synthetic_loss_weight: LossWeight = 0.5
    """Weight of a synthetic image in the loss."""
    statistics: NonEmptyText = "mix"
    """Whose predicate frequencies weight the loss and group the queries: mix, or the name of a source."""
    sources: dict[SourceName, MixedSource] = Field(default_factory=dict)
    """Further sources by name: SOURCES.<NAME> has the keys of a data set, and three of its own."""

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


class Datasets(Section):
    """DATASETS: what is trained and evaluated on, and where it lies."""

    type: Choice[DatasetType] = ""
    """Kind of training data."""
    train: Several[Choice[DatasetName]] = ()
    """Data sets to train on."""
    test: Several[Choice[DatasetName]] = ()
    """Data sets to evaluate on."""
    multi_dataset: MultiDataset = MultiDataset()
    visual_genome: GenomeSection = GenomeSection()
    synthetic_genome: GenomeSection = GenomeSection()
    visual_genome_synthetic: GenomeSection = GenomeSection()
    """The synthetic part of a mix; SYNTHETIC_GENOME is synthetic data alone."""


class Crop(Section):
    """INPUT.CROP: the random crop of training images."""

    enabled: Flag = False
    """Crop half of the training images."""
    type: Choice[Literal["relative_range", "relative", "absolute", "absolute_range"]] = "relative_range"
    """What SIZE means: shares of the image or pixels, fixed or a range."""
    size: Annotated[Several[Positive], Field(min_length=2, max_length=2)] = (0.9, 0.9)
    """Height and width; for absolute_range the least and the greatest side."""


class Input(Section):
    """INPUT: how images are resized, flipped and cropped."""

    crop: Crop = Crop()
    format: Choice[Literal["RGB", "BGR"]] = "BGR"
    """Channel order that the model expects."""
    max_size_test: Count = 1333
    """Longest side at evaluation, pixels."""
    max_size_train: Count = 1333
    """Longest side in training, pixels."""
    min_size_test: Count = 800
    """Shortest side at evaluation, pixels."""
    min_size_train: Annotated[Several[Count], Field(min_length=1)] = (800,)
    """Shortest sides in training, pixels."""
    min_size_train_sampling: Choice[Literal["choice", "range"]] = "choice"
    """One of MIN_SIZE_TRAIN, or any size between its two."""
    random_flip: Choice[Literal["horizontal", "none"]] = "horizontal"
    """Mirror half of the training images."""
