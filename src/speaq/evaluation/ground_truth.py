"""Saved predictions paired with the ground truth of the same images, and the metrics computed from them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from torchmetrics import Metric

from speaq.data.visual_genome import VisualGenome
from speaq.evaluation.prediction_checks import check_image_ids
from speaq.evaluation.predictions import Predictions
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

GroundTruth = VisualGenome | Sequence[Annotation]
"""The ground truth of a data set: the images of a split, or a list of annotations."""

_BATCH = 64


def score_predictions(
    predictions: Predictions, ground_truth: GroundTruth, metrics: Sequence[Metric]
) -> dict[str, Any]:
    """Compute metrics from saved predictions, with the same values as an evaluation of the model.

    Values are bit-identical if the evaluation had the images in the same order and in batches of 64;
    otherwise the order of floating-point sums differs, by about 1e-15.

    Args:
        predictions: predictions on a data set.
        ground_truth: ground truth of the same images, in any order.
        metrics: new metrics, such as `SceneGraphMetrics` and `DetectionAP`.

    Returns:
        What the metrics compute, in one dictionary.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images, or the file is damaged.
    """
    pairs = pair_with_ground_truth(predictions, ground_truth)
    while batch := list(islice(pairs, _BATCH)):
        graphs, annotations = zip(*batch, strict=True)
        for metric in metrics:
            metric.update(graphs, annotations)
    results: dict[str, Any] = {}
    for metric in metrics:
        results |= metric.compute()
    return results


def pair_with_ground_truth(
    predictions: Predictions, ground_truth: GroundTruth
) -> Iterator[tuple[SceneGraph, Annotation]]:
    """The graphs of all images, in the order of the predictions, each with its annotation.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images, or the file is damaged.
    """
    annotation_of = annotation_lookup(predictions, ground_truth)
    for graph, image_id in zip(predictions, predictions.image_ids, strict=True):
        yield graph, annotation_of(image_id)


def annotation_lookup(
    predictions: Predictions, ground_truth: GroundTruth
) -> Callable[[int | str], Annotation]:
    """A function that returns the annotation of an image id.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images.
    """
    if isinstance(ground_truth, VisualGenome):
        image_ids, read = ground_truth.image_ids, ground_truth.annotation
    else:
        image_ids, read = [annotation.image_id for annotation in ground_truth], ground_truth.__getitem__
    check_image_ids(image_ids, predictions.image_ids, str(predictions.path))
    indices = {image_id: index for index, image_id in enumerate(image_ids)}
    return lambda image_id: read(indices[image_id])
