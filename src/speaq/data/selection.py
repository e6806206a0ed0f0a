"""The images of a split that pass the filters of the configuration, and their arrays.

Shape letters: see `speaq.structures`, with N and M counted over a block of images; I: images of the block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from speaq.data.array_blocks import ArrayBlocks
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.vg_image_list import ImageList
from speaq.data.vg_warnings import Suspicions
from speaq.errors import SpeaqError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Names of the splits 0, 1 and 2 of the files."""


class EmptySplitError(SpeaqError):
    """A split has no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which images and relations of a data set are used, see `speaq.data.visual_genome.VisualGenome`."""

    split: Split
    filter_empty_relations: bool = True
    filter_non_overlap: bool = False
    num_validation_images: int = 5000
    corrupted_images: Sequence[int | str] = ()
    relation_source_weights: Mapping[str, float] = field(default_factory=dict)
    box_scale: int = 1024

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise SpeaqError(f"the split must be one of {', '.join(SPLITS)}; found {self.split!r}.")

    def key(self) -> dict[str, Any]:
        """The fields as JSON."""
        return asdict(self)


class Selector:
    """Selects images and relations, block by block.

    Args:
        name: of the annotations, for messages.
        selection: what is selected.
        has_validation: whether the data set has images of its own for validation. Else these are the first
            training images that pass the filters but for ``filter_non_overlap``.
        into: where the arrays of `speaq.data.visual_genome.VisualGenome` are appended.
    """

    def __init__(self, name: Any, selection: Selection, *, has_validation: bool, into: ArrayBlocks) -> None:
        self._name, self._selection, self._into = name, selection, into
        self._has_validation = has_validation
        self._num_images = self._num_valid = self._num_training = self._num_selected = 0
        self._sources: set[str] = set()
        self._suspicions = Suspicions(name, selection.box_scale)

    def add(self, arrays: AnnotationArrays, listed: ImageList) -> None:
        """Append the selected part of a block of images."""
        selection, into = self._selection, self._into
        if selection.split == "train":
            self._suspicions.add(arrays, listed)
        valid = (arrays.box_ranges.count > 0) & ~listed.are_among(selection.corrupted_images)
        if selection.filter_empty_relations:
            valid &= arrays.relation_ranges.count > 0
        self._num_images, self._num_valid = self._num_images + len(valid), self._num_valid + int(valid.sum())
        rows = self._rows_of_split(arrays.split, valid)
        relation_ranges = arrays.relation_ranges.select(rows)
        relation_rows, num_relations = relation_ranges.rows(), relation_ranges.count
        if selection.filter_non_overlap and selection.split == "train":
            subjects, objects = arrays.boxes[arrays.pairs[relation_rows]].swapaxes(0, 1)
            overlap = boxes_overlap(subjects, objects)
            relation_rows, num_relations = relation_rows[overlap], relation_ranges.counts(overlap)
            rows, num_relations = rows[num_relations > 0], num_relations[num_relations > 0]
        self._num_selected += len(rows)
        weights = arrays.confidences
        if selection.relation_source_weights and selection.split == "train":
            factors = self._weights_of_sources(arrays)
            weights = factors if weights is None else weights * factors
        if not len(rows):
            return

        box_ranges = arrays.box_ranges.select(rows)
        box_rows, selected = box_ranges.rows(), listed.select(rows)
        for column, values in selected.columns().items():
            into.append(column, values)
        into.append_counts("box_offsets", box_ranges.count)
        into.append("boxes", arrays.boxes[box_rows])
        into.append("labels", arrays.labels[box_rows])
        into.append_counts("relation_offsets", num_relations)
        pairs = arrays.pairs[relation_rows] - np.repeat(box_ranges.first, num_relations)[:, None]
        into.append("relations", np.column_stack((pairs, arrays.predicates[relation_rows])).astype(np.int32))
        if weights is not None:
            into.append("confidences", weights[relation_rows])

    def finish(self) -> list[str]:
        """The warnings on the whole data set.

        Raises:
            SpeaqError: no image was selected, or no relation has a source that
                ``relation_source_weights`` names.
        """
        selection = self._selection
        if not self._num_selected:
            raise EmptySplitError(
                f"{self._name}: no image is left for the split '{selection.split}' ({self._num_valid} of "
                f"{self._num_images} images are valid; {selection.num_validation_images} are for validation "
                "where the file has no such split). Check 'split' in the file, NUMBER_OF_VALIDATION_IMAGES "
                "and the FILTER_ settings."
            )
        for name in selection.relation_source_weights if selection.split == "train" else ():
            if name not in self._sources:
                found = ", ".join(sorted(filter(None, self._sources))) or "none"
                raise SpeaqError(
                    f"RELATION_SOURCE_WEIGHTS has a weight for {name!r}; expected a source of the relations "
                    f"in {self._name} ({found})."
                )
        return self._suspicions.warnings()

    def _rows_of_split(self, split: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The valid rows of the split, in order."""
        name, number = self._selection.split, self._selection.num_validation_images
        if name == "test" or self._has_validation:
            return np.flatnonzero(valid & (split == SPLITS.index(name)))
        train = np.flatnonzero(valid & (split == SPLITS.index("train")))
        number = max(number - self._num_training, 0)
        self._num_training += len(train)
        return train[:number] if name == "val" else train[number:]

    def _weights_of_sources(self, arrays: AnnotationArrays) -> np.ndarray:
        """The weights (M,) float32 of all relations of a block by their sources."""
        weights = self._selection.relation_source_weights
        if arrays.sources is None:
            return np.ones(len(arrays.pairs), np.float32)
        names, numbers = np.unique(arrays.sources, return_inverse=True)
        self._sources.update(names.tolist())
        return np.array([weights.get(name, 1.0) for name in names.tolist()], dtype=np.float32)[numbers]


def boxes_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether xyxy boxes (..., 4) share an area (IoU > 0), element by element with broadcasting."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.logical_and(high[..., 0] > low[..., 0], high[..., 1] > low[..., 1])
