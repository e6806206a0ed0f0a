"""The images of all sources and splits of a configuration, to search, sort and compare with predictions.

Annotations are kept as the flat arrays of `VisualGenome`; image files are read only when they are shown.
Shape letters: see `speaq.structures`, with N and M counted over a split; I: images of a split or of all.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from speaq.data.findings import Finding
from speaq.data.selection import SPLITS, EmptySplitError, Split
from speaq.data.sources import build_dataset
from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.formats.loaded import LoadedPredictions
from speaq.evaluation.formats.read import is_saved_by_evaluation, read_predictions
from speaq.evaluation.formats.target import Target
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.recall import hits_at, image_hits
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.tools.app.search import Condition, parse_query
from speaq.tools.data_check.check import check_dataset
from speaq.tools.data_check.sources import Source, find_sources

DEPTH = 100
"""Relations of a prediction that count for the recall of an image, as in R@100."""
_EXAMPLES = 1000  # of each finding
_NAMES = {"VISUAL_GENOME": "real", "SYNTHETIC_GENOME": "synthetic", "VISUAL_GENOME_SYNTHETIC": "synthetic"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """One split of a source, whose images are numbered from ``start``."""

    source: str
    split: Split
    dataset: VisualGenome
    start: int

    @property
    def name(self) -> str:
        """Such as "real train"."""
        return f"{self.source} {self.split}"

    @cached_property
    def ids(self) -> list[int | str]:
        """The ids of the I images."""
        return self.dataset.image_ids

    @cached_property
    def relation_images(self) -> np.ndarray:
        """(M,) int32, the image of each relation."""
        return _owners(self.dataset.relation_offsets)

    @cached_property
    def relation_labels(self) -> np.ndarray:
        """(M, 2) int32, the classes of subject and object of each relation."""
        first = self.dataset.box_offsets[self.relation_images]
        return self.dataset.labels[self.dataset.relations[:, :2] + first[:, None]]

    def having(self, condition: Condition) -> np.ndarray:
        """Which images (I,) bool meet a condition."""
        found = np.zeros(len(self.dataset), bool)
        if condition.predicate is None:
            assert condition.object is not None
            found[_owners(self.dataset.box_offsets)[condition.object[self.dataset.labels]]] = True
            return found
        rows = condition.predicate[self.dataset.relations[:, 2]]
        for column, classes in enumerate((condition.subject, condition.object)):
            if classes is not None:
                rows &= classes[self.relation_labels[:, column]]
        found[self.relation_images[rows]] = True
        return found


class Compared:
    """A file of predictions for images of the index; ``rows`` (I,) are their positions in it, -1 for none."""

    def __init__(
        self, name: str, predictions: Predictions | LoadedPredictions, parts: Sequence[Part]
    ) -> None:
        self.name, self._predictions, self._parts = name, predictions, parts
        found = zip(predictions.sources, predictions.image_ids, strict=True)
        positions = {key: position for position, key in enumerate(found)}
        self.rows = np.array(
            [positions.get((part.source, image_id), -1) for part in parts for image_id in part.ids], np.int32
        )

    def graph(self, image: int) -> SceneGraph | None:
        """The prediction for an image, None without one."""
        return self._predictions[int(self.rows[image])] if self.rows[image] >= 0 else None

    @cached_property
    def recalls(self) -> np.ndarray:
        """(I,) float64 in 0..1, the recall of each image, R@100; NaN without prediction or relations."""
        recalls = np.full(len(self.rows), np.nan)
        for part in self._parts:
            for index in range(len(part.dataset)):
                graph = self.graph(part.start + index)
                if graph is not None:
                    annotation = part.dataset.annotation(index)
                    hits = hits_at(image_hits(graph, annotation, depth=DEPTH).ranks[0], [DEPTH])
                    recalls[part.start + index] = hits.mean() if hits.size else np.nan
        return recalls


class DataIndex:
    """All images of the sources of a data set, numbered from 0.

    Args:
        data: a configuration, or the folder of a data set.
        predictions: files as ``speaq evaluate --predictions`` reads them.

    Attributes:
        parts: the splits of each source that have images.
        vocabulary: the class names.
        compared: the predictions.

    Raises:
        SpeaqError: a file cannot be read, sources differ in their classes, or predictions do not fit.
    """

    def __init__(self, data: Path, predictions: Sequence[Path] = ()) -> None:
        self._sources = find_sources([str(data)], None, {}) if data.is_dir() else find_sources([], data, {})
        self.parts: list[Part] = []
        for source in self._sources:
            for split in SPLITS:
                if dataset := _load(source, split):
                    self.parts.append(Part(_NAMES.get(source.name, source.name), split, dataset, len(self)))
        if not self.parts:
            raise SpeaqError(f"{data}: no image of the data set has a box")
        self.vocabulary: Vocabulary = self.parts[0].dataset.vocabulary
        for part in self.parts:
            self._check(self.vocabulary.differences(part.dataset.vocabulary), part.name, self.parts[0].name)
        names = [file.name for file in predictions]
        names = names if len(set(names)) == len(names) else [str(file) for file in predictions]
        self.compared = [self._compare(name, file) for name, file in zip(names, predictions, strict=True)]

    def __len__(self) -> int:
        """The number of images."""
        return self.parts[-1].start + len(self.parts[-1].dataset) if self.parts else 0

    def search(
        self,
        text: str = "",
        *,
        parts: Sequence[str] = (),
        finding: str = "",
        worst: str = "",
    ) -> np.ndarray:
        """The images that meet all conditions, in their order.

        Args:
            text: see `parse_query`.
            parts: names of the parts to search; by default all.
            finding: code of a finding of the data checker.
            worst: name of predictions: only images that they are for, those with the lowest recall first.

        Raises:
            SpeaqError: the text has names that do not exist.
        """
        conditions, masks = parse_query(text, self.vocabulary), []
        for part in self.parts:
            chosen = np.full(len(part.dataset), not parts or part.name in parts)
            for condition in conditions if chosen.any() else ():
                chosen &= part.having(condition)
            masks.append(chosen)
        found = np.concatenate(masks)
        if finding:
            found &= np.isin(np.arange(len(self)), self.findings[finding])
        images = np.flatnonzero(found)
        if worst:
            recalls = next(each for each in self.compared if each.name == worst).recalls[images]
            images = images[np.argsort(recalls, kind="stable")][: np.count_nonzero(~np.isnan(recalls))]
        return images

    def part(self, image: int) -> tuple[Part, int]:
        """The part of an image and its position there."""
        part = next(part for part in reversed(self.parts) if part.start <= image)
        return part, image - part.start

    def truth(self, image: int) -> SceneGraph:
        """The ground truth of an image.

        Raises:
            SpeaqError: its file is missing or damaged.
        """
        part, index = self.part(image)
        return SceneGraph.from_annotation(part.dataset.annotation(index), self.vocabulary)

    @cached_property
    def _checked(self) -> list[tuple[str, Finding]]:
        """What the data checker finds, with the source of each finding; it takes a while."""
        return [
            (_NAMES.get(source.name, source.name), finding)
            for source in self._sources
            for finding in check_dataset(source, limit=_EXAMPLES).findings
        ]

    @cached_property
    def findings(self) -> dict[str, np.ndarray]:
        """The images of each kind of finding, by its code; kinds without an image are left out."""
        numbers = {
            (part.source, image_id): part.start + i
            for part in self.parts
            for i, image_id in enumerate(part.ids)
        }
        found: dict[str, list[int]] = {}
        for source, finding in self._checked:
            images = [numbers[source, image] for image in finding.images if (source, image) in numbers]
            if images:
                found.setdefault(finding.code, []).extend(images)
        return {code: np.unique(images) for code, images in found.items()}

    def findings_of(self, image: int) -> list[str]:
        """Sentences about what the data checker found at an image."""
        part, index = self.part(image)
        sentences = []
        for source, finding in self._checked:
            if source == part.source and part.ids[index] in finding.images:
                cases = [str(case) for case in finding.examples if case.image == part.ids[index]]
                detail = f" ({'; '.join(cases[:3])})" if cases else ""
                sentences.append(f"{finding.severity}: {finding.what}{detail}")
        return sentences

    def _compare(self, name: str, file: Path) -> Compared:
        if is_saved_by_evaluation(file):
            opened = Predictions(file)
            self._check(self.vocabulary.differences(opened.vocabulary), str(file), "the data set")
        else:
            parts = [part for part in self.parts if part.split == "test"] or self.parts
            images = [part.dataset.annotation(i) for part in parts for i in range(len(part.dataset))]
            opened = read_predictions(file, Target("the data set", self.vocabulary, images))
        compared = Compared(name, opened, self.parts)
        if not (compared.rows >= 0).any():
            raise SpeaqError(f"{file}: expected predictions for the data set, found none of its ids")
        return compared

    @staticmethod
    def _check(differences: list[str], one: str, other: str) -> None:
        if differences:
            raise SpeaqError(f"{one}: expected the classes of {other}, found: {'; '.join(differences)}")


def _load(source: Source, split: Split) -> VisualGenome | None:
    """All images of a split, also those without relations; None if it has none."""
    everything = {"filter_empty_relations": False, "filter_non_overlap": False}
    try:
        return build_dataset(
            source.section.model_copy(update=everything),
            split,
            source=_NAMES.get(source.name, source.name),
            key=f"DATASETS.{source.name}",
            max_pixels=source.max_pixels,
        )
    except EmptySplitError:
        return None


def _owners(offsets: np.ndarray) -> np.ndarray:
    """The image (int32) of each row, from offsets (I + 1,)."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
