"""One split of a data set in Visual Genome format.

Shape letters: see `speaq.structures`, with N and M counted over the split; I: images of the split.
Ragged data are flat arrays with offsets: image i has rows offsets[i] .. offsets[i + 1] - 1.
"""

import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from speaq.config.data import DatasetSection
from speaq.data.annotation_files import AnnotationFiles, VisualGenomeFiles
from speaq.data.array_blocks import ArrayBlocks, Arrays, cached_arrays, map_arrays
from speaq.data.image_folders import SUFFIXES, ImageFolders
from speaq.data.selection import Selector, Split
from speaq.errors import SpeaqError
from speaq.images import MAX_PIXELS, pixel_limit, read_image_file, read_image_size
from speaq.structures import Annotation

_log = logging.getLogger(__name__)

_WARNINGS = {
    "size": "%s has %d x %d pixels, but the image list says %d x %d: the size of the file is used, here and "
    "wherever else the two differ.",
    "orientation": "%s has an EXIF orientation, and its size in the image list does not tell whether the "
    "boxes are those of the turned image: the pixels are used as they are stored, here and wherever else "
    "this is so. If the boxes are those of the turned image, save the turned pixels.",
    "truncated": "%s is truncated or damaged: the missing pixels are grey or black, here and wherever else "
    "this is so. 'speaq data check --open-images' counts and names such files; replace them, or name their "
    "ids under CORRUPTED_IMAGES.",
}
PROBLEMS = tuple(_WARNINGS)
"""Kinds of problems of image files that are read nevertheless."""
_LOOKED_FOR = 10_000  # image files of mapped annotations before training
_SELECTING = {  # the keys of a section on which the arrays depend
    *("filter_empty_relations", "filter_non_overlap", "number_of_validation_images"),
    *("corrupted_images", "relation_source_weights", "box_scale"),
}
_ARRAYS = (
    *("_ids", "_file_names", "sizes", "boxes", "labels", "box_offsets"),
    *("relations", "relation_offsets", "confidences", "_rows"),
)


class VisualGenome:
    """Images of one split with their boxes, labels and relations; image files are read on access.

    The validation images are the rows of split 1; where the file has none, they are the first
    NUMBER_OF_VALIDATION_IMAGES of the training rows that pass the filters. Images without boxes and
    CORRUPTED_IMAGES (ids) are left out, with FILTER_EMPTY_RELATIONS also images without relations.
    FILTER_NON_OVERLAP applies to training only: it leaves out relations whose two boxes do not overlap, and
    then images without relations. In training, the relations of a source (``relation_sources`` in the file)
    that RELATION_SOURCE_WEIGHTS names have its weight in the loss, multiplied by their confidence.

    The arrays of a file with more than ``in_memory`` images are mapped into memory, see
    `speaq.data.array_blocks.cached_arrays`; they are written when it is first opened.

    Args:
        section: the paths and filters.
        split: train, val or test.
        source, loss_weight: are kept in every annotation.
        max_pixels: images with more pixels are refused.

    Attributes:
        vocabulary: class names.
        problems: (3, I) bool, which of the `PROBLEMS` the images have that were read; shared with the
            processes of a data loader.
        warned: (3,) bool, problems whose first case was logged; also shared. Data sets of a run may have the
            same tensor, to warn once.
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

    in_memory: ClassVar[int] = 2**17

    def __init__(
        self,
        section: DatasetSection,
        split: Split,
        *,
        source: str = "real",
        loss_weight: float = 1.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if not (math.isfinite(loss_weight) and loss_weight >= 0):
            raise SpeaqError(f"the loss weight of {source} is {loss_weight}; expected a non-negative number.")
        self.split: Split = split
        self.clip_boxes, self.max_pixels = section.clipped, max_pixels
        self.source, self.loss_weight = source, loss_weight
        files = self._open(section)
        self.vocabulary, self.box_scale = files.vocabulary, files.box_scale

        def write(into: ArrayBlocks) -> list[str]:
            selector = Selector(files, section, split, into)
            for arrays, listed in files.blocks(self.in_memory):
                selector.add(arrays, listed)
            return selector.finish()

        self._mapped: Path | None = None
        if files.num_images > self.in_memory:
            selection = {"split": split, **section.model_dump(include=_SELECTING)}
            key = {"files": files.names, "selection": selection, "classes": asdict(self.vocabulary)}
            self._mapped, arrays, warnings = cached_arrays(key, files.stamp(), write)
            self.folders.are_listed = False
        else:
            blocks = ArrayBlocks()
            warnings, arrays = write(blocks), blocks.arrays()
        for warning in warnings:
            _log.warning("%s", warning)
        self._set_arrays(arrays)
        self.problems = torch.zeros(len(PROBLEMS), len(self), dtype=torch.bool).share_memory_()
        self.warned = torch.zeros(len(PROBLEMS), dtype=torch.bool).share_memory_()

    def _open(self, section: DatasetSection) -> AnnotationFiles:
        """The annotations; sets ``folders``."""
        self.folders = ImageFolders(section.images)
        return VisualGenomeFiles(section)

    def _set_arrays(self, arrays: Arrays) -> None:
        self._ids, self._file_names = arrays["ids"], arrays["file_names"]
        self.sizes, self.boxes, self.labels = arrays["sizes"], arrays["boxes"], arrays["labels"]
        self.box_offsets, self.relation_offsets = arrays["box_offsets"], arrays["relation_offsets"]
        self.relations, self.confidences = arrays["relations"], arrays.get("confidences")
        self._rows = arrays.get("rows", np.zeros(0, np.int64))

    def __getstate__(self) -> dict[str, Any]:
        """Mapped arrays are mapped again where the data set is unpickled, such as in a data worker."""
        state = self.__dict__.copy()
        if self._mapped is not None:
            for name in _ARRAYS:
                del state[name]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._mapped is not None:
            self._set_arrays(map_arrays(self._mapped)[0])

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def image_ids(self) -> list[int | str]:
        """The ids of the I images, in order."""
        return list(self._ids.tolist())

    def annotation(self, index: int) -> Annotation:
        """Boxes, labels and relations of an image, in pixels of its file (of which the header is read).

        Raises:
            SpeaqError: there is no such file, or it is not an image.
        """
        path, file = self._file(index)
        with pixel_limit(self.max_pixels):
            size = read_image_size(file, **self._orientation(index, path))
        return self._annotation(index, path, *size)

    def read(self, index: int) -> tuple[Image.Image, Annotation]:
        """The image, RGB, and its annotation in pixels.

        Its EXIF orientation is applied if the image list has the size of the upright image, and not if it has
        that of the stored pixels, nor where the size does not tell.

        Raises:
            SpeaqError: there is no such file, or it cannot be read.
        """
        path, file = self._file(index)
        with pixel_limit(self.max_pixels):
            image = read_image_file(
                file,
                on_truncated=lambda: self._warn("truncated", index, path),
                **self._orientation(index, path),
            )
        return image, self._annotation(index, path, *image.size)

    def check_images(self) -> None:
        """Find out whether every image has a file, from listings of the folders.

        Of mapped annotations, some thousand images are looked for, evenly spaced.

        Raises:
            SpeaqError: some have none.
        """
        if self._mapped is None:
            self.folders.find_all(self.image_ids, self._file_names.tolist())
        else:
            rows = range(0, len(self), -(-len(self) // _LOOKED_FOR))
            self.folders.find_all([self.image_id(i) for i in rows], [self._file_names[i] for i in rows])

    def image_id(self, index: int) -> int | str:
        """The id of an image."""
        image_id = self._ids[index]
        return image_id if isinstance(image_id, str) else int(image_id)

    def _file(self, index: int) -> tuple[Path, Path | bytes]:
        """The path of an image, for messages, and the file or its content."""
        image_id = self.image_id(index)
        path = self.folders.find(image_id, self._file_names[index])
        if path is None:
            expected = self.folders.folders[0] / f"{image_id}{SUFFIXES[0]}"
            raise SpeaqError(
                f"{expected}: there is no such image (nor one ending in {', '.join(SUFFIXES[1:])}). Add the "
                "file, or name its id under CORRUPTED_IMAGES."
            )
        return path, path

    def _orientation(self, index: int, path: Path) -> dict[str, Any]:
        """The arguments of `read_image_file` that choose whether an image is turned."""
        height, width = self.sizes[index].tolist()
        return {"listed": (width, height), "on_undecided": lambda: self._warn("orientation", index, path)}

    def _warn(self, problem: str, index: int, *values: object) -> None:
        """Count a problem of an image, and log the first one of its kind."""
        number = PROBLEMS.index(problem)
        self.problems[number, index] = True
        if not self.warned[number]:
            self.warned[number] = True
            _log.warning(_WARNINGS[problem], *values)

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
            image_id=self.image_id(index),
            path=path,
            width=width,
            height=height,
            boxes=boxes.astype(np.float32),
            labels=self.labels[box_rows].astype(np.int64),
            relations=self.relations[relation_rows].astype(np.int64),
            relation_weights=None if self.confidences is None else self.confidences[relation_rows].copy(),
            source=self.source,
            loss_weight=self.loss_weight,
        )
