"""Images in, scene graphs out.

B: images of a batch, H, W: their size as the network sees them.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from speaq.devices import find_device
from speaq.errors import SpeaqError
from speaq.images import ImageSource, is_one_image, iterate_sources, read_image
from speaq.inference.postprocess import PostProcessor
from speaq.scene_graph import SceneGraph
from speaq.structures import RawOutput, Vocabulary

BATCHES_AHEAD = 8
"""How many batches' worth of images may wait for others of their size before they go without."""


class Network(Protocol):
    """What is asked of a model; :class:`speaq.pretrained.Speaq` is one.

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

    def to(self, device: torch.device) -> Any:
        """Move the parameters."""
        ...


Process = Callable[[RawOutput, Tensor], list[SceneGraph]]
Precision = Literal["float32", "bfloat16"]


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
    score: float = 0.0,
    top: int | None = None,
    batch_size: int = 8,
    postprocess: Process | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
) -> SceneGraph | list[SceneGraph]:
    """The scene graph of an image, or those of several images in their order.

    Args:
        model: the trained network.
        images: a path, the bytes of a file, a picture, an array (H, W, C) or a tensor (C, H, W); a folder, a
            pattern such as "photos/*.jpg", an array or a tensor of several images; or any iterable of those.
        score: the least triplet score; where it or ``top`` is given, entities without a relation go too.
        top: at most so many relations of each image, the best ones.
        batch_size: images that go through the network at once. Only images of equal resized size share a
            batch, so the result does not depend on it.
        postprocess: makes graphs of the network's output; by default a ``PostProcessor`` with the model's
            NMS threshold.
        min_size: the shortest edge becomes so many pixels; by default the model's.
        max_size: the longest edge becomes at most so many pixels; by default the model's.
        device: where to compute, such as "cuda"; the model moves there and stays. By default where it is.
        dtype: "bfloat16" is faster on a GPU and a little less exact.

    Returns:
        One graph for one image, a list for a folder or several images.

    Raises:
        SpeaqError: an image cannot be read, there is no such device, or its memory is too small.
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
    postprocess: Process | None = None,
    min_size: int | None = None,
    max_size: int | None = None,
    device: torch.device | str | None = None,
    dtype: Precision = "float32",
    on_unreadable: Callable[[ImageSource, SpeaqError], None] | None = None,
) -> Iterator[tuple[Any, SceneGraph]]:
    """Like ``predict``, but one by one: reads images as they are needed, however many there are.

    At most ``BATCHES_AHEAD`` batches of images are in memory. ``on_unreadable`` is told of each image that
    cannot be read, which is then left out; by default the first one ends the iteration with its error.

    Yields:
        Each image as it was given (those of a folder as paths) and its graph, in order.
    """
    if batch_size < 1 or dtype not in ("float32", "bfloat16"):
        raise SpeaqError(
            f"batch_size {batch_size}, dtype {dtype}: expected at least 1, and float32 or bfloat16"
        )
    shortest: int = model.config.min_size if min_size is None else min_size
    longest: int = model.config.max_size if max_size is None else max_size
    if postprocess is None:
        postprocess = PostProcessor(nms_threshold=model.config.nms_threshold)
    if device is not None:
        model.to(find_device(device) if isinstance(device, str) else device)

    waiting: dict[torch.Size, list[_Item]] = {}  # by size in pixels
    done: dict[int, tuple[ImageSource, SceneGraph]] = {}
    following = 0  # index of the image whose graph is given next
    index = -1  # of the image that was read last
    for source in iterate_sources(images):
        try:
            item = _prepare(index + 1, source, shortest, longest)
        except SpeaqError as error:
            if on_unreadable is None:
                raise
            on_unreadable(source, error)
            continue
        index = item.index
        size = item.pixels.shape
        waiting.setdefault(size, []).append(item)
        if len(waiting[size]) == batch_size:
            done |= _run(model, waiting.pop(size), postprocess, dtype)
        if following not in done and index - following >= BATCHES_AHEAD * batch_size:
            # Everything waits for the image that comes next: let it go without company.
            size = next(size for size, items in waiting.items() if items[0].index == following)
            done |= _run(model, waiting.pop(size), postprocess, dtype)
        while following in done:
            yield done.pop(following)
            following += 1
    for items in waiting.values():
        done |= _run(model, items, postprocess, dtype)
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
    model: Network, items: list[_Item], postprocess: Process, dtype: Precision
) -> dict[int, tuple[ImageSource, SceneGraph]]:
    """Predict images of one size; images and graphs by index."""
    images = torch.stack([item.pixels for item in items])
    sizes = torch.tensor([images.shape[-2:]] * len(items))
    lower = torch.autocast(model.device.type, torch.bfloat16, enabled=dtype == "bfloat16")
    try:
        with _evaluating(model), torch.inference_mode(), lower:
            output = model(images.to(model.device), sizes)
        graphs = postprocess(output, torch.tensor([item.size for item in items]))
    except torch.OutOfMemoryError as error:
        height, width = images.shape[-2:]
        raise SpeaqError(
            f"{model.device}: its memory is too small for {len(items)} images of {width}x{height} at once; "
            "use a smaller batch size or another device"
        ) from error
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
