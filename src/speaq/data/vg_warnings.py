"""Warnings about data that can be read, but are probably wrong.

``speaq data check`` finds these and more, and names every case.
"""

from typing import Any

import numpy as np

from speaq.data.array_blocks import ArrayBlocks
from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.vg_image_list import ImageList

_MIN_BOXES, _MIN_SHARE, _TOLERANCE = 10, 0.3, 0.02
_SYSTEMATIC = ("exceed their images", "are smaller than a pixel")
_EMPTY = "have no area"


class Suspicions:
    """Counts suspicious data block by block; each kind has one warning with the first of its cases.

    Args:
        name: of the annotations, for the warnings.
        box_scale: long side of an image in the frame of the boxes.
    """

    def __init__(self, name: Any, box_scale: int) -> None:
        self._name, self._box_scale = name, box_scale
        self._num_boxes = 0
        self._counts: dict[str, int] = dict.fromkeys((*_SYSTEMATIC, _EMPTY), 0)
        self._first: dict[str, Any] = {}
        self._ids = ArrayBlocks()

    def add(self, arrays: AnnotationArrays, listed: ImageList) -> None:
        """Count the cases in a block of images, which are listed in the order of the annotations."""
        rows = arrays.box_ranges.rows()
        images, boxes = arrays.box_ranges.images(), arrays.boxes[rows].astype(np.float64)
        long_side = listed.sizes.max(axis=1)[images]
        known = np.all(listed.sizes > 0, axis=1)[images]
        limits = listed.sizes[images][:, ::-1] / np.maximum(long_side, 1)[:, None] * self._box_scale
        low, high = boxes[:, :2], boxes[:, 2:]
        tolerance = _TOLERANCE * self._box_scale
        outside = known & ((low < -tolerance) | (high > limits + tolerance)).any(axis=1)
        small = known & (high - low < self._box_scale / np.maximum(long_side, 1)[:, None]).all(axis=1)
        self._num_boxes += len(boxes)
        found = (*_SYSTEMATIC, _EMPTY), (outside, small & ~outside, (high <= low).any(axis=1))
        for what, bad in zip(*found, strict=True):
            self._counts[what] += int(bad.sum())
            if what not in self._first and bad.any():
                self._first[what] = listed.ids[images[int(bad.argmax())]]
        self._ids.append("ids", listed.columns()["ids"])

    def warnings(self) -> list[str]:
        """One sentence for each kind of suspicious data."""
        found = []
        for what in _SYSTEMATIC:
            count = self._counts[what]
            if count >= _MIN_BOXES and count / self._num_boxes > _MIN_SHARE:
                found.append(
                    f"{self._name}: {100 * count / self._num_boxes:.0f} % of the boxes {what}, first in "
                    f"image {self._first[what]} (systematic-boxes): expected (cx, cy, w, h) in a frame of "
                    f"{self._box_scale}; run 'speaq data check'"
                )
        if count := self._counts[_EMPTY]:
            found.append(
                f"{self._name}: {count} boxes {_EMPTY}, first in image {self._first[_EMPTY]} (box-empty); "
                "run 'speaq data check'"
            )
        ids = self._ids.arrays().get("ids", np.empty(0))
        keys = ids if isinstance(ids, np.ndarray) else np.fromiter(map(hash, ids.tolist()), np.int64)
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        repeated = first[counts > 1]
        if len(repeated):
            found.append(
                f"{self._name}: {len(repeated)} image ids occur more than once, first {ids[repeated.min()]} "
                "(image-id-duplicate); run 'speaq data check'"
            )
        return found
