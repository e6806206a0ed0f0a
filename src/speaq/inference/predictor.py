"""Predict scene graphs of images with a trained network.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from speaq.devices import find_device
from speaq.errors import SpeaqError
from speaq.images import ImageSource, is_one_image
from speaq.inference.postprocess import PostProcessor
from speaq.inference.preprocess import InputImage, OnUnreadable, load_images
from speaq.scene_graph import SceneGraph
from speaq.structures import RawOutput

if TYPE_CHECKING:
    from speaq.model.speaq import SpeaqModel

BATCHES_AHEAD = 8
"""Maximum number of batches of images read ahead to fill a batch with images of one size."""

Precision = Literal["float32", "bfloat16"]
PostProcess = Callable[[RawOutput, Tensor], list[SceneGraph]]


def predict(
    model: "SpeaqModel",
    images: ImageSource | Iterable[ImageSource],
    *,
    score: float = 0.0,
    top: int | None = None,
    batch_size: int = 8,
    postprocess: PostProcess | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
) -> SceneGraph | list[SceneGraph]:
    """Predict the scene graph of an image, or of each of several images: `speaq.pretrained.Speaq.predict`."""
    pairs = predict_each(
        model,
        images,
        batch_size=batch_size,
        postprocess=postprocess,
        min_size=min_size,
        max_size=max_size,
        device=device,
        dtype=dtype,
    )
    graphs = [graph for _, graph in pairs]
    if score > 0 or top is not None:
        graphs = [graph.filter(score=score, top=top) for graph in graphs]
    return graphs[0] if is_one_image(images) else graphs


def predict_each(
    model: "SpeaqModel",
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int = 8,
    postprocess: PostProcess | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[tuple[Any, SceneGraph]]:
    """Like `predict`, but as an iterator that reads images when needed, for any number of images.

    The options are those of `predict`, and ``on_unreadable`` of `load_images`. At most ``BATCHES_AHEAD``
    batches of images are in memory.

    Yields:
        Each image as it was given (those of a folder as paths) and its graph, in order.

    Raises:
        SpeaqError: see `speaq.pretrained.Speaq.predict`.
    """
    if batch_size < 1 or dtype not in ("float32", "bfloat16"):
        raise SpeaqError(
            f"batch_size {batch_size}, dtype {dtype}: expected batch_size >= 1 and dtype float32 or bfloat16"
        )
    config = model.config
    postprocess = postprocess or PostProcessor(nms_threshold=config.nms_threshold)
    if device is not None:
        model.to(find_device(device) if isinstance(device, str) else device)
    items = load_images(
        images,
        config.min_size if min_size is None else min_size,
        config.max_size if max_size is None else max_size,
        on_unreadable,
    )
    done: dict[int, tuple[ImageSource, SceneGraph]] = {}  # by position in the order
    position = 0  # of the next graph to yield
    for batch in _batches_by_size(items, batch_size):
        graphs = _predict_batch(model, [item for _, item in batch], postprocess, dtype)
        for (index, item), graph in zip(batch, graphs, strict=True):
            done[index] = item.source, graph
        while position in done:
            yield done.pop(position)
            position += 1


def _batches_by_size(items: Iterable[InputImage], batch_size: int) -> Iterator[list[tuple[int, InputImage]]]:
    """Batches of images of one size, each with its position.

    A batch is not full at the end, or if its first image has waited for ``BATCHES_AHEAD`` batches of others.
    """
    waiting: dict[
        tuple[int, ...], list[tuple[int, InputImage]]
    ] = {}  # by shape, in the order of first images
    for index, item in enumerate(items):
        shape = item.pixels.shape
        waiting.setdefault(shape, []).append((index, item))
        if len(waiting[shape]) == batch_size:
            yield waiting.pop(shape)
        oldest = next(iter(waiting), None)
        if oldest and index - waiting[oldest][0][0] >= BATCHES_AHEAD * batch_size:
            yield waiting.pop(oldest)
    yield from waiting.values()


def _predict_batch(
    model: "SpeaqModel", batch: list[InputImage], postprocess: PostProcess, dtype: Precision
) -> list[SceneGraph]:
    """The scene graphs of images of one size."""
    images = torch.from_numpy(np.stack([item.pixels for item in batch]))
    height, width = images.shape[-2:]
    sizes = torch.tensor([(height, width)] * len(batch))
    autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16")
    try:
        with _evaluation_mode(model), torch.inference_mode(), autocast:
            output = model(images.to(model.device), sizes)
        graphs = postprocess(output, torch.tensor([item.size for item in batch]))
    except torch.OutOfMemoryError as error:
        raise SpeaqError(
            f"{model.device}: its memory is too small for {len(batch)} images of {width}x{height} at once; "
            "use a smaller batch size or another device"
        ) from error
    for item, graph in zip(batch, graphs, strict=True):
        graph.image, graph.vocabulary = item.image, model.vocabulary
    return graphs


@contextmanager
def _evaluation_mode(model: "SpeaqModel") -> Iterator[None]:
    """Evaluation mode inside the block, and the former mode after it."""
    training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(training)
