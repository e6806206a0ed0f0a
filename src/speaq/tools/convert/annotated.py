"""The annotations of a whole data set, in pixels; every format is read into them and written from them.

I: images, N: boxes, M: relations, all of the whole set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from speaq.data.parquet_rows import AnnotatedRow
from speaq.data.selection import SPLITS as SPLITS
from speaq.errors import SpeaqError, first_names
from speaq.files import is_inside
from speaq.structures import Vocabulary

_BACKGROUND = ("__background__", "__no_relation__", "N/A")
_SOURCE_LENGTH = 200


@dataclass(slots=True, kw_only=True)
class AnnotatedImage(AnnotatedRow):
    """One image, as a format has it, without checks.

    Attributes:
        place: file and entry of the image and its boxes, for messages.
        relations_place: file and entry of its relations, if they are elsewhere.
        width, height: in pixels; 0: `sized_images` finds them.
        split: 0 train, 1 validation, 2 test; -1: the one in the name of its file, see `read_images`.
        boxes: (boxes, 4) xyxy in pixels, array or list.
        classes: a key of the format's table of classes for each box, or a name if it has none; likewise the
            predicates in ``relations``.
    """

    place: str
    relations_place: str = ""
    width: int = 0
    height: int = 0
    split: int = -1
    boxes: Any = field(default_factory=list)

    def rounded_xywh(self) -> list[list[float]]:
        """The boxes as x, y, width and height, with four decimals."""
        low, high = self.boxes[:, :2], self.boxes[:, 2:]
        return np.round(np.concatenate((low, high - low), axis=1), 4).tolist()

    def check_size(self) -> None:
        """Check the size alone, for readers that multiply by it.

        Raises:
            SpeaqError: it is not positive, or too large.
        """
        if not (0 < self.width < 2**31 and 0 < self.height < 2**31):
            raise SpeaqError(
                f"{self.place}: expected the width and height of image {self.id!r} in pixels, found "
                f"{str(self.width)[:20]} and {str(self.height)[:20]}."
            )

    def check(self) -> None:
        """Check the size, and what relations have.

        Raises:
            SpeaqError: the size is not positive, a relation is of boxes that do not exist, or confidences or
                sources do not fit the relations.
        """
        self.check_size()
        for row, (subject, object_, _) in enumerate(self.relations):
            if not (0 <= subject < len(self.boxes) and 0 <= object_ < len(self.boxes)):
                raise SpeaqError(
                    f"{self.relations_place or self.place}: relation {row}: expected positions of the "
                    f"image's {len(self.boxes)} boxes, from 0, as subject and object; found {subject} and "
                    f"{object_}."
                )
        for what, values in (("confidence", self.confidences), ("source", self.sources)):
            if values and len(values) != len(self.relations):
                raise SpeaqError(
                    f"{self.place}: expected a {what} for each of the {len(self.relations)} relations, "
                    f"found {len(values)}."
                )
        for name in self.sources:  # in an array, all texts are as long as the longest
            if len(name) > _SOURCE_LENGTH:
                raise SpeaqError(
                    f"{self.place}: expected sources with at most {_SOURCE_LENGTH} characters, found one "
                    f"with {len(name):,}: {name:.30}..."
                )


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
        confidences: (M,) float32 in 0..1, how certain each relation is; None if the source has none.
        sources: (M,) str, who or what made each relation, empty where not known; None likewise.
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
    confidences: np.ndarray | None = None
    sources: np.ndarray | None = None
    changes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_images(
        cls,
        source: Path,
        images: Sequence[AnnotatedImage],
        objects: Mapping[Any, str] | None = None,
        predicates: Mapping[Any, str] | None = None,
        *,
        changes: Mapping[str, int] | None = None,
    ) -> "AnnotatedSet":
        """The set of what a reader found.

        Args:
            source: file or folder, for messages.
            images: of all splits.
            objects: names of the object classes by key; None if images have names, which are then sorted.
            predicates: the same for predicates.
            changes: how often something was left out or changed, by description.

        Raises:
            SpeaqError: a class or a box of a relation is not known, names of classes are not unique, or an
                image is invalid: see `AnnotatedImage.check` and `validated`.
        """
        for image in images:
            image.check()
        num_boxes = np.array([len(image.boxes) for image in images], dtype=np.int64)
        num_relations = [len(image.relations) for image in images]
        first_boxes = np.repeat(np.cumsum(num_boxes) - num_boxes, num_relations)
        pairs = np.array([(s, o) for image in images for s, o, _ in image.relations], np.int64).reshape(-1, 2)
        object_names, labels = _numbered(
            source, "object class", [(f"{image.place}: box", image.classes) for image in images], objects
        )
        uses = [
            (f"{image.relations_place or image.place}: relation", [key for *_, key in image.relations])
            for image in images
        ]
        predicate_names, numbers = _numbered(source, "predicate", uses, predicates)
        boxes = [np.asarray(image.boxes, dtype=np.float64).reshape(-1, 4) for image in images]
        data = cls(
            vocabulary=Vocabulary(object_names, predicate_names),
            ids=[image.id for image in images],
            files=[image.file for image in images],
            sizes=np.array([(image.height, image.width) for image in images], np.int32).reshape(-1, 2),
            splits=np.array([image.split for image in images], dtype=np.int32),
            box_images=np.repeat(np.arange(len(images)), num_boxes),
            boxes=np.concatenate(boxes) if boxes else np.zeros((0, 4)),
            labels=labels,
            relations=np.column_stack((pairs + first_boxes[:, None], numbers)),
            confidences=_of_relations([image.confidences for image in images], num_relations, 1.0),
            sources=_of_relations([image.sources for image in images], num_relations, ""),
        )
        data = data.keep_relations(numbers >= 0, "relations of the background class")
        data = validated(source, data.keep_boxes(data.labels >= 0, "boxes of the background class"))
        for what, count in (changes or {}).items():
            data = data.noting(what, count)
        return data

    def images(self) -> Iterator[AnnotatedImage]:
        """The images one by one; classes are numbers from 0, boxes and relations arrays."""
        box_ends = np.searchsorted(self.box_images, np.arange(1, len(self.ids) + 1)).tolist()
        relation_ends = np.searchsorted(self.relation_images, np.arange(1, len(self.ids) + 1)).tolist()
        labels, relations = self.labels.tolist(), self.relations.tolist()
        confidences = [] if self.confidences is None else np.round(self.confidences.astype(float), 6).tolist()
        sources = [] if self.sources is None else self.sources.tolist()
        box, relation = 0, 0
        for row, (height, width) in enumerate(self.sizes.tolist()):
            yield AnnotatedImage(
                place=f"image {self.ids[row]!r}",
                id=self.ids[row],
                file=self.files[row],
                width=width,
                height=height,
                split=int(self.splits[row]),
                boxes=self.boxes[box : box_ends[row]],
                classes=labels[box : box_ends[row]],
                relations=[(s - box, o - box, p) for s, o, p in relations[relation : relation_ends[row]]],
                confidences=confidences[relation : relation_ends[row]],
                sources=sources[relation : relation_ends[row]],
            )
            box, relation = box_ends[row], relation_ends[row]

    @property
    def relation_images(self) -> np.ndarray:
        """Which image (M,) a relation is of."""
        return self.box_images[self.relations[:, 0]]

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
        related = np.all(kept[self.relations[:, :2]], axis=1)
        fewer = self.noting(f"{others} left out", (~kept).sum())
        fewer = fewer.keep_relations(related, f"relations of {others}")
        relations = fewer.relations
        relations[:, :2] = (np.cumsum(kept) - 1)[relations[:, :2]]
        return replace(
            fewer,
            box_images=self.box_images[kept],
            boxes=self.boxes[kept],
            labels=self.labels[kept],
            relations=relations,
        )

    def keep_relations(self, kept: np.ndarray, others: str) -> "AnnotatedSet":
        """The set without the relations that are not ``kept`` (M,) bool; ``others`` says what they are."""
        fewer = replace(
            self,
            relations=self.relations[kept],
            confidences=None if self.confidences is None else self.confidences[kept],
            sources=None if self.sources is None else self.sources[kept],
        )
        return fewer.noting(f"{others} left out", (~kept).sum())

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


def id_of_file(name: str) -> str:
    """The id of an image that has only a file name: the name without its suffix."""
    path = PurePosixPath(name)
    return path.with_suffix("").as_posix() if path.name else name


def validated(source: Path, data: AnnotatedSet) -> AnnotatedSet:
    """The set without boxes that cannot be used: those without area, and wholly outside their image.

    Raises:
        SpeaqError: ids come twice or are of mixed type; an id or a file name leads out of the folder of
            images, or no file can have it.
    """
    _check_ids(source, data.ids)
    for name, file in zip(data.ids, data.files, strict=True):
        if not is_inside(file):
            raise SpeaqError(
                f"{source}: image {name!r}: expected the name of a file within the folder of images, found "
                f"{file!r}. Write the path from that folder, which --images names."
            )
    data = data.keep_boxes(np.all(data.boxes[:, 2:] > data.boxes[:, :2], axis=1), "boxes without area")
    low, high, limits = data.boxes[:, :2], data.boxes[:, 2:], data.sizes[data.box_images][:, ::-1]
    return data.keep_boxes(np.all((high > 0) & (low < limits), axis=1), "boxes wholly outside their image")


def _of_relations(
    values: Sequence[list[Any]], num_relations: Sequence[int], default: float | str
) -> np.ndarray | None:
    """One value (M,) for each relation, the default in images without; None if no image has any."""
    if not any(values):
        return None
    filled = [own or [default] * count for own, count in zip(values, num_relations, strict=True)]
    kind = np.float32 if isinstance(default, float) else str
    return np.array([value for own in filled for value in own], dtype=kind)


def _numbered(
    source: Path, what: str, uses: Sequence[tuple[str, Sequence[Any]]], table: Mapping[Any, str] | None
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of classes without background, and the number of each use, -1 for background.

    ``uses`` are the keys of each image, with their place for messages.
    """
    if table is None:
        table = {name: name for name in sorted({key for _, keys in uses for key in keys})}
    names = {key: name for key, name in table.items() if name not in _BACKGROUND}
    if not names:
        raise SpeaqError(f"{source}: expected a name of at least one {what}, found none.")
    keys: dict[str, Any] = {}
    for key, name in names.items():
        if keys.setdefault(name, key) != key:
            raise SpeaqError(
                f"{source}: {what} {keys[name]!r} and {key!r} are both {name!r}; give them different names."
            )
    numbers = dict.fromkeys(table, -1) | {key: number for number, key in enumerate(names)}
    for place, used in uses:
        for position, key in enumerate(used):
            if key not in numbers:
                some = first_names(map(repr, names))
                raise SpeaqError(
                    f"{place} {position}: expected the {what} to be one of {some}; found {key!r}."
                )
    return tuple(names.values()), np.array([numbers[key] for _, used in uses for key in used], np.int64)


def _check_ids(source: Path, ids: Sequence[Any]) -> None:
    kinds = {type(name) for name in ids}
    if not kinds:
        raise SpeaqError(f"{source}: expected annotations of images, found none.")
    if kinds not in ({int}, {str}):
        found = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise SpeaqError(f"{source}: expected integers for all image ids, or strings for all; found {found}.")
    seen: set[Any] = set()
    for name in ids:
        if name in seen:
            raise SpeaqError(
                f"{source}: the image id {name!r} comes twice; every image needs one of its own."
            )
        seen.add(name)
        if isinstance(name, str) and not is_inside(name):
            raise SpeaqError(f"{source}: expected image ids that can be names of files, found {name!r}.")
        if isinstance(name, int) and abs(name) >= 2**63:
            raise SpeaqError(f"{source}: the image id {name} is too large a number; use strings for all ids.")
