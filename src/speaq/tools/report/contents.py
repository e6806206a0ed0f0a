"""What an evaluation report is made from.

I: images, K: depths k, R: predicate classes, P: predicate queries, L: decoder layers, S: logged steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from speaq.evaluation.analysis import Analysis
from speaq.evaluation.predictions import Predictions
from speaq.evaluation.scoring import Truth, annotation_at, places
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_TELLING_RELATIONS = 3, 12  # fewer say little about a model, more cannot be told apart in a picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An image to show.

    Attributes:
        image_id: of the image.
        truth: ground truth; knows its image file.
        prediction: of the same image.
        recalls: (K,) recall of the image with graph constraint.
    """

    image_id: int | str
    truth: SceneGraph
    prediction: SceneGraph
    recalls: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSet:
    """The evaluation of one data set.

    Attributes:
        name: of the data set, such as VG_test.
        vocabulary: class names.
        results: what the metrics compute, see ``speaq.evaluation.report``.
        analysis: of the same predictions.
        predicate_counts: (R,) training relations per predicate, where known; orders the predicates.
        best: images with the highest recall.
        worst: images with the lowest.
        facts: what to say about this data set beside the numbers of images, by name.
    """

    name: str
    vocabulary: Vocabulary
    results: Mapping[str, Any]
    analysis: Analysis
    predicate_counts: Sequence[int] | np.ndarray | None = None
    best: Sequence[Example] = ()
    worst: Sequence[Example] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentHistory:
    """How many queries answered for a relation in the course of training.

    Attributes:
        iterations: (S,).
        copies: (L, S) mean number of queries per relation, by decoder layer.
    """

    iterations: np.ndarray
    copies: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything on the page.

    Attributes:
        title: of the page.
        facts: about the model and the evaluation, by name, such as {"Backbone": "ResNet-101"}.
        sets: the data sets that were evaluated, at least one.
        group_of_query: P groups of the predicate queries, from 0; empty where queries are not grouped.
        group_of_predicate: R groups; empty where queries are not grouped.
        assignment: of training, where known.
    """

    title: str
    facts: Mapping[str, str]
    sets: Sequence[EvaluatedSet]
    group_of_query: Sequence[int] = ()
    group_of_predicate: Sequence[int] = ()
    assignment: AssignmentHistory | None = None


def choose_examples(
    analysis: Analysis, predictions: Predictions, truth: Truth, *, count: int = 4
) -> tuple[list[Example], list[Example]]:
    """The images that went best and worst, by recall at the largest k.

    Images of 3 to 12 relations come first, as a picture can show these; of equal recalls those with more
    relations.

    Args:
        analysis: of the predictions.
        predictions: of a data set.
        truth: of the same images.
        count: how many of each; no image is in both lists.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images, or the file is damaged.
    """
    recalls = analysis.image_recalls()[0]
    relations = np.bincount(analysis.images, minlength=len(analysis.image_ids))
    low, high = _TELLING_RELATIONS
    telling = (relations >= low) & (relations <= high)
    usable = np.flatnonzero(relations)
    best = usable[np.lexsort((-relations[usable], -recalls[-1, usable], ~telling[usable]))]
    worst = usable[np.lexsort((-relations[usable], recalls[-1, usable], ~telling[usable]))]
    count = min(count, len(usable) // 2)
    place = places(predictions, truth)

    def example(index: int) -> Example:
        annotation = annotation_at(truth, place[analysis.image_ids[index]])
        return Example(
            image_id=annotation.image_id,
            truth=SceneGraph.from_annotation(annotation, predictions.vocabulary),
            prediction=predictions[index],
            recalls=tuple(recalls[:, index].tolist()),
        )

    return [example(index) for index in best[:count].tolist()], [example(i) for i in worst[:count].tolist()]
