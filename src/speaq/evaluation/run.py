"""The evaluation of a model over a data set, outside the training engine."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from speaq.scene_graph import SceneGraph
from speaq.structures import Batch, RawOutput


def evaluate(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    postprocess: Callable[[RawOutput, Tensor], list[SceneGraph]],
    metrics: Sequence[Metric],
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Predict every image and measure the predictions.

    Args:
        model: called as ``model(images, sizes)`` with (B, 3, H, W) and (B, 2), where its parameters are. It
            is in evaluation mode meanwhile, and returns to the mode that it was in.
        loader: the batches; should yield every image once.
        postprocess: turns the output and the original sizes, (B, 2) int64 height and width, into B graphs.
        metrics: each is reset, then updated with graphs and annotations.
        progress: called with the number of images of each batch that is done.

    Returns:
        The results of all metrics, in one dictionary.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    for metric in metrics:
        metric.reset()
    try:
        for batch in loader:
            batch = batch.to(device, non_blocking=True)
            sizes = torch.tensor([(annotation.height, annotation.width) for annotation in batch.annotations])
            with torch.inference_mode():
                graphs = postprocess(model(batch.images, batch.sizes), sizes)
            for metric in metrics:
                metric.update(graphs, batch.annotations)
            if progress is not None:
                progress(len(graphs))
    finally:
        model.train(training)
    return {name: value for metric in metrics for name, value in metric.compute().items()}
