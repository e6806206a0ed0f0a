"""The plain format of this project: one image per line of JSON (docs/dataset_jsonl.md)."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.structures import Vocabulary
from speaq.tools.convert.annotated import SPLITS, AnnotatedSet, annotated_set
from speaq.tools.convert.entries import four_numbers, split_of
from speaq.tools.convert.output import round_boxes

_FORMAT = "speaq-dataset"
_VERSION = 1


def recognises(source: Path) -> bool:
    """Whether this is such a file, or a folder of them."""
    return bool(_paths(source))


def read(source: Path) -> AnnotatedSet:
    """Read a file, or all ``*.jsonl`` of a folder.

    Raises:
        SpeaqError: there is none, or a line has not this layout.
    """
    paths = _paths(source)
    if not paths:
        raise SpeaqError(f"{source}: expected files *.jsonl, found none.")
    found = _Lines()
    for path in paths:
        for number, line in _lines(path):
            if found.take_heading(path, number, line):
                continue
            default = split_of(path, alone=len(paths) == 1) if "split" not in line else 0
            try:
                found.take(line, default)
            except (KeyError, TypeError, ValueError, IndexError) as error:
                raise SpeaqError(f"{path}: line {number}: {_reason(error)}") from None
    return found.finish(source)


def write(data: AnnotatedSet, out: Path) -> list[Path]:
    """Write ``annotations.jsonl``, with a heading of the class names. Boxes have four decimals.

    Raises:
        SpeaqError: the file cannot be written.
    """
    path = out / "annotations.jsonl"
    objects, predicates = data.vocabulary.objects, data.vocabulary.predicates
    boxes, offsets, labels = round_boxes(data.boxes), data.box_offsets.tolist(), data.labels.tolist()
    relations, relation_offsets = data.local_relations.tolist(), data.relation_offsets.tolist()
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        heading = {"format": _FORMAT, "version": _VERSION, "objects": objects, "predicates": predicates}
        file.write(json.dumps(heading, ensure_ascii=False) + "\n")
        for row, (height, width) in enumerate(data.sizes.tolist()):
            own = range(offsets[row], offsets[row + 1])
            line = {
                "image": data.files[row],
                "id": data.ids[row],
                "width": width,
                "height": height,
                "split": SPLITS[data.splits[row]],
                "objects": [{"name": objects[labels[box]], "box": boxes[box]} for box in own],
                "relations": [
                    [s, predicates[p], o]
                    for s, o, p in relations[relation_offsets[row] : relation_offsets[row + 1]]
                ],
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [path]


class _Lines:
    """What the lines say, in columns."""

    def __init__(self) -> None:
        self.heading: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self.ids: list[Any] = []
        self.files: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.splits: list[int] = []
        self.box_images: list[int] = []
        self.boxes: list[list[float]] = []
        self.labels: list[int] = []
        self.relations: list[tuple[int, int, int]] = []
        self.objects: dict[str, int] = {}
        self.predicates: dict[str, int] = {}

    def take_heading(self, path: Path, number: int, line: dict[str, Any]) -> bool:
        """Read the line if it is a heading."""
        if line.get("format") != _FORMAT:
            return False
        names = line.get("objects"), line.get("predicates")
        if line.get("version") != _VERSION or not all(
            isinstance(kind, list)
            and all(isinstance(name, str) for name in kind)
            and len(set(kind)) == len(kind)
            for kind in names
        ):
            raise SpeaqError(
                f"{path}: line {number}: expected version {_VERSION} and lists of different names "
                f"'objects' and 'predicates'; found version {line.get('version')!r}."
            )
        heading = tuple(names[0] or ()), tuple(names[1] or ())
        if self.heading not in (None, heading):
            raise SpeaqError(f"{path}: line {number}: the classes differ from those of an earlier heading.")
        self.heading = heading
        return True

    def take(self, line: dict[str, Any], default_split: int) -> None:
        """Add the line of an image.

        Raises:
            KeyError, TypeError, ValueError, IndexError: what is wrong with it.
        """
        name, first = line["image"], len(self.boxes)
        if not isinstance(name, str) or not name:
            raise TypeError("expected the name of a file in 'image'")
        split = line.get("split", SPLITS[default_split])
        if split not in SPLITS:
            raise ValueError(f"expected train, val or test in 'split', found {split!r}")
        size = line["height"], line["width"]
        if not all(type(side) is int for side in size):
            raise TypeError(f"expected whole numbers for 'width' and 'height', found {size[1]} and {size[0]}")
        boxes = [item["box"] for item in line["objects"]]
        if four_numbers(boxes) is None:
            bad = next(box for box in boxes if four_numbers([box]) is None)
            raise ValueError(f"expected [x1, y1, x2, y2] in 'box', found {bad}")
        self.boxes += boxes
        self.box_images += [len(self.ids)] * len(boxes)
        self.labels += [_number(self.objects, item["name"]) for item in line["objects"]]
        for subject, predicate, other in line.get("relations", ()):
            if not all(type(box) is int and 0 <= box < len(boxes) for box in (subject, other)):
                raise IndexError(
                    f"expected [subject, predicate, object] with objects 0 to {len(boxes) - 1}, found "
                    f"{[subject, predicate, other]}"
                )
            self.relations.append((first + subject, first + other, _number(self.predicates, predicate)))
        self.ids.append(line.get("id", PurePosixPath(name).with_suffix("").as_posix()))
        self.files.append(name)
        self.sizes.append(size)
        self.splits.append(default_split if "split" not in line else SPLITS.index(split))

    def finish(self, source: Path) -> AnnotatedSet:
        """The set, with the classes of the heading, else those that occur in the order of the alphabet."""
        objects, predicates = self.heading or (tuple(sorted(self.objects)), tuple(sorted(self.predicates)))
        labels = _places(source, "object", self.objects, objects)[self.labels]
        relations = np.array(self.relations, dtype=np.int64).reshape(-1, 3)
        relations[:, 2] = _places(source, "predicate", self.predicates, predicates)[relations[:, 2]]
        return annotated_set(
            source,
            vocabulary=Vocabulary(objects, predicates),
            ids=self.ids,
            files=self.files,
            sizes=np.array(self.sizes, dtype=np.int64).reshape(-1, 2),
            splits=np.array(self.splits, dtype=np.int32),
            box_images=np.array(self.box_images, dtype=np.int64),
            boxes=np.array(self.boxes, dtype=np.float64).reshape(-1, 4),
            labels=labels,
            relations=relations,
        )


def _paths(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.glob("*.jsonl"))
    return [source] if source.suffix == ".jsonl" else []


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file and their line numbers; empty lines are passed over."""
    try:
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                line = json.loads(text)
                if not isinstance(line, dict):
                    raise SpeaqError(
                        f"{path}: line {number}: expected a JSON object, found {type(line).__name__}."
                    )
                yield number, line
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}).") from error
    except ValueError as error:  # not JSON, or not UTF-8
        raise SpeaqError(f"{path}: expected one JSON object per line ({error}).") from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"'{error.args[0]}' is missing."
    return f"{error}."


def _number(numbers: dict[str, int], name: Any) -> int:
    """The number of a class; a new name gets the next one."""
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a class, found {name!r}")
    return numbers.setdefault(name, len(numbers))


def _places(source: Path, what: str, numbers: dict[str, int], names: tuple[str, ...]) -> np.ndarray:
    """The place of each number's class in ``names``."""
    places = {name: place for place, name in enumerate(names)}
    unknown = next((name for name in numbers if name not in places), None)
    if unknown is not None:
        raise SpeaqError(f"{source}: the {what} {unknown!r} is not among those of the heading.")
    return np.array([places[name] for name in numbers], dtype=np.int64)
