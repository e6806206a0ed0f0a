"""Saved predictions paired with the ground truth of the same images, and the metrics computed from them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from torchmetrics import Metric

from speaq.data.visual_genome import VisualGenome
from speaq.evaluation.formats.loaded import LoadedPredictions
from speaq.evaluation.prediction_format import check_image_ids
from speaq.evaluation.predictions import Predictions
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation

_BATCH = 64


class PredictedImages:
    """Pairs of a saved prediction and its annotation, in the order of the predictions.

    Args:
        predictions: predictions on a data set.
        ground_truth: the images of a split, or annotations, in any order.
        transform: applied to each prediction.

    Raises:
        SpeaqError: predictions and ground truth are not of the same images.
    """

    def __init__(
        self,
        predictions: Predictions | LoadedPredictions,
        ground_truth: VisualGenome | Sequence[Annotation],
        *,
        transform: Callable[[SceneGraph], SceneGraph] | None = None,
    ):
        self.predictions, self._transform = predictions, transform
        if isinstance(ground_truth, VisualGenome):
            image_ids, self._read = ground_truth.image_ids, ground_truth.annotation
        else:
            image_ids = [annotation.image_id for annotation in ground_truth]
            self._read = ground_truth.__getitem__
        check_image_ids(image_ids, predictions.image_ids, str(predictions.path))
        self._indices = {image_id: index for index, image_id in enumerate(image_ids)}

    def annotation(self, index: int) -> Annotation:
        """The ground truth of a prediction."""
        return self._read(self._indices[self.predictions.image_ids[index]])

    def prediction(self, index: int) -> SceneGraph:
        """The prediction for an image."""
        graph = self.predictions[index]
        return graph if self._transform is None else self._transform(graph)

    def __iter__(self) -> Iterator[tuple[SceneGraph, Annotation]]:
        for index, graph in enumerate(self.predictions):
            yield graph if self._transform is None else self._transform(graph), self.annotation(index)


def score(pairs: Iterable[tuple[SceneGraph, Annotation]], metrics: Sequence[Metric]) -> dict[str, Any]:
    """Compute new ``metrics`` from predictions and ground truth, merged in one dictionary.

    Values are bit-identical with those of an evaluation of the model if it had the images in the same order
    and in batches of 64; otherwise the order of floating-point sums differs, by about 1e-15.
    """
    images = iter(pairs)
    while batch := list(islice(images, _BATCH)):
        graphs, annotations = zip(*batch, strict=True)
        for metric in metrics:
            metric.update(graphs, annotations)
    results: dict[str, Any] = {}
    for metric in metrics:
        results |= metric.compute()
    return results
