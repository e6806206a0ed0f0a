"""Predict scene graphs of images with a trained network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speaq.devices import find_device
from speaq.errors import SpeaqError
from speaq.images import ImageSource
from speaq.inference.given_boxes import GivenBoxes, check_given_boxes
from speaq.inference.pipeline import OnUnreadable, Precision, predict_images
from speaq.inference.postprocess import PostProcessor
from speaq.scene_graph import SceneGraph

if TYPE_CHECKING:
    from speaq.model.speaq import SpeaqModel

PostProcess = Callable[..., list[SceneGraph]]
"""From a `RawOutput`, the original sizes (B, 2), and given boxes (only if there are any) to scene graphs."""


def predict_each(
    model: "SpeaqModel",
    images: ImageSource | Iterable[ImageSource],
    *,
    boxes: Any = None,
    labels: Any = None,
    batch_size: int = 8,
    postprocess: PostProcess | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[tuple[Any, SceneGraph]]:
    """Predict the scene graphs of any number of images, which are read when needed.

    The options are those of `speaq.pretrained.Speaq.predict`; ``on_unreadable`` and what is yielded are those
    of `predict_images`.

    Raises:
        SpeaqError: see `speaq.pretrained.Speaq.predict`.
    """
    if dtype not in ("float32", "bfloat16"):
        raise SpeaqError(f"dtype: expected float32 or bfloat16, found {dtype!r}")
    config = model.config
    process = postprocess or PostProcessor(nms_threshold=config.nms_threshold)
    if device is not None:
        model.to(find_device(device) if isinstance(device, str) else device)

    def predict_batch(
        pixels: np.ndarray, sizes: Sequence[tuple[int, int]], given: Sequence[GivenBoxes] | None
    ) -> list[SceneGraph]:
        number, _, height, width = pixels.shape
        resized = torch.tensor([(height, width)] * number)
        autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16")
        try:
            with _evaluation_mode(model), torch.inference_mode(), autocast:
                output = model(torch.from_numpy(pixels).to(model.device), resized)
            graphs = process(output, torch.tensor(sizes), *([] if given is None else [given]))
        except torch.OutOfMemoryError as error:
            raise SpeaqError(
                f"{model.device}: its memory is too small for {number} images of {width}x{height} at once; "
                "use a smaller batch size or another device"
            ) from error
        for graph in graphs:
            graph.vocabulary = model.vocabulary
        return graphs

    return predict_images(
        predict_batch,
        images,
        min_size=config.min_size if min_size is None else min_size,
        max_size=config.max_size if max_size is None else max_size,
        given=check_given_boxes(images, boxes, labels, model.vocabulary),
        batch_size=batch_size,
        on_unreadable=on_unreadable,
    )


@contextmanager
def _evaluation_mode(model: "SpeaqModel") -> Iterator[None]:
    """Evaluation mode inside the block, and the former mode after it."""
    training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(training)
