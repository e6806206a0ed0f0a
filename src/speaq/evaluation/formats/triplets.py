"""Triplets with names, as language models give them: one JSON object per image, as lines or in a list.

``{"image_id": 1, "triplets": [{"subject": "man", "subject_box": [x1, y1, x2, y2], "predicate": "riding",
"object": "horse", "object_box": [x1, y1, x2, y2]}]}``; ``predicate`` may be a list of several, and ``score``
a number or one number per predicate, 1 by default.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from speaq.errors import SpeaqError
from speaq.evaluation.formats.loaded import LoadedPredictions, Relation, build_graph
from speaq.evaluation.formats.target import Box, ImageId, Score, Target, checked
from speaq.scene_graph import SceneGraph

BoxScale = Literal["auto", "1", "1000", "pixels"]
UNITS = {"1": "0..1", "1000": "0..1000", "pixels": "pixels"}
"""What boxes of each scale are in."""

logger = logging.getLogger(__name__)
T = TypeVar("T")

_TOLERANCE = 1.02  # boxes may extend a little beyond the image


def as_list(value: object) -> list:
    """A list, or a single value as one."""
    return value if isinstance(value, list) else [value]


class TripletRecord(BaseModel):
    """A pair of objects with one or several predicates."""

    model_config = ConfigDict(strict=True)

    subject: str
    subject_box: Box
    object: str
    object_box: Box
    predicate: Annotated[list[str], BeforeValidator(as_list)]
    score: Annotated[list[Score], BeforeValidator(as_list)] = [1.0]


class ImageRecord(BaseModel):
    """The triplets of an image."""

    model_config = ConfigDict(strict=True)

    image_id: ImageId
    triplets: list[TripletRecord]
    source: Any = None  # who or what made them, for speaq data convert


def read(
    path: Path, documents: Iterable[tuple[str, Any]], target: Target, *, box_scale: BoxScale = "auto"
) -> LoadedPredictions:
    """Read triplets. Boxes of the same class and coordinates are one entity.

    Names are compared without case, hyphens and underscores. Triplets with a name that is no class of the
    data set are left out, and a note tells how many.

    Args:
        path: the file, for messages.
        documents: place and content of each document.
        target: the data set.
        box_scale: unit of the boxes: "1" and "1000" are the width and height of the image. "auto": "1" if
            no coordinate exceeds 1, "pixels" if no box exceeds its image, else "1000".

    Raises:
        SpeaqError: a document has another layout or is of an unknown image, or the unit is not clear.
    """
    records = read_records(documents, target.image_id)
    notes = []
    if box_scale == "auto":
        sizes = {key: (target.images[key].width, target.images[key].height) for key in records}
        box_scale = find_scale(path, records, sizes)
        notes.append(f"boxes are taken to be in {UNITS[box_scale]}; --box-scale sets another unit")
    unknown: Counter[str] = Counter()
    graphs = {
        image_id: _graph(target, image_id, record, box_scale, unknown) for image_id, record in records.items()
    }
    if unknown:
        names = ", ".join(f"{name!r} ({count})" for name, count in unknown.most_common(5))
        notes.append(
            f"{unknown.total()} names are not classes of {target.name}, and their triplets are left out: "
            f"{names}{' and others' if len(unknown) > 5 else ''}"
        )
    return LoadedPredictions(path, target, graphs, notes=notes)


def read_records(
    documents: Iterable[tuple[str, Any]], find_image: Callable[[ImageId, str], ImageId]
) -> dict[ImageId, ImageRecord]:
    """The records by image id.

    Args:
        documents: place and content of each.
        find_image: the id of an image from that of a record and its place, for messages.

    Raises:
        SpeaqError: a document has another layout, or an image comes twice.
    """
    records: dict[ImageId, ImageRecord] = {}
    for place, content in documents:
        record = checked(ImageRecord, content, place)
        image_id = find_image(record.image_id, f"{place}: image_id")
        if image_id in records:
            raise SpeaqError(f"{place}: expected each image once, found image {image_id} again")
        for index, triplet in enumerate(record.triplets):
            _check(triplet, f"{place}: triplets[{index}]")
        records[image_id] = record
    return records


def _check(triplet: TripletRecord, place: str) -> None:
    """Check boxes and the number of scores."""
    for key in ("subject_box", "object_box"):
        x1, y1, x2, y2 = box = getattr(triplet, key)
        if x2 < x1 or y2 < y1:
            raise SpeaqError(f"{place}.{key}: expected [x1, y1, x2, y2] with x1 <= x2, y1 <= y2, found {box}")
    if len(triplet.score) not in (1, len(triplet.predicate)):
        expected = f"one number or {len(triplet.predicate)}" if len(triplet.predicate) != 1 else "one number"
        raise SpeaqError(f"{place}.score: expected {expected}, found {len(triplet.score)}")


def find_scale(
    path: Path, records: Mapping[ImageId, ImageRecord], sizes: Mapping[ImageId, tuple[int, int]]
) -> BoxScale:
    """The unit of the boxes of a file, from the sizes (width, height) of its images; see `read`.

    Raises:
        SpeaqError: a box fits none.
    """
    corners, image_sizes = [np.empty((0, 2))], [np.empty((0, 2))]
    for image_id, record in records.items():
        for triplet in record.triplets:
            corners.append(np.array((triplet.subject_box[2:], triplet.object_box[2:])))
            image_sizes.append(np.full((2, 2), sizes[image_id]))
    largest, limits = np.concatenate(corners), np.concatenate(image_sizes)
    if largest.max(initial=0) <= 1:
        return "1"
    if (largest <= limits * _TOLERANCE).all():
        return "pixels"
    if largest.max() <= 1000 * _TOLERANCE:
        return "1000"
    row = int((largest > limits * _TOLERANCE).any(axis=1).argmax())
    raise SpeaqError(
        f"{path}: expected boxes in 0..1, 0..1000 or pixels of the image, found a corner at "
        f"{tuple(largest[row].tolist())} in an image of {limits[row, 0]:g} x {limits[row, 1]:g} pixels; "
        "correct the boxes, or set --box-scale pixels if boxes may exceed the image"
    )


def to_pixels(box_scale: BoxScale, width: int, height: int) -> np.ndarray:
    """Factors (4,) from boxes xyxy of a scale to pixels of an image."""
    unit = {"1": 1.0, "1000": 1000.0}.get(box_scale)
    return np.ones(4) if unit is None else np.tile((width, height), 2) / unit


def find_relations(
    record: ImageRecord,
    find_object: Callable[[str], T | None],
    find_predicate: Callable[[str], T | None],
    unknown: Counter[str],
) -> tuple[dict[tuple[T, tuple[float, ...]], int], list[tuple[int, int, T, float]]]:
    """The entities of an image and their relations (subject, object, predicate, score).

    Args:
        record: the triplets of the image.
        find_object: class of a name, None if there is none; the triplet is then left out.
        find_predicate: likewise for predicates.
        unknown: counts the names without a class.

    Returns:
        The position of each entity by class and box, as in the file, and the relations between positions.
    """
    entities: dict[tuple[T, tuple[float, ...]], int] = {}
    relations = []
    for triplet in record.triplets:
        subject, object_ = find_object(triplet.subject), find_object(triplet.object)
        if subject is None or object_ is None:
            found = ((triplet.subject, subject), (triplet.object, object_))
            unknown.update(name for name, label in found if label is None)
            continue
        pair = [
            entities.setdefault((label, tuple(box)), len(entities))
            for label, box in ((subject, triplet.subject_box), (object_, triplet.object_box))
        ]
        scores = triplet.score if len(triplet.score) > 1 else triplet.score * len(triplet.predicate)
        for name, score in zip(triplet.predicate, scores, strict=True):
            predicate = find_predicate(name)
            if predicate is None:
                unknown[name] += 1
            else:
                relations.append((pair[0], pair[1], predicate, score))
    return entities, relations


def _graph(
    target: Target, image_id: ImageId, record: ImageRecord, box_scale: BoxScale, unknown: Counter[str]
) -> SceneGraph:
    image = target.images[image_id]
    entities, relations = find_relations(
        record, partial(target.label, "objects"), partial(target.label, "predicates"), unknown
    )
    scale = to_pixels(box_scale, image.width, image.height)
    return build_graph(
        target,
        image_id,
        boxes=np.array([box for _, box in entities]).reshape(-1, 4) * scale,
        labels=[label for label, _ in entities],
        scores=np.ones(len(entities)).tolist(),
        relations=[Relation(*relation) for relation in relations],
    )
