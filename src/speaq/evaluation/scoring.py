"""Predictions and the ground truth of the same images, found by the ids of the images."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from torchmetrics import Metric

from speaq.data.visual_genome import VisualGenome
from speaq.errors import SpeaqError
from speaq.evaluation.predictions import Predictions
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

Truth = VisualGenome | Sequence[Annotation]
"""The ground truth of a data set: the images of a split, or a list of annotations."""

_BATCH = 64


def score(predictions: Predictions, truth: Truth, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Figures from saved predictions, as an evaluation of the model gives them.

    They are equal to the last bit where the evaluation had the images in the same order and batches of 64;
    otherwise sums of floats are added up in another order, and may differ by 1e-15.

    Args:
        predictions: of a data set.
        truth: of the same images, in any order.
        metrics: fresh ones, such as ``SceneGraphMetrics`` and ``DetectionAP``.

    Returns:
        What the metrics compute, in one dictionary.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images, or the file is damaged.
    """
    pairs = paired(predictions, truth)
    while batch := list(islice(pairs, _BATCH)):
        graphs, annotations = zip(*batch, strict=True)
        for metric in metrics:
            metric.update(graphs, annotations)
    results: dict[str, Any] = {}
    for metric in metrics:
        results |= metric.compute()
    return results


def paired(predictions: Predictions, truth: Truth) -> Iterator[tuple[SceneGraph, Annotation]]:
    """The graphs of all images, in the order of the predictions, each with its annotation.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images.
    """
    place = places(predictions, truth)
    for graph, image_id in zip(predictions, predictions.image_ids, strict=True):
        yield graph, annotation_at(truth, place[image_id])


def places(predictions: Predictions, truth: Truth) -> Mapping[int | str, int]:
    """Where in the ground truth each image is, by its id.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images.
    """
    if isinstance(truth, VisualGenome):
        image_ids = truth.image_ids
    else:
        image_ids = [annotation.image_id for annotation in truth]
    check_images(image_ids, predictions.image_ids, str(predictions.path))
    return {image_id: index for index, image_id in enumerate(image_ids)}


def annotation_at(truth: Truth, index: int) -> Annotation:
    """The annotation of an image."""
    return truth.annotation(index) if isinstance(truth, VisualGenome) else truth[index]


def check_images(expected: Sequence[int | str], found: Sequence[int | str], what: str) -> None:
    """See that ids are the same ones, in whatever order.

    Args:
        expected: of the data set.
        found: of the predictions.
        what: has been predicted, for the message.

    Raises:
        SpeaqError: images are missing, too many, or there twice.
    """
    missing, extra = set(expected) - set(found), set(found) - set(expected)
    difference = None
    if missing:
        difference = f"lacks {len(missing)} of the {len(expected)} images, such as {min(missing, key=str)}"
    elif extra:
        difference = f"has {len(extra)} images that the data set lacks, such as {min(extra, key=str)}"
    elif len(found) != len(expected):
        difference = f"has {len(found)} predictions for {len(expected)} images"
    if difference:
        raise SpeaqError(f"{what} {difference}; predictions and ground truth must be of the same images")
