"""The images of a split that pass the filters of the configuration, and their arrays.

Shape letters: see `speaq.structures`, with N and M counted over a block of images; I: images of the block.
"""

from typing import Literal, get_args

import numpy as np

from speaq.config.data import DatasetSection
from speaq.data.annotation_files import AnnotationFiles
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


class Selector:
    """Selects images and relations, block by block; see `speaq.data.visual_genome.VisualGenome`.

    Args:
        files: the annotations.
        section: the filters.
        split: what is selected.
        into: where the arrays of `VisualGenome` are appended.

    Raises:
        SpeaqError: there is no such split.
    """

    def __init__(
        self, files: AnnotationFiles, section: DatasetSection, split: Split, into: ArrayBlocks
    ) -> None:
        if split not in SPLITS:
            raise SpeaqError(f"the split must be one of {', '.join(SPLITS)}; found {split!r}.")
        self._files, self._section, self._split, self._into = files, section, split, into
        self._source_weights = section.source_weights if split == "train" else {}
        self._num_images = self._num_valid = self._num_training = self._num_selected = 0
        self._all_zero = True  # the weights of relations
        self._sources: set[str] = set()
        self._suspicions = Suspicions(files.name, files.box_scale)

    def add(self, arrays: AnnotationArrays, listed: ImageList) -> None:
        """Append the selected part of a block of images."""
        into, is_training = self._into, self._split == "train"
        if is_training:
            self._suspicions.add(arrays, listed)
        valid = (arrays.box_ranges.count > 0) & ~listed.are_among(self._section.corrupted_images)
        if self._section.filter_empty_relations:
            valid &= arrays.relation_ranges.count > 0
        self._num_images, self._num_valid = self._num_images + len(valid), self._num_valid + int(valid.sum())
        rows = self._rows_of_split(arrays.split, valid)
        relation_ranges = arrays.relation_ranges.select(rows)
        relation_rows, num_relations = relation_ranges.rows(), relation_ranges.count
        if self._section.filter_non_overlap and is_training:
            subjects, objects = arrays.boxes[arrays.pairs[relation_rows]].swapaxes(0, 1)
            overlap = boxes_overlap(subjects, objects)
            relation_rows, num_relations = relation_rows[overlap], relation_ranges.counts(overlap)
            rows, num_relations = rows[num_relations > 0], num_relations[num_relations > 0]
        self._num_selected += len(rows)
        weights = arrays.confidences
        if self._source_weights:
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
            self._all_zero &= not weights[relation_rows].any()

    def finish(self) -> list[str]:
        """The warnings on the whole data set.

        Raises:
            SpeaqError: no image was selected, or no relation has a source that
                RELATION_SOURCE_WEIGHTS names.
        """
        if not self._num_selected:
            raise EmptySplitError(
                f"{self._files.name}: no image is left for the split '{self._split}' ({self._num_valid} of "
                f"{self._num_images} images are valid; {self._section.number_of_validation_images} are for "
                "validation where the file has no such split). Check 'split' in the file, "
                "NUMBER_OF_VALIDATION_IMAGES and the FILTER_ settings."
            )
        for name in self._source_weights:
            if name not in self._sources:
                found = ", ".join(sorted(filter(None, self._sources))) or "none"
                raise SpeaqError(
                    f"RELATION_SOURCE_WEIGHTS has a weight for {name!r}; expected a source of the relations "
                    f"in {self._files.name} ({found})."
                )
        warnings = self._suspicions.warnings()
        if self._all_zero and self._split == "train" and "confidences" in self._into.formats:
            warnings.append(
                f"{self._files.name}: all relations have the weight 0 in training, by their confidences or "
                "RELATION_SOURCE_WEIGHTS: no predicate is learned"
            )
        return warnings

    def _rows_of_split(self, split: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """The valid rows of the split, in order."""
        if self._split == "test" or self._files.has_validation:
            return np.flatnonzero(valid & (split == SPLITS.index(self._split)))
        train = np.flatnonzero(valid & (split == SPLITS.index("train")))
        number = max(self._section.number_of_validation_images - self._num_training, 0)
        self._num_training += len(train)
        return train[:number] if self._split == "val" else train[number:]

    def _weights_of_sources(self, arrays: AnnotationArrays) -> np.ndarray:
        """The weights (M,) float32 of all relations of a block by their sources."""
        if arrays.sources is None:
            return np.ones(len(arrays.pairs), np.float32)
        names, numbers = np.unique(arrays.sources, return_inverse=True)
        self._sources.update(names.tolist())
        weights = [self._source_weights.get(name, 1.0) for name in names.tolist()]
        return np.array(weights, dtype=np.float32)[numbers]


def boxes_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether xyxy boxes (..., 4) share an area (IoU > 0), element by element with broadcasting."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.logical_and(high[..., 0] > low[..., 0], high[..., 1] > low[..., 1])
