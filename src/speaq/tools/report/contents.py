"""The inputs of an evaluation report.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from speaq.evaluation.adjustment import Curve
from speaq.evaluation.analysis import Analysis
from speaq.evaluation.comparison import Comparison
from speaq.evaluation.ground_truth import PredictedImages
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_MIN_RELATIONS, _MAX_RELATIONS = 3, 12  # of examples, so that the image is informative and readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Ground truth, with its image file, and prediction of an image, and its recall at each k."""

    image_id: int | str
    truth: SceneGraph
    prediction: SceneGraph
    recalls: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSet:
    """The evaluation of one data set.

    Attributes:
        name: name of the data set, such as VG_test.
        vocabulary: class names.
        curve: recalls by the strength of a change by training statistics, if there was one.
        results: values of the metrics, see `speaq.evaluation.results`.
        analysis: analysis of the same predictions.
        predicate_counts: (R,) training relations per predicate, if known; the order of the predicates.
        variants: recalls at each k of other definitions, by their description.
        best, worst: images with the highest and with the lowest recall.
    """

    name: str
    vocabulary: Vocabulary
    results: Mapping[str, Any]
    analysis: Analysis
    predicate_counts: Sequence[int] | np.ndarray | None = None
    variants: Mapping[str, Sequence[float]] = field(default_factory=dict)
    curve: Curve | None = None
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The content of the page.

    Attributes:
        title: title of the page.
        facts: about the model and the evaluation, by name, such as {"Backbone": "ResNet-101"}.
        sets: the data sets that were evaluated, at least one.
        comparison: the recalls of the models, if the sets are predictions of several on one data set.
        group_of_query: P groups of the predicate queries, from 0; empty if queries are not grouped.
        group_of_predicate: R groups; empty if queries are not grouped.
        assignment: mean number of queries per relation during training, if known; rows are iterations,
            columns decoder layers.
    """

    title: str
    facts: Mapping[str, str]
    sets: Sequence[EvaluatedSet]
    comparison: Comparison | None = None
    group_of_query: Sequence[int] = ()
    group_of_predicate: Sequence[int] = ()
    assignment: pd.DataFrame | None = None


def choose_examples(
    analysis: Analysis, images: PredictedImages, *, count: int = 4
) -> tuple[list[Example], list[Example]]:
    """The images with the best and the worst recall at the largest k, ``count`` each; no image is in both.

    Images with 3 to 12 relations are preferred; ties are in the order of the number of relations, most first.

    Raises:
        SpeaqError: the file of the predictions is damaged.
    """
    recalls = analysis.image_recalls()[0]
    relations = np.bincount(analysis.images, minlength=len(analysis.image_ids))
    preferred = (relations >= _MIN_RELATIONS) & (relations <= _MAX_RELATIONS)
    usable = np.flatnonzero(relations)
    count = min(count, len(usable) // 2)

    def examples(order: np.ndarray) -> list[Example]:
        chosen = usable[np.lexsort((-relations[usable], order[usable], ~preferred[usable]))][:count]
        return [
            Example(
                image_id=analysis.image_ids[index],
                truth=SceneGraph.from_annotation(images.annotation(index), images.predictions.vocabulary),
                prediction=images.prediction(index),
                recalls=tuple(recalls[:, index].tolist()),
            )
            for index in chosen.tolist()
        ]

    return examples(-recalls[-1]), examples(recalls[-1])
