"""One split of a data set in Visual Genome format.

Shape letters: see `speaq.structures`, with N and M counted over the split; I: images of the split.
Ragged data are flat arrays with offsets: image i has rows offsets[i] .. offsets[i + 1] - 1. A hundred
thousand images load in a second or two and take tens of megabytes.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image

from speaq.data.image_folders import SUFFIXES, ImageFolders
from speaq.data.vg_annotations import AnnotationArrays, read_annotations
from speaq.data.vg_dictionary import read_vocabulary
from speaq.data.vg_image_list import load_image_list
from speaq.data.vg_warnings import warn_of_suspicious_data
from speaq.errors import SpeaqError
from speaq.images import MAX_PIXELS, pixel_limit, read_image_file, read_image_size
from speaq.structures import Annotation, Vocabulary

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Names of the splits 0, 1 and 2 of the files."""

_log = logging.getLogger(__name__)

_WARNINGS = {
    "size": "%s has %d x %d pixels, but the image list says %d x %d: the size of the file is used, here and "
    "wherever else the two differ.",
    "orientation": "%s has an EXIF orientation, and its size in the image list does not tell whether the "
    "boxes are those of the turned image: the pixels are used as they are stored, here and wherever else "
    "this is so. If the boxes are those of the turned image, save the turned pixels.",
    "truncated": "%s is truncated: the missing pixels are grey or black, here and wherever else this is so. "
    "'speaq data check --open-images' counts and names all such files; replace them, or name their ids under "
    "CORRUPTED_IMAGES.",
}


class EmptySplitError(SpeaqError):
    """A split has no image."""


class VisualGenome:
    """Images of one split with their boxes, labels and relations; image files are read on access.

    The validation images are the rows of split 1; where the file has none, they are the first
    ``num_validation_images`` of the training rows that pass the filters. Images without boxes and
    ``corrupted_images`` (ids) are left out, with ``filter_empty_relations`` also images without relations.
    ``filter_non_overlap`` applies to training only: it leaves out relations whose two boxes do not overlap,
    and then images without relations. ``source`` and ``loss_weight`` are kept in every annotation.
    In training, the relations of a source (``relation_sources`` in the file) that ``relation_source_weights``
    names have its weight in the loss, multiplied by their confidence.
    Images with more than ``max_pixels`` pixels are refused.

    Attributes:
        vocabulary: class names.
        sizes: (I, 2) int32, height and width as the image list has them.
        boxes: (N, 4) float32, xyxy in the frame of the file: pixels * box_scale / max(width, height).
        labels: (N,) int32.
        box_offsets: (I + 1,) int64.
        relations: (M, 3) int32, rows (subject, object, predicate), boxes counted within the image.
        relation_offsets: (I + 1,) int64.
        confidences: (M,) float32, the weights of the relations in the loss: their confidences multiplied by
            the weights of their sources; None for 1.

    Raises:
        SpeaqError: a file or folder is missing or malformed, or the split has no image.
    """

    def __init__(
        self,
        *,
        images: str | Path | Sequence[str | Path],
        annotations_h5: str | Path,
        image_data: str | Path,
        dictionary: str | Path,
        split: Split,
        filter_empty_relations: bool = True,
        filter_non_overlap: bool = False,
        num_validation_images: int = 5000,
        box_scale: int = 1024,
        clip_boxes: bool = False,
        corrupted_images: Sequence[int | str] = (),
        source: str = "real",
        loss_weight: float = 1.0,
        relation_source_weights: Mapping[str, float] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if split not in SPLITS:
            raise SpeaqError(f"the split must be one of {', '.join(SPLITS)}; found {split!r}.")
        if not (math.isfinite(loss_weight) and loss_weight >= 0):
            raise SpeaqError(f"the loss weight of {source} is {loss_weight}; expected a non-negative number.")
        self.folders = ImageFolders(images)
        annotations_path, list_path = Path(annotations_h5), Path(image_data)
        self.vocabulary: Vocabulary = read_vocabulary(Path(dictionary))
        self.split, self.box_scale, self.clip_boxes = split, box_scale, clip_boxes
        self.source, self.loss_weight, self.max_pixels = source, loss_weight, max_pixels
        arrays = read_annotations(annotations_path, box_scale=box_scale, vocabulary=self.vocabulary)
        listed = load_image_list(list_path, num_rows=len(arrays.split), left_out=corrupted_images)
        if split == "train":
            warn_of_suspicious_data(annotations_path, arrays, listed, box_scale=box_scale)
        valid = (arrays.box_ranges.count > 0) & ~listed.are_among(corrupted_images)
        if filter_empty_relations:
            valid &= arrays.relation_ranges.count > 0
        rows = _rows_of_split(arrays.split, valid, split, num_validation_images)
        relation_ranges = arrays.relation_ranges.select(rows)
        relation_rows, num_relations = relation_ranges.rows(), relation_ranges.count
        if filter_non_overlap and split == "train":
            subjects, objects = arrays.boxes[arrays.pairs[relation_rows]].swapaxes(0, 1)
            overlap = boxes_overlap(subjects, objects)
            relation_rows, num_relations = relation_rows[overlap], relation_ranges.counts(overlap)
            rows, num_relations = rows[num_relations > 0], num_relations[num_relations > 0]
        if not len(rows):
            raise EmptySplitError(
                f"{annotations_path}: no image is left for the split '{split}' ({valid.sum()} of "
                f"{len(valid)} images are valid; {num_validation_images} are for validation where the file "
                "has no such split). Check 'split' in the file, NUMBER_OF_VALIDATION_IMAGES and the FILTER_ "
                "settings."
            )

        # Which images these warnings are about; shared with the processes of a data loader, so that one of
        # them warns for all.
        self._cases = {kind: torch.zeros(len(rows), dtype=torch.bool).share_memory_() for kind in _WARNINGS}
        names = listed.file_names
        self._file_names = np.array(names, dtype=object)[rows] if any(names) else None
        self._ids, self.sizes = np.array(listed.ids)[rows], listed.sizes[rows].astype(np.int32)
        box_ranges = arrays.box_ranges.select(rows)
        box_rows, self.box_offsets = box_ranges.rows(), box_ranges.offsets()
        self.boxes, self.labels = arrays.boxes[box_rows], arrays.labels[box_rows]
        self.relation_offsets = np.concatenate(([0], np.cumsum(num_relations)))
        pairs = arrays.pairs[relation_rows] - np.repeat(box_ranges.first, num_relations)[:, None]
        self.relations = np.column_stack((pairs, arrays.predicates[relation_rows])).astype(np.int32)
        weights = arrays.confidences
        if relation_source_weights and split == "train":
            factors = _weights_of_sources(annotations_path, arrays, relation_source_weights)
            weights = factors if weights is None else weights * factors
        self.confidences = None if weights is None else weights[relation_rows]

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def image_ids(self) -> list[int | str]:
        """The ids of the I images, in order."""
        return self._ids.tolist()

    def annotation(self, index: int) -> Annotation:
        """Boxes, labels and relations of an image, in pixels of its file (of which the header is read).

        Raises:
            SpeaqError: there is no such file, or it is not an image.
        """
        path = self._path(index)
        with pixel_limit(self.max_pixels):
            size = read_image_size(path, **self._orientation(index, path))
        return self._annotation(index, path, *size)

    def read(self, index: int) -> tuple[Image.Image, Annotation]:
        """The image, RGB, and its annotation in pixels.

        Its EXIF orientation is applied if the image list has the size of the upright image, and not if it has
        that of the stored pixels, nor where the size does not tell.

        Raises:
            SpeaqError: there is no such file, or it cannot be read.
        """
        path = self._path(index)
        with pixel_limit(self.max_pixels):
            image = read_image_file(
                path,
                on_truncated=lambda: self._warn("truncated", index, path),
                **self._orientation(index, path),
            )
        return image, self._annotation(index, path, *image.size)

    def check_images(self) -> None:
        """Find out whether every image has a file, from listings of the folders.

        Raises:
            SpeaqError: some have none.
        """
        names = None if self._file_names is None else self._file_names.tolist()
        self.folders.find_all(self._ids.tolist(), names)

    def _path(self, index: int) -> Path:
        name = None if self._file_names is None else self._file_names[index]
        path = self.folders.find(self._ids[index], name)
        if path is None:
            expected = self.folders.folders[0] / f"{self._ids[index]}{SUFFIXES[0]}"
            raise SpeaqError(
                f"{expected}: there is no such image (nor one ending in {', '.join(SUFFIXES[1:])}). Add the "
                "file, or name its id under CORRUPTED_IMAGES."
            )
        return path

    def _orientation(self, index: int, path: Path) -> dict[str, Any]:
        """The arguments of `read_image_file` that choose whether an image is turned."""
        height, width = self.sizes[index].tolist()
        return {"listed": (width, height), "on_undecided": lambda: self._warn("orientation", index, path)}

    @property
    def num_truncated(self) -> int:
        """How many of the images that were read, by all processes of a data loader, were truncated."""
        return int(self._cases["truncated"].sum())

    def _warn(self, kind: str, index: int, *values: object) -> None:
        """Log the first case of a kind."""
        is_first = not self._cases[kind].any()
        self._cases[kind][index] = True
        if is_first:
            _log.warning(_WARNINGS[kind], *values)

    def _annotation(self, index: int, path: Path, width: int, height: int) -> Annotation:
        """The annotation in pixels of the file, which is right where the image list says otherwise."""
        listed_height, listed_width = self.sizes[index].tolist()
        if (listed_width, listed_height) != (width, height):
            self._warn("size", index, path, width, height, listed_width, listed_height)
        box_rows = slice(*self.box_offsets[index : index + 2])
        boxes = self.boxes[box_rows].astype(np.float64) / self.box_scale * max(width, height)
        if self.clip_boxes:
            boxes = boxes.clip(0, (width, height, width, height))
        relation_rows = slice(*self.relation_offsets[index : index + 2])
        return Annotation(
            image_id=self._ids[index].item(),
            path=path,
            width=width,
            height=height,
            boxes=boxes.astype(np.float32),
            labels=self.labels[box_rows].astype(np.int64),
            relations=self.relations[relation_rows].astype(np.int64),
            relation_weights=None if self.confidences is None else self.confidences[relation_rows],
            source=self.source,
            loss_weight=self.loss_weight,
        )


def boxes_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether xyxy boxes (..., 4) share an area (IoU > 0), element by element with broadcasting."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    return np.logical_and(high[..., 0] > low[..., 0], high[..., 1] > low[..., 1])


def _weights_of_sources(path: Path, arrays: AnnotationArrays, weights: Mapping[str, float]) -> np.ndarray:
    """The weights (M,) float32 of all relations of a file by their sources.

    Raises:
        SpeaqError: no relation has a source with a name in ``weights``.
    """
    names, numbers = np.unique([] if arrays.sources is None else arrays.sources, return_inverse=True)
    for name in weights:
        if name not in names:
            found = ", ".join(filter(None, names.tolist())) or "none"
            raise SpeaqError(
                f"RELATION_SOURCE_WEIGHTS has a weight for {name!r}; expected a source of the relations in "
                f"{path} ({found})."
            )
    return np.array([weights.get(name, 1.0) for name in names.tolist()], dtype=np.float32)[numbers]


def _rows_of_split(split: np.ndarray, valid: np.ndarray, name: Split, num_validation: int) -> np.ndarray:
    """The valid rows of a split, in order."""
    rows = np.flatnonzero(valid & (split == SPLITS.index(name)))
    if name == "test" or (split == SPLITS.index("val")).any():
        return rows
    train = np.flatnonzero(valid & (split == SPLITS.index("train")))
    return train[:num_validation] if name == "val" else train[num_validation:]
