"""Boxes as in COCO's results, and relations between them: one JSON object with two lists.

``{"detections": [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}, ...],
"relations": [{"image_id", "subject", "object", "predicate_id", "score"}, ...]}``; ``subject`` and ``object``
are positions in ``detections`` from 0. Classes are numbered from 1 in the order of the data set, or as
``categories`` and ``predicates``, lists of ``{"id", "name"}``, say.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from speaq.errors import SpeaqError
from speaq.evaluation.formats.loaded import LoadedPredictions, Relation, build_graph
from speaq.evaluation.formats.target import Box, ImageId, Kind, Score, Target, checked


class _Record(BaseModel):
    model_config = ConfigDict(strict=True)


class Detection(_Record):
    """A predicted box, xywh in pixels."""

    image_id: ImageId
    category_id: int
    bbox: Box
    score: Score


class RelationRecord(_Record):
    """A predicted relation between two detections of an image."""

    image_id: ImageId
    subject: Annotated[int, Field(ge=0)]
    object: Annotated[int, Field(ge=0)]
    predicate_id: int
    score: Score
    predicate_scores: list[Score] | None = None


class ClassRecord(_Record):
    """The number of a class."""

    id: int
    name: str


class CocoDocument(_Record):
    """Detections and relations of all images."""

    detections: list[Detection]
    relations: list[RelationRecord]
    categories: list[ClassRecord] | None = None
    predicates: list[ClassRecord] | None = None


def read(path: Path, content: Any, target: Target) -> LoadedPredictions:
    """Read detections and relations. Images that have neither have an empty prediction.

    Raises:
        SpeaqError: the file has another layout, or a class, image or position that does not exist.
    """
    document = checked(CocoDocument, content, str(path))
    objects = _numbers(f"{path}: categories", document.categories, target, "objects")
    predicates = _numbers(f"{path}: predicates", document.predicates, target, "predicates")
    rows: dict[ImageId, list[int]] = defaultdict(list)
    image_of: list[ImageId] = []
    for index, detection in enumerate(document.detections):
        place = f"{path}: detections[{index}]"
        image_of.append(target.image_id(detection.image_id, f"{place}.image_id"))
        rows[image_of[-1]].append(index)
        if detection.category_id not in objects:
            raise _unknown(f"{place}.category_id", detection.category_id, objects, "categories")
        if min(detection.bbox[2:]) < 0:
            raise SpeaqError(
                f"{place}.bbox: expected [x, y, width, height] in pixels, found {detection.bbox}"
            )
    relations: dict[ImageId, list[RelationRecord]] = defaultdict(list)
    for index, relation in enumerate(document.relations):
        place = f"{path}: relations[{index}]"
        image_id = target.image_id(relation.image_id, f"{place}.image_id")
        relations[image_id].append(relation)
        if relation.predicate_id not in predicates:
            raise _unknown(f"{place}.predicate_id", relation.predicate_id, predicates, "predicates")
        for key in ("subject", "object"):
            position = getattr(relation, key)
            if position >= len(image_of) or image_of[position] != image_id:
                raise SpeaqError(
                    f"{place}.{key}: expected the position in detections of a box of image {image_id}, "
                    f"found {position}"
                )
        scores = relation.predicate_scores
        if scores is not None and len(scores) != len(target.vocabulary.predicates):
            raise SpeaqError(
                f"{place}.predicate_scores: expected {len(target.vocabulary.predicates)} numbers, one per "
                f"predicate in the order of the data set, found {len(scores)}"
            )
    graphs = {}
    for image_id in target.images:
        places = {index: place for place, index in enumerate(rows[image_id])}
        found = [document.detections[index] for index in places]
        graphs[image_id] = build_graph(
            target,
            image_id,
            boxes=[(x, y, x + width, y + height) for x, y, width, height in (each.bbox for each in found)],
            labels=[objects[each.category_id] for each in found],
            scores=[each.score for each in found],
            relations=[
                Relation(
                    places[each.subject],
                    places[each.object],
                    predicates[each.predicate_id],
                    each.score,
                    each.predicate_scores,
                )
                for each in relations[image_id]
            ],
        )
    absent = sum(not len(graph.boxes) for graph in graphs.values())
    notes = [f"{absent} of {len(graphs)} images have no detection"] if absent else []
    return LoadedPredictions(path, target, graphs, notes=notes)


def _numbers(place: str, records: Sequence[ClassRecord] | None, target: Target, kind: Kind) -> dict[int, int]:
    """The class of each number of the file."""
    if records is None:
        return {index + 1: index for index in range(len(getattr(target.vocabulary, kind)))}
    numbers = {}
    for index, record in enumerate(records):
        label = target.label(kind, record.name)
        if label is None:
            raise SpeaqError(
                f"{place}[{index}].name: expected a class of {target.name}, found {record.name!r}"
                f"{target.nearest(kind, record.name)}"
            )
        numbers[record.id] = label
    return numbers


def _unknown(place: str, found: int, numbers: dict[int, int], key: str) -> SpeaqError:
    low, high = min(numbers, default=1), max(numbers, default=0)
    return SpeaqError(
        f"{place}: expected a number in {low}..{high}, found {found}; add {key}, a list of "
        '{"id": number, "name": text}, if the file numbers its classes in another way'
    )
