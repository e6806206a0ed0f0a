"""Warnings about data that can be read, but are probably wrong.

``speaq data check`` finds these and more, and names every case.
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np

from speaq.data.vg_annotations import AnnotationArrays
from speaq.data.vg_image_list import ImageList

logger = logging.getLogger(__name__)

_MIN_BOXES, _MIN_SHARE, _TOLERANCE = 10, 0.3, 0.02


def warn_of_suspicious_data(
    path: Path, arrays: AnnotationArrays, listed: ImageList, *, box_scale: int
) -> None:
    """Log one warning for each kind of suspicious data, with the number of cases and the first of them.

    Args:
        path: of the annotations.
        arrays: the annotations.
        listed: the images, in the order of the annotations.
        box_scale: long side of an image in the frame of the boxes.
    """
    rows = arrays.box_ranges.rows()
    images, boxes = arrays.box_ranges.images(), arrays.boxes[rows].astype(np.float64)
    long_side = listed.sizes.max(axis=1)[images]
    known = np.all(listed.sizes > 0, axis=1)[images]
    limits = listed.sizes[images][:, ::-1] / np.maximum(long_side, 1)[:, None] * box_scale
    low, high = boxes[:, :2], boxes[:, 2:]
    tolerance = _TOLERANCE * box_scale
    outside = known & ((low < -tolerance) | (high > limits + tolerance)).any(axis=1)
    small = known & (high - low < box_scale / np.maximum(long_side, 1)[:, None]).all(axis=1)
    for bad, what in ((outside, "exceed their images"), (small & ~outside, "are smaller than a pixel")):
        if bad.sum() >= _MIN_BOXES and bad.mean() > _MIN_SHARE:
            first = int(np.flatnonzero(bad)[0])
            logger.warning(
                "%s: %.0f %% of the boxes %s, first in image %s (systematic-boxes): expected (cx, cy, w, h) "
                "in a frame of %d; run 'speaq data check'",
                *(path, 100 * bad.mean(), what, listed.ids[images[first]], box_scale),
            )
    empty = np.flatnonzero((high <= low).any(axis=1))
    if len(empty):
        logger.warning(
            "%s: %d boxes have no area, first in image %s (box-empty); run 'speaq data check'",
            *(path, len(empty), listed.ids[images[empty[0]]]),
        )
    repeated = [image_id for image_id, count in Counter(map(str, listed.ids)).items() if count > 1]
    if repeated:
        logger.warning(
            "%s: %d image ids occur more than once, first %s (image-id-duplicate); run 'speaq data check'",
            *(path, len(repeated), repeated[0]),
        )
