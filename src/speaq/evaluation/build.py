"""The data sets, results and metrics of an evaluation, from its configuration."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torchmetrics import Metric

from speaq.config import Config
from speaq.data.build import TrainingStatistics
from speaq.data.dataset import EvaluationDataset
from speaq.data.selection import EmptySplitError
from speaq.data.sources import load_sources, places
from speaq.errors import SpeaqError
from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.long_tail import (
    LongTail,
    long_tail_groups,
    read_long_tail,
    split_by_counts,
    split_by_rank,
)
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.zero_shot import load_zero_shot_triplets
from speaq.structures import Vocabulary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EvaluationSets:
    """Data sets, each evaluated once, and named results, to which the images of a data set contribute.

    A name of DATASETS.TEST has one data set and one result. A mix such as MULTI_val has one of each for every
    source (MULTI_val_real, MULTI_val_synthetic), and one more result (MULTI_val) for all of them, even if
    only one source has images for it.

    Attributes:
        datasets: the data sets.
        names: names of the results, those of a mix's sources before that of the mix.
        results_of_dataset: for each data set, the indices of the results that it contributes to.
        vocabulary: the classes of all data sets; None if there is no data set.
    """

    datasets: tuple[EvaluationDataset, ...]
    names: tuple[str, ...]
    results_of_dataset: tuple[tuple[int, ...], ...]
    vocabulary: Vocabulary | None

    @property
    def dataset_names(self) -> list[str]:
        """The names of the data sets, those of the results that each contributes to alone."""
        return [self.names[results[0]] for results in self.results_of_dataset]


def load_evaluation_sets(config: Config, vocabulary: Vocabulary | None) -> EvaluationSets:
    """Load the data sets of DATASETS.TEST, which must have the classes of ``vocabulary``, if known.

    Raises:
        SpeaqError: a data set cannot be read, or has other classes.
    """
    datasets: list[EvaluationDataset] = []
    names: list[str] = []
    results: list[tuple[int, ...]] = []
    for name in dict.fromkeys(config.datasets.test):
        try:
            sources = load_sources(config, name)
        except EmptySplitError:
            if not _has_no_validation(config, name):
                raise
            logger.warning("%s has no images (NUMBER_OF_VALIDATION_IMAGES 0): it is not evaluated", name)
            continue
        differences = (vocabulary or sources[0].dataset.vocabulary).differences(sources[0].dataset.vocabulary)
        if differences:
            raise SpeaqError(
                f"{name}: expected the classes of the model and of the other data sets, found differences: "
                f"{'; '.join(differences)}. Use the same MAPPING_DICTIONARY."
            )
        vocabulary = sources[0].dataset.vocabulary
        first = len(names)
        mixed = name.startswith("MULTI_")
        alone = [f"{name}_{source.name}" for source in sources] if mixed else [name]
        together = [first + len(sources)] if mixed else []
        names += alone + [name] * len(together)
        for position, source in enumerate(sources, first):
            datasets.append(EvaluationDataset(source.dataset, config.input))
            results.append((position, *together))
    return EvaluationSets(tuple(datasets), tuple(names), tuple(results), vocabulary)


def _has_no_validation(config: Config, name: str) -> bool:
    """Whether the configuration sets no images aside for the validation set of this name."""
    sections = [place.section for place in places(config.datasets, name).values()]
    return name.endswith("_val") and all(section.number_of_validation_images == 0 for section in sections)


def build_metrics(
    config: Config,
    vocabulary: Vocabulary,
    predicate_counts: Sequence[int] | np.ndarray | None,
    statistics: TrainingStatistics | None,
    *,
    distinct: bool = False,
) -> tuple[SceneGraphMetrics, *tuple[Metric, ...]]:
    """Build the metrics for a data set.

    Zero-shot triplets are read from MODEL.ROI_SCENEGRAPH_HEAD.ZERO_SHOT_TRIPLETS. If that has its default and
    there is no such file, they are those that are absent from the ``statistics`` of the training data, if
    known. ``predicate_counts`` (R,), training relations per predicate, are for head, body and tail. With
    ``distinct`` each relation is ranked once without graph constraint, whatever TEST.RELATION.DISTINCT says.

    Raises:
        SpeaqError: the file of zero-shot triplets, or of head, body and tail, is configured but cannot be
            read.
    """
    num_objects, num_predicates = len(vocabulary.objects), len(vocabulary.predicates)
    head = config.model.roi_scenegraph_head
    path, zero_shot, seen = Path(head.zero_shot_triplets), None, None
    if path.is_file() or head.zero_shot_triplets not in ("", type(head)().zero_shot_triplets):
        zero_shot = load_zero_shot_triplets(path, num_objects, num_predicates)
    elif statistics is not None:
        seen = statistics.triplets
    recalls = SceneGraphMetrics(
        num_predicates=num_predicates,
        iou_threshold=config.test.relation.iou_threshold,
        zero_shot_triplets=zero_shot,
        seen_triplets=seen,
        long_tail=_build_long_tail(config, vocabulary, predicate_counts),
        mode=config.test.mode,
        distinct=distinct or config.test.relation.distinct or config.test.num_rel > 1,
        convention=config.test.convention,
    )
    boxes = DetectionAP(num_objects=num_objects, convention=recalls.convention)
    if not config.test.metrics:
        return recalls, boxes
    additional = AdditionalMetrics(
        config.test.metrics,
        num_predicates=num_predicates,
        ks=recalls.ks,
        iou_threshold=recalls.iou_threshold,
        mode=recalls.mode,
        distinct=recalls.distinct,
        convention=recalls.convention,
    )
    return recalls, boxes, additional


def _build_long_tail(
    config: Config, vocabulary: Vocabulary, predicate_counts: Sequence[int] | np.ndarray | None
) -> LongTail | None:
    """Head, body and tail as TEST.LONG_TAIL defines them; None if that needs counts that are not known."""
    settings = config.test.long_tail
    if settings.split == "file":
        return read_long_tail(settings.file, vocabulary.predicates)
    if predicate_counts is None:
        return None
    counts = np.asarray(predicate_counts)
    if settings.split == "counts":
        head, body = settings.counts
        return split_by_counts(counts, head=head, body=body)
    if settings.split == "published":
        return split_by_rank(counts)
    return LongTail("thirds", long_tail_groups(counts))
