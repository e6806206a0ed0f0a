"""Images in, scene graphs out.

B: images of a batch, H, W: their size as the network sees them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from speaq.inference.images import ImageSource, is_one_image, iterate_sources, read_image
from speaq.inference.postprocess import PostProcessor
from speaq.scene_graph import SceneGraph
from speaq.structures import RawOutput, Vocabulary

BATCHES_AHEAD = 8
"""How many batches' worth of images may wait for others of their size before they go without."""


class Network(Protocol):
    """What is asked of a model; :class:`speaq.model.speaq.Speaq` is one.

    Its ``config`` has min_size, max_size and nms_threshold, for the options that are not given.
    """

    training: bool
    config: Any

    @property
    def vocabulary(self) -> Vocabulary:
        """Class names for the graphs."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        ...

    def __call__(self, images: Tensor, sizes: Tensor) -> RawOutput:
        """The output for uint8 images (B, 3, H, W) without padding, and their sizes (B, 2) on the CPU."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch to training mode, or to evaluation mode."""
        ...


Process = Callable[[RawOutput, Tensor], list[SceneGraph]]


@dataclass(slots=True)
class _Item:
    """An image on its way.

    Attributes:
        index: its place in the order.
        source: as it was given.
        image: what its graph remembers: the file, or the picture where there is no file.
        size: height and width of the picture in pixels.
        pixels: (3, H, W) uint8, resized.
    """

    index: int
    source: ImageSource
    image: Path | Image.Image
    size: tuple[int, int]
    pixels: Tensor


def predict(
    model: Network,
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int = 8,
    postprocess: Process | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
) -> SceneGraph | list[SceneGraph]:
    """The scene graph of an image, or those of several images in their order.

    Args:
        model: the trained network.
        images: a path, the bytes of a file, a picture, an array (H, W, C) or a tensor (C, H, W); a folder; or
            any iterable of those.
        batch_size: images that go through the network at once. Only images of equal resized size share a
            batch, so the result does not depend on it.
        postprocess: makes graphs of the network's output; by default a ``PostProcessor`` with the model's
            NMS threshold.
        min_size: the shortest edge becomes so many pixels; by default the model's.
        max_size: the longest edge becomes at most so many pixels; by default the model's.
        device: where the images are sent; by default where the model is.

    Returns:
        One graph for one image, a list for a folder or several images.

    Raises:
        SpeaqError: an image cannot be read.
    """
    pairs = predict_each(
        model,
        images,
        batch_size=batch_size,
        postprocess=postprocess,
        min_size=min_size,
        max_size=max_size,
        device=device,
    )
    graphs = [graph for _, graph in pairs]
    return graphs[0] if is_one_image(images) else graphs


def predict_each(
    model: Network,
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int = 8,
    postprocess: Process | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
) -> Iterator[tuple[Any, SceneGraph]]:
    """Like ``predict``, but one by one: reads images as they are needed, however many there are.

    At most ``BATCHES_AHEAD`` batches of images are in memory.

    Yields:
        Each image as it was given (those of a folder as paths) and its graph, in order.
    """
    shortest: int = model.config.min_size if min_size is None else min_size
    longest: int = model.config.max_size if max_size is None else max_size
    if postprocess is None:
        postprocess = PostProcessor(nms_threshold=model.config.nms_threshold)
    device = model.device if device is None else device

    waiting: dict[torch.Size, list[_Item]] = {}  # by size in pixels
    done: dict[int, tuple[ImageSource, SceneGraph]] = {}
    following = 0  # index of the image whose graph is given next
    for index, source in enumerate(iterate_sources(images)):
        item = _prepare(index, source, shortest, longest)
        size = item.pixels.shape
        waiting.setdefault(size, []).append(item)
        if len(waiting[size]) == batch_size:
            done |= _run(model, waiting.pop(size), postprocess, device)
        if following not in done and index - following >= BATCHES_AHEAD * batch_size:
            # Everything waits for the image that comes next: let it go without company.
            size = next(size for size, items in waiting.items() if items[0].index == following)
            done |= _run(model, waiting.pop(size), postprocess, device)
        while following in done:
            yield done.pop(following)
            following += 1
    for items in waiting.values():
        done |= _run(model, items, postprocess, device)
    for index in sorted(done):
        yield done[index]


def _prepare(index: int, source: ImageSource, min_size: int, max_size: int) -> _Item:
    """Read and resize one image, as at evaluation."""
    from speaq.data.transforms import resize_shortest_edge

    picture = read_image(source)
    height, width = resize_shortest_edge(picture.height, picture.width, min_size, max_size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return _Item(
        index=index,
        source=source,
        image=Path(source) if isinstance(source, str | Path) else picture,
        size=(picture.height, picture.width),
        pixels=torch.from_numpy(np.array(resized)).permute(2, 0, 1),
    )


def _run(
    model: Network, items: list[_Item], postprocess: Process, device: torch.device | str
) -> dict[int, tuple[ImageSource, SceneGraph]]:
    """Predict images of one size; images and graphs by index."""
    images = torch.stack([item.pixels for item in items]).to(device)
    sizes = torch.tensor([images.shape[-2:]] * len(items))
    with _evaluating(model), torch.inference_mode():
        graphs = postprocess(model(images, sizes), torch.tensor([item.size for item in items]))
    for item, graph in zip(items, graphs, strict=True):
        graph.image = item.image
        graph.vocabulary = model.vocabulary
    return {item.index: (item.source, graph) for item, graph in zip(items, graphs, strict=True)}


@contextmanager
def _evaluating(model: Network) -> Iterator[None]:
    """Evaluation mode for a while, for instance in the middle of a training."""
    training = model.training
    model.train(False)
    try:
        yield
    finally:
        model.train(training)
