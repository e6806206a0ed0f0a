"""The annotations of a whole dataset, in pixels; every format is read into them and written from them.

I: images, N: boxes, M: relations, all of the whole set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary

SPLITS = ("train", "val", "test")
"""Names of the splits 0, 1 and 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedSet:
    """Boxes and relations of all images. Boxes and relations lie in the order of their images.

    Attributes:
        vocabulary: class names.
        ids: I integers or I strings, all different.
        files: I names of image files, within the folder of images.
        sizes: (I, 2) int32, height and width in pixels.
        splits: (I,) int32, 0 train, 1 validation, 2 test.
        box_images: (N,) int64, which image a box is of, ascending.
        boxes: (N, 4) float64, xyxy in pixels.
        labels: (N,) int64, object class from 0.
        relations: (M, 3) int64, rows (subject, object, predicate from 0), boxes counted over the whole set.
        changes: how often something of the source was left out or changed, by description.
    """

    vocabulary: Vocabulary
    ids: list[Any]
    files: list[str]
    sizes: np.ndarray
    splits: np.ndarray
    box_images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    relations: np.ndarray
    changes: dict[str, int] = field(default_factory=dict)

    @property
    def relation_images(self) -> np.ndarray:
        """Which image (M,) a relation is of."""
        return self.box_images[self.relations[:, 0]]

    @property
    def box_offsets(self) -> np.ndarray:
        """Where (I + 1,) the boxes of each image start, and the last ones end."""
        return np.searchsorted(self.box_images, np.arange(len(self.ids) + 1))

    @property
    def relation_offsets(self) -> np.ndarray:
        """Where (I + 1,) the relations of each image start, and the last ones end."""
        return np.searchsorted(self.relation_images, np.arange(len(self.ids) + 1))

    @property
    def local_relations(self) -> np.ndarray:
        """The relations (M, 3) with boxes counted within their image."""
        first = self.box_offsets[self.relation_images]
        return self.relations - np.column_stack((first, first, np.zeros_like(first)))

    def noting(self, what: str, count: int) -> "AnnotatedSet":
        """The same set with a change noted, if there is any."""
        if not count:
            return self
        return replace(self, changes={**self.changes, what: self.changes.get(what, 0) + int(count)})

    def keep_boxes(self, kept: np.ndarray, others: str) -> "AnnotatedSet":
        """The set of the boxes ``kept`` (N,) bool and the relations between them.

        Args:
            kept: which boxes stay.
            others: what the other boxes are, such as "boxes without area".
        """
        if kept.all():
            return self
        related = kept[self.relations[:, :2]].all(axis=1)
        relations = self.relations[related]
        relations[:, :2] = (np.cumsum(kept) - 1)[relations[:, :2]]
        fewer = replace(
            self,
            box_images=self.box_images[kept],
            boxes=self.boxes[kept],
            labels=self.labels[kept],
            relations=relations,
        )
        return fewer.noting(f"{others} left out", (~kept).sum()).noting(
            f"relations of {others} left out", (~related).sum()
        )

    def keep_relations(self, kept: np.ndarray, others: str) -> "AnnotatedSet":
        """The set without the relations that are not ``kept`` (M,) bool; ``others`` says what they are."""
        return replace(self, relations=self.relations[kept]).noting(f"{others} left out", (~kept).sum())

    def keep_images(self, kept: np.ndarray) -> "AnnotatedSet":
        """The set of the images ``kept`` (I,) bool alone; this is not noted as a change."""
        if kept.all():
            return self
        inside = replace(self.keep_boxes(kept[self.box_images], "boxes"), changes=self.changes)
        rows = np.flatnonzero(kept)
        return replace(
            inside,
            ids=[self.ids[row] for row in rows],
            files=[self.files[row] for row in rows],
            sizes=self.sizes[rows],
            splits=self.splits[rows],
            box_images=(np.cumsum(kept) - 1)[inside.box_images],
        )


def annotated_set(
    path: Path,
    *,
    vocabulary: Vocabulary,
    ids: Sequence[Any],
    files: Sequence[str],
    sizes: np.ndarray,
    splits: np.ndarray,
    box_images: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    relations: np.ndarray,
) -> AnnotatedSet:
    """The set of what a reader found, boxes and relations in any order.

    Boxes without area, and those wholly outside their image, cannot be used: they and their relations are
    left out, and counted.

    The arguments are the attributes of `AnnotatedSet`, and the path of the source for messages.

    Raises:
        SpeaqError: ids come twice, are of mixed type, or lead out of the folder of images; a size is not
            positive.
    """
    _check_images(path, ids, sizes)
    order = np.argsort(box_images, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    relations = np.asarray(relations, dtype=np.int64).reshape(-1, 3).copy()
    relations[:, :2] = place[relations[:, :2]]
    box_images = np.asarray(box_images, dtype=np.int64)[order]
    relations = relations[np.argsort(box_images[relations[:, 0]], kind="stable")]
    read = AnnotatedSet(
        vocabulary=vocabulary,
        ids=list(ids),
        files=list(files),
        sizes=np.asarray(sizes, dtype=np.int32).reshape(-1, 2),
        splits=np.asarray(splits, dtype=np.int32),
        box_images=box_images,
        boxes=np.asarray(boxes, dtype=np.float64).reshape(-1, 4)[order],
        labels=np.asarray(labels, dtype=np.int64)[order],
        relations=relations,
    )
    low, high = read.boxes[:, :2], read.boxes[:, 2:]
    read = read.keep_boxes(np.all(high > low, axis=1), "boxes without area")
    low, high, limits = read.boxes[:, :2], read.boxes[:, 2:], read.sizes[read.box_images][:, ::-1]
    return read.keep_boxes(np.all((high > 0) & (low < limits), axis=1), "boxes wholly outside their image")


def round_boxes(boxes: np.ndarray) -> list[list[float]]:
    """Boxes (N, 4) in pixels with four decimals, which keeps files readable and an error below 1e-4."""
    return np.round(boxes, 4).tolist()


def _check_images(path: Path, ids: Sequence[Any], sizes: np.ndarray) -> None:
    kinds = {type(name) for name in ids}
    if not kinds:
        raise SpeaqError(f"{path}: expected annotations of images, found none.")
    if kinds not in ({int}, {str}):
        found = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise SpeaqError(f"{path}: expected integers for all image ids, or strings for all; found {found}.")
    seen: set[Any] = set()
    for name in ids:
        if name in seen:
            raise SpeaqError(f"{path}: the image id {name!r} comes twice; every image needs one of its own.")
        seen.add(name)
        if isinstance(name, str) and (
            not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts
        ):
            raise SpeaqError(f"{path}: expected image ids that can be names of files, found {name!r}.")
        if isinstance(name, int) and abs(name) >= 2**63:
            raise SpeaqError(f"{path}: the image id {name} is too large a number; use strings for all ids.")
    bad = np.flatnonzero(((sizes < 1) | (sizes >= 2**31)).any(axis=1))
    if len(bad):
        height, width = sizes[bad[0]].tolist()
        raise SpeaqError(
            f"{path}: expected the width and height of image {ids[bad[0]]!r} in pixels, found {width} and "
            f"{height}."
        )
