"""Reading and checking the HDF5 annotations of a Visual Genome data set.

I: images, M: boxes, T: relations, all of the whole file. C: object classes, R: predicate classes.
Class numbers count from 1 in the file and from 0 in everything returned here.
"""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


@dataclass(frozen=True, slots=True)
class Ranges:
    """A run of consecutive rows for every image: rows first[i] .. first[i] + count[i] - 1.

    Attributes:
        first: (I,) int64.
        count: (I,) int64, 0 for none.
    """

    first: np.ndarray
    count: np.ndarray

    @classmethod
    def of_counts(cls, count: np.ndarray) -> "Ranges":
        """The ranges of images whose rows follow one another without a gap."""
        count = count.astype(np.int64)
        return cls(np.cumsum(count) - count, count)

    def select(self, images: np.ndarray) -> "Ranges":
        """The ranges of the images with these indices."""
        return Ranges(self.first[images], self.count[images])

    def offsets(self) -> np.ndarray:
        """Where (I + 1,) each image starts, and the last one ends, in `rows`."""
        return np.concatenate(([0], np.cumsum(self.count)))

    def rows(self) -> np.ndarray:
        """The rows of all images, one image after another."""
        offsets = self.offsets()
        return np.arange(offsets[-1]) + np.repeat(self.first - offsets[:-1], self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationArrays:
    """All annotations of an HDF5 file.

    Attributes:
        split: (I,) 0 train, 1 validation, 2 test.
        box_ranges, relation_ranges: which boxes and relations each of the I images owns.
        boxes: (M, 4) float32, xyxy in the frame of the file, in which the long side of an image is BOX_SCALE.
        labels: (M,) int32, object class from 0.
        pairs: (T, 2) int64, rows of ``boxes`` (subject, object), both of the same image.
        predicates: (T,) int32, predicate class from 0.
    """

    split: np.ndarray
    box_ranges: Ranges
    relation_ranges: Ranges
    boxes: np.ndarray
    labels: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray


def read_annotations(path: Path, *, box_scale: int, vocabulary: Vocabulary) -> AnnotationArrays:
    """Read the HDF5 annotations.

    Args:
        path: the file.
        box_scale: which frame to read, 1024 or 512 (the array ``boxes_<box_scale>``).
        vocabulary: of the data set, to check the class numbers.

    Raises:
        SpeaqError: the file cannot be read, an array is missing or has another shape, or a number is out of
            range.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        problem = "this is not an HDF5 file" if path.is_file() else "there is no such file"
        raise SpeaqError(f"{path}: cannot read the annotations: {problem} ({error}).") from error
    with file:
        arrays = _Arrays(path, file)
        split = arrays.read("split")
        boxes = arrays.boxes(f"boxes_{box_scale}")
        pairs = arrays.read("relationships", columns=2).astype(np.int64)
        labels = arrays.classes("labels", len(vocabulary.objects), rows_of=(f"boxes_{box_scale}", len(boxes)))
        predicates = arrays.classes(
            "predicates", len(vocabulary.predicates), rows_of=("relationships", len(pairs))
        )
        box_ranges = arrays.ranges("box", len(split), len(boxes))
        relation_ranges = arrays.ranges("rel", len(split), len(pairs))
        arrays.check_pairs(pairs, box_ranges, relation_ranges)
    return AnnotationArrays(
        split=split,
        box_ranges=box_ranges,
        relation_ranges=relation_ranges,
        boxes=corners(boxes),
        labels=labels,
        pairs=pairs,
        predicates=predicates,
    )


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corners (M, 4) float32, xyxy, of (cx, cy, w, h) boxes (M, 4).

    Integer boxes, as published, have x1 = trunc(cx - w / 2), towards zero, and x2 = x1 + w; float boxes are
    not rounded.
    """
    if boxes.dtype.kind == "f":
        low = boxes[:, :2] - boxes[:, 2:] * 0.5
    else:
        boxes = boxes.astype(np.int64)  # unsigned integers would wrap around
        low = np.trunc(boxes[:, :2] - boxes[:, 2:] * 0.5)
    return np.concatenate((low, low + boxes[:, 2:]), axis=1).astype(np.float32)


class _Arrays:
    """The arrays of an open file, each checked, so that an error names the file, the key and the row."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self.file = path, file

    def error(self, key: str, message: str) -> SpeaqError:
        return SpeaqError(f"{self.path}: '{key}' {message}")

    def read(self, key: str, *, columns: int = 1, kinds: str = "iu") -> np.ndarray:
        """The array (rows, columns), or (rows,) for one column, of one of the NumPy ``kinds``."""
        data = self.file.get(key)
        if not isinstance(data, h5py.Dataset):
            found = ", ".join(sorted(self.file)) or "nothing"
            raise self.error(key, f"is missing: expected an array of this name, found {found}.")
        shape = data.shape if len(data.shape) > 1 else (*data.shape, 1)
        if len(shape) != 2 or shape[1] != columns:
            raise self.error(key, f"must have {columns} column(s); found the shape {data.shape}.")
        if data.dtype.kind not in kinds:
            raise self.error(
                key, f"must hold {'numbers' if 'f' in kinds else 'integers'}; found {data.dtype}."
            )
        values = np.asarray(data[()])
        return values.reshape(-1) if columns == 1 else values

    def boxes(self, key: str) -> np.ndarray:
        """Boxes (M, 4) as (cx, cy, w, h)."""
        values = self.read(key, columns=4, kinds="iuf")
        bad = np.flatnonzero(~(np.isfinite(values).all(axis=1) & (values[:, 2:] >= 0).all(axis=1)))
        if len(bad):
            found = values[bad[0]].tolist()
            raise self.error(key, f"must hold (cx, cy, w, h) with w, h >= 0; row {bad[0]} is {found}.")
        return values

    def classes(self, key: str, num_classes: int, *, rows_of: tuple[str, int]) -> np.ndarray:
        """Class numbers from 0, as many as another array has rows: ``rows_of`` is its key and that number."""
        values = self.read(key)
        if len(values) != rows_of[1]:
            raise self.error(
                key, f"has {len(values)} rows, but '{rows_of[0]}' has {rows_of[1]}; expected as many."
            )
        bad = np.flatnonzero((values < 1) | (values > num_classes))
        if len(bad):
            raise self.error(
                key,
                f"must hold class numbers from 1 to {num_classes}, as the mapping dictionary has; row "
                f"{bad[0]} is {values[bad[0]]}. Use the dictionary that belongs to the file.",
            )
        return (values - 1).astype(np.int32)

    def ranges(self, kind: str, num_images: int, num_items: int) -> Ranges:
        """Which boxes ("box") or relations ("rel") each image owns; the file has -1 for none."""
        keys = f"img_to_first_{kind}", f"img_to_last_{kind}"
        first, last = (self.read(key).astype(np.int64) for key in keys)
        for key, values in zip(keys, (first, last), strict=True):
            if len(values) != num_images:
                raise self.error(
                    key, f"has {len(values)} rows, but 'split' has {num_images}; expected as many."
                )
        some = first >= 0
        bad = np.flatnonzero(some & ((last < first) | (last >= num_items)))
        if len(bad):
            row, low = bad[0], first[bad[0]]
            expected = f"expected a number from {low} ('{keys[0]}') to {num_items - 1}"
            raise self.error(keys[1], f"of image row {row} is {last[row]}; {expected}.")
        return Ranges(np.where(some, first, 0), np.where(some, last - first + 1, 0))

    def check_pairs(self, pairs: np.ndarray, box_ranges: Ranges, relation_ranges: Ranges) -> None:
        """Every relation must be between two boxes of its own image."""
        rows = relation_ranges.rows()
        low = np.repeat(box_ranges.first, relation_ranges.count)[:, None]
        high = low + np.repeat(box_ranges.count, relation_ranges.count)[:, None]
        bad = np.flatnonzero(((pairs[rows] < low) | (pairs[rows] >= high)).any(axis=1))
        if len(bad):
            found, own = pairs[rows[bad[0]]].tolist(), (int(low[bad[0], 0]), int(high[bad[0], 0]) - 1)
            raise self.error(
                "relationships",
                f"row {rows[bad[0]]} is {found}, but its image has the boxes {own[0]} to {own[1]}. Box "
                "numbers count over the whole file, from 0.",
            )
