"""Read the boxes between which relations are predicted from a file."""

import json
from collections import Counter
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from speaq.errors import SpeaqError
from speaq.files import regular
from speaq.graph.schema import FORMAT
from speaq.scene_graph import SceneGraph

_EXPECTED = (
    'expected {"image.jpg": [{"box": [x1, y1, x2, y2], "label": "cup"}, ...], ...}, or scene graphs of '
    "speaq predict"
)


class ListedBoxes(NamedTuple):
    """Boxes of an image as a file has them, and for each the name or number of its class, or None."""

    boxes: list[Any]
    labels: list[Any]


class BoxesFile:
    """The boxes of images by file name.

    Either a JSON object with a list for each image, of objects with ``box``, x1, y1, x2 and y2 in pixels of
    the original image, and optionally ``label``, the class; or a scene graph of `SceneGraph.to_json`, or
    several as lines of a .jsonl file, of which the entities are used.

    Raises:
        SpeaqError: the file cannot be read, or has other content.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = regular(path).read_text(encoding="utf-8-sig")
            documents = text.split("\n") if path.suffix.lower() == ".jsonl" else [text]
            contents = [
                json.loads(document, object_pairs_hook=_unique) if document.strip() else None
                for document in documents
            ]
        except (OSError, ValueError, RecursionError) as error:
            raise SpeaqError(f"{path}: cannot read these boxes ({error}); {_EXPECTED}") from error
        self._images: dict[str, ListedBoxes] = {}
        for number, content in enumerate(contents, start=1):
            place = f"{path}, line {number}" if len(contents) > 1 else str(path)
            if content is None and len(contents) > 1:  # an empty line
                continue
            if not isinstance(content, dict):
                raise SpeaqError(f"{place}: {_EXPECTED}; found {json.dumps(content)[:40]}")
            if content.get("format") == FORMAT:
                images = self._of_graph(json.dumps(content), place)
            else:
                images = {name: self._listed(name, records) for name, records in content.items()}
            for name in images.keys() & self._images.keys():
                raise SpeaqError(f"{place}: expected each image once, found {name!r} again")
            self._images |= images

    def _of_graph(self, text: str, place: str) -> dict[str, ListedBoxes]:
        try:
            graph = SceneGraph.from_json(text)
        except SpeaqError as error:
            raise SpeaqError(f"{place}: {str(error).removeprefix('this JSON text: ')}") from None
        if not isinstance(graph.image, PurePath):
            raise SpeaqError(f"{place}: expected scene graphs that name their image, found one without")
        labels = graph.labels.tolist()
        if graph.vocabulary is not None:
            labels = [graph.vocabulary.objects[label] for label in labels]
        return {graph.image.as_posix(): ListedBoxes(graph.boxes.tolist(), labels)}

    def _listed(self, name: str, records: Any) -> ListedBoxes:
        if not isinstance(records, list):
            raise SpeaqError(f"{self.path}: {name}: {_EXPECTED}; found {json.dumps(records)[:40]}")
        for index, record in enumerate(records):
            if not isinstance(record, dict) or not {"box"} <= record.keys() <= {"box", "label"}:
                found = ", ".join(record) if isinstance(record, dict) else json.dumps(record)[:40]
                raise SpeaqError(
                    f"{self.path}: {name}[{index}]: expected an object with box and optionally label, found "
                    f"{found}"
                )
        boxes, labels = [each["box"] for each in records], [each.get("label") for each in records]
        return ListedBoxes(boxes, labels)

    def of(self, image: Path) -> ListedBoxes:
        """The boxes of an image: of its path, or of the longest end of its path that the file names.

        Raises:
            SpeaqError: the file does not name the image.
        """
        parts = image.parts
        for first in range(len(parts)):
            found = self._images.get(PurePath(*parts[first:]).as_posix())
            if found is not None:
                return found
        raise SpeaqError(
            f"{self.path}: no boxes for {image}; expected an entry {image.name!r}, empty if it has none"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, without repeated keys."""
    counts = Counter(name for name, _ in pairs)
    if len(counts) < len(pairs):
        raise ValueError(f"{counts.most_common(1)[0][0]!r} is named more than once")
    return dict(pairs)
