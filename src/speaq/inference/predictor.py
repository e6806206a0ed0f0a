"""Predict scene graphs of images with a trained network.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from speaq.devices import find_device
from speaq.errors import SpeaqError
from speaq.images import ImageSource, is_one_image, iterate_sources
from speaq.inference.postprocess import PostProcessor
from speaq.inference.preprocess import InputImage, load_image
from speaq.scene_graph import SceneGraph
from speaq.structures import RawOutput, Vocabulary

BATCHES_AHEAD = 8
"""Maximum number of batches of images read ahead to fill a batch with images of one size."""

Precision = Literal["float32", "bfloat16"]
PostProcess = Callable[[RawOutput, Tensor], list[SceneGraph]]


class Network(Protocol):
    """The part of a model that prediction needs; :class:`speaq.pretrained.Speaq` has it.

    ``config`` has min_size, max_size and nms_threshold, the defaults of the options of `predict`.
    """

    training: bool
    config: Any

    @property
    def vocabulary(self) -> Vocabulary:
        """Class names for the graphs."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of the parameters."""
        ...

    def __call__(self, images: Tensor, sizes: Tensor) -> RawOutput:
        """The output for uint8 images (B, 3, H, W) without padding, and their sizes (B, 2) on the CPU."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch to training mode, or to evaluation mode."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move the parameters."""
        ...


def predict(
    model: Network,
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
    """Predict the scene graph of an image, or of each of several images.

    Args:
        model: the trained network.
        images: a path, the bytes of a file, a PIL image, an array (H, W, C) or a tensor (C, H, W); a folder,
            a pattern such as "photos/*.jpg", an array or a tensor of several images; any iterable of those.
        score: minimum triplet score. If ``score`` or ``top`` is given, entities without a relation are
            dropped, too.
        top: maximum number of relations per image, best first; by default all.
        batch_size: images per forward pass. Only images of equal size after resizing share a batch, so the
            result does not depend on it.
        postprocess: builds the graphs from the network output; by default a ``PostProcessor`` with the NMS
            threshold of the model.
        min_size: length of the shortest edge in pixels after resizing; by default that of the model.
        max_size: limit of the longest edge in pixels after resizing; by default that of the model.
        device: device to compute on, such as "cuda"; the model is moved there and stays there. By default the
            current device of the model.
        dtype: "bfloat16" is faster on a GPU and slightly less accurate.

    Returns:
        One graph for one image; a list, in the order of the images, for everything else.

    Raises:
        SpeaqError: an image cannot be read, the device does not exist, or it is out of memory.
    """
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
    model: Network,
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int = 8,
    postprocess: PostProcess | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
    on_unreadable: Callable[[ImageSource, SpeaqError], None] | None = None,
) -> Iterator[tuple[Any, SceneGraph]]:
    """Like `predict`, but as an iterator that reads images when needed, for any number of images.

    The other arguments are those of `predict`. At most ``BATCHES_AHEAD`` batches of images are in memory.
    ``on_unreadable`` is called with each image that cannot be read and its error, and the image is skipped;
    by default the error is raised.

    Yields:
        Each image as it was given (those of a folder as paths) and its graph, in order.

    Raises:
        SpeaqError: see `predict`.
    """
    if batch_size < 1 or dtype not in ("float32", "bfloat16"):
        raise SpeaqError(
            f"batch_size {batch_size}, dtype {dtype}: expected batch_size >= 1 and dtype float32 or bfloat16"
        )
    shortest: int = model.config.min_size if min_size is None else min_size
    longest: int = model.config.max_size if max_size is None else max_size
    if postprocess is None:
        postprocess = PostProcessor(nms_threshold=model.config.nms_threshold)
    if device is not None:
        model.to(find_device(device) if isinstance(device, str) else device)

    waiting: dict[tuple[int, ...], dict[int, InputImage]] = {}  # by shape, then by position in the order
    done: dict[int, tuple[ImageSource, SceneGraph]] = {}
    position = 0  # of the next graph to yield

    def run(shape: tuple[int, ...]) -> None:
        batch = waiting.pop(shape)
        graphs = _predict_batch(model, list(batch.values()), postprocess, dtype)
        done.update(
            (index, (item.source, graph)) for (index, item), graph in zip(batch.items(), graphs, strict=True)
        )

    for index, item in enumerate(_load_images(images, shortest, longest, on_unreadable)):
        shape = item.pixels.shape
        waiting.setdefault(shape, {})[index] = item
        if len(waiting[shape]) == batch_size:
            run(shape)
        if position not in done and index - position >= BATCHES_AHEAD * batch_size:
            # The limit is reached: the image whose graph is next runs in a batch that is not full.
            run(next(shape for shape, batch in waiting.items() if position in batch))
        while position in done:
            yield done.pop(position)
            position += 1
    for shape in list(waiting):
        run(shape)
    for position in sorted(done):
        yield done[position]


def _load_images(
    images: ImageSource | Iterable[ImageSource],
    min_size: int,
    max_size: int,
    on_unreadable: Callable[[ImageSource, SpeaqError], None] | None,
) -> Iterator[InputImage]:
    """Read and resize images, without those that ``on_unreadable`` was called with."""
    for source in iterate_sources(images):
        try:
            item = load_image(source, min_size, max_size)
        except SpeaqError as error:
            if on_unreadable is None:
                raise
            on_unreadable(source, error)
            continue
        yield item


def _predict_batch(
    model: Network, batch: list[InputImage], postprocess: PostProcess, dtype: Precision
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
        graph.image = item.image
        graph.vocabulary = model.vocabulary
    return graphs


@contextmanager
def _evaluation_mode(model: Network) -> Iterator[None]:
    """Evaluation mode inside the block, and the former mode after it."""
    training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(training)
