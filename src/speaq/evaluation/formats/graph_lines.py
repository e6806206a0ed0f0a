"""Scene graphs as JSON lines: one document of docs/scene_graph_json.md per line, with the id of its image."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.evaluation.formats.loaded import LoadedPredictions
from speaq.evaluation.formats.target import Target
from speaq.scene_graph import SceneGraph


def read(path: Path, documents: Iterable[tuple[str, Any]], target: Target) -> LoadedPredictions:
    """Read scene graphs; each has ``image_id``, or ``image`` with the name of the image file.

    Raises:
        SpeaqError: a document is not a scene graph, or is not of an image or of the classes of the target.
    """
    graphs: dict[int | str, SceneGraph] = {}
    for place, content in documents:
        if not isinstance(content, dict):
            raise SpeaqError(f"{place}: expected a scene graph, found {json.dumps(content)[:40]}")
        found = content.get("image_id", content.get("image"))
        if not isinstance(found, int | str) or isinstance(found, bool):
            raise SpeaqError(f"{place}: image_id: expected a number or a text, found {json.dumps(found)}")
        image_id = target.image_id(found, f"{place}: {'image_id' if 'image_id' in content else 'image'}")
        if image_id in graphs:
            raise SpeaqError(f"{place}: expected each image once, found image {image_id} again")
        try:
            graph = SceneGraph.from_json(json.dumps(content))
        except SpeaqError as error:
            raise SpeaqError(f"{place}: {str(error).partition('to_json: ')[2] or error}") from None
        _check_classes(graph, target, place)
        image = target.images[image_id]
        if graph.image_size != (image.height, image.width):
            height, width = graph.image_size
            raise SpeaqError(
                f"{place}: width, height: expected {image.width} x {image.height}, the size of image "
                f"{image_id}, found {width} x {height}"
            )
        graphs[image_id] = replace(graph, vocabulary=target.vocabulary)
    return LoadedPredictions(path, target, graphs, distinct=False)


def _check_classes(graph: SceneGraph, target: Target, place: str) -> None:
    if graph.vocabulary is not None:
        differences = target.vocabulary.differences(graph.vocabulary)
        if differences:
            raise SpeaqError(
                f"{place}: vocabulary: expected the classes of {target.name}, found differences: "
                f"{'; '.join(differences)}"
            )
        return
    expected, found = len(target.vocabulary.predicates), graph.predicate_probs.shape[1] - 1
    if found != expected:
        raise SpeaqError(f"{place}: predicate_count: expected {expected}, found {found}")
    num_objects = len(target.vocabulary.objects)
    if graph.labels.max(initial=-1) >= num_objects:
        raise SpeaqError(
            f"{place}: entities: expected labels below {num_objects}, found {graph.labels.max()}"
        )
