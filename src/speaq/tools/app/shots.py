"""Photos and video frames with the scene graphs that one or several models predict for them."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from speaq.errors import SpeaqError
from speaq.export.predictor import FilePredictor
from speaq.images import read_image
from speaq.inference.video import read_frames
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph
from speaq.tools.app.view import PHOTO_SIZE, data_url, view_html

Model = Speaq | FilePredictor
MAX_FRAMES = 60
"""Frames of a video that are predicted."""


class Shot(NamedTuple):
    """An RGB image, its seconds in a video (0 for a photo), and the prediction of each model by name."""

    image: Image.Image
    time: float
    graphs: dict[str, SceneGraph]


class GivenBoxes(NamedTuple):
    """Boxes, xyxy in pixels, and their classes, None where the model shall decide."""

    boxes: list[list[float]]
    labels: list[str | None]


def parse_boxes(text: str) -> GivenBoxes | None:
    """The boxes of a text with a line "x1, y1, x2, y2" or "x1, y1, x2, y2, class" for each; None without any.

    Raises:
        SpeaqError: a line is not as described.
    """
    given = GivenBoxes([], [])
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        *corners, label = [*line.split(",", 4), ""][:5]
        try:
            given.boxes.append([float(corner) for corner in corners])
        except ValueError:
            corners = []
        if len(corners) != 4:
            raise SpeaqError(
                f"boxes, line {number}: expected x1, y1, x2, y2 and a class or none, found {line!r}"
            )
        given.labels.append(label.strip() or None)
    return given if given.boxes else None


def predict_photo(models: Mapping[str, Model], photo: Path, boxes: str = "") -> list[Shot]:
    """The scene graphs of a photo, between boxes as `parse_boxes` reads them if there are any.

    Raises:
        SpeaqError: the photo cannot be read, or the boxes are not as described.
    """
    image, given = read_image(photo), parse_boxes(boxes)
    options = {} if given is None else {"boxes": [given.boxes], "labels": [given.labels]}
    return _predicted(models, [image], [0.0], **options)


def predict_video(models: Mapping[str, Model], video: Path, every: float) -> list[Shot]:
    """The scene graphs of a frame every ``every`` seconds, at most `MAX_FRAMES`.

    Raises:
        SpeaqError: the video cannot be read.
    """
    frames = list(islice(read_frames(video, every=every), MAX_FRAMES))
    return _predicted(models, [frame.image for frame in frames], [frame.time for frame in frames])


def _predicted(
    models: Mapping[str, Model], images: list[Image.Image], times: list[float], **options: Any
) -> list[Shot]:
    graphs = [[graph for _, graph in model.predict_each(images, **options)] for model in models.values()]
    return [
        Shot(image, time, dict(zip(models, found, strict=True)))
        for image, time, *found in zip(images, times, *graphs, strict=True)
    ]


def filtered(
    graph: SceneGraph, *, score: float, top: int, objects: Sequence[str] = (), predicates: Sequence[str] = ()
) -> SceneGraph:
    """The relations to show; classes that the model of the graph does not have match nothing."""
    assert graph.vocabulary is not None
    chosen = {
        kind: [name for name in names if name in getattr(graph.vocabulary, kind)]
        for kind, names in (("objects", objects), ("predicates", predicates))
        if names
    }
    return graph.filter(score=score, top=top, **chosen)


def shot_html(shot: Shot, **filters: object) -> str:
    """The predictions side by side; ``filters`` are those of `filtered`."""
    picture = data_url(shot.image, PHOTO_SIZE)
    views = []
    for name, graph in shot.graphs.items():
        shown = filtered(graph, **filters)  # pyright: ignore[reportArgumentType]
        note = f"{len(shown)} of {len(graph)} relations"
        views.append(view_html(shown, picture, title=name if len(shot.graphs) > 1 else "", note=note))
    return f'<div class="sg-views">{"".join(views)}</div>'


def write_files(shot: Shot, folder: Path, **filters: object) -> list[Path]:
    """Write what is shown as JSON, GraphML and SVG for each model, and return the paths.

    Raises:
        SpeaqError: a file cannot be written.
    """
    paths = []
    for number, graph in enumerate(shot.graphs.values(), start=1):
        shown = filtered(graph, **filters)  # pyright: ignore[reportArgumentType]
        stem = folder / (f"graph_{number}" if len(shot.graphs) > 1 else "graph")
        json, graphml, svg = (stem.with_suffix(suffix) for suffix in (".json", ".graphml", ".svg"))
        shown.to_json(json)
        shown.to_graphml(graphml)
        shown.draw(svg, image=shot.image, top=len(shown))
        paths += [json, graphml, svg]
    return paths


def classes(models: Sequence[Model]) -> tuple[list[str], list[str]]:
    """The names of the object classes and predicates of all models, sorted."""
    objects = {name for model in models for name in model.vocabulary.objects}
    predicates = {name for model in models for name in model.vocabulary.predicates}
    return sorted(objects), sorted(predicates)
