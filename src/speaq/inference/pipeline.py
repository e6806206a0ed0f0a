"""The steps of a prediction around the network, without torch: read, resize, batch, restore the order.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from PIL import Image

from speaq.data.transforms import resize_image
from speaq.errors import SpeaqError
from speaq.images import ImageSource, iterate_sources, read_image
from speaq.inference.given_boxes import GivenBoxes
from speaq.scene_graph import SceneGraph

BATCHES_AHEAD = 8
"""Maximum number of batches of images read ahead to fill a batch with images of one size."""

Precision = Literal["float32", "bfloat16"]

OnUnreadable = Callable[[ImageSource, SpeaqError], None]
"""Called with an image that cannot be read, and the error."""

PredictBatch = Callable[
    [np.ndarray, Sequence[tuple[int, int]], Sequence[GivenBoxes] | None], list[SceneGraph]
]
"""From resized images (B, 3, H, W) uint8 RGB, the original heights and widths, and given boxes, if any, to
scene graphs."""


class Predictor(Protocol):
    """What predicts scene graphs: a `speaq.pretrained.Speaq` or a `speaq.export.OnnxPredictor`."""

    def predict_each(
        self,
        images: ImageSource | Iterable[ImageSource],
        *,
        boxes: Any = ...,
        labels: Any = ...,
        batch_size: int = ...,
        dtype: Precision = ...,
        on_unreadable: OnUnreadable | None = ...,
    ) -> Iterator[tuple[Any, SceneGraph]]:
        """Each image as it was given and its graph; the options are those of ``predict``."""
        ...


class _InputImage(NamedTuple):
    position: int  # among the images that can be read
    source: ImageSource
    image: Path | Image.Image  # for the scene graph: the RGB image only where there is no file
    size: tuple[int, int]  # original height and width in pixels
    pixels: np.ndarray  # (3, H, W) uint8 RGB, resized
    given: GivenBoxes | None


def predict_images(
    predict_batch: PredictBatch,
    images: ImageSource | Iterable[ImageSource],
    *,
    min_size: int,
    max_size: int,
    given: Sequence[GivenBoxes] | None = None,
    batch_size: int = 1,
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[tuple[ImageSource, SceneGraph]]:
    """Predict the scene graphs of any number of images, which are read when needed.

    Images are resized as at evaluation, and share a batch with images of equal size. At most
    ``BATCHES_AHEAD`` batches of images are in memory. An image that cannot be read is skipped after a call of
    ``on_unreadable``. ``given`` are the boxes of each image, if the entities are to be given boxes.

    Yields:
        Each image as it was given (those of a folder as paths) and its graph, in order.

    Raises:
        SpeaqError: an image cannot be read, and there is no ``on_unreadable``; a given box is outside its
            image, or there are not as many images as entries of ``given``; a number is not positive.
    """
    for name, value in (("batch_size", batch_size), ("min_size", min_size), ("max_size", max_size)):
        if not (isinstance(value, int | np.integer) and 0 < value < 2**31):
            raise SpeaqError(f"{name}: expected a whole number from 1 to 2147483647, found {str(value)[:20]}")
    done: dict[int, tuple[ImageSource, SceneGraph]] = {}  # by position
    position = 0  # of the next graph to yield
    for batch in _batches_by_size(_load(images, min_size, max_size, given, on_unreadable), batch_size):
        boxes = [item.given for item in batch if item.given is not None] if given is not None else None
        graphs = predict_batch(
            np.stack([item.pixels for item in batch]), [item.size for item in batch], boxes
        )
        for item, graph in zip(batch, graphs, strict=True):
            graph.image = item.image
            done[item.position] = item.source, graph
        while position in done:
            yield done.pop(position)
            position += 1


def _load(
    images: ImageSource | Iterable[ImageSource],
    min_size: int,
    max_size: int,
    given: Sequence[GivenBoxes] | None,
    on_unreadable: OnUnreadable | None,
) -> Iterator[_InputImage]:
    position = number = 0
    for number, source in enumerate(iterate_sources(images), start=1):
        if given is not None and number > len(given):
            raise SpeaqError(f"boxes: expected an entry for each image, found {len(given)} for more images")
        try:
            image = read_image(source)
        except SpeaqError as error:
            if on_unreadable is None:
                raise
            on_unreadable(source, error)
            continue
        size, boxes = (image.height, image.width), None
        if given is not None:
            boxes = given[number - 1]
            boxes.check_inside(size, str(source) if isinstance(source, str | Path) else f"image {number - 1}")
        yield _InputImage(
            position=position,
            source=source,
            image=Path(source) if isinstance(source, str | Path) else image,
            size=size,
            pixels=np.array(resize_image(image, min_size, max_size)).transpose(2, 0, 1),
            given=boxes,
        )
        position += 1
    if given is not None and number < len(given):
        raise SpeaqError(f"boxes: expected an entry for each image, found {len(given)} for {number} images")


def _batches_by_size(items: Iterable[_InputImage], batch_size: int) -> Iterator[list[_InputImage]]:
    """Batches of images of one size.

    A batch is not full at the end, or if its first image has waited for ``BATCHES_AHEAD`` batches of others.
    """
    waiting: dict[tuple[int, ...], list[_InputImage]] = {}  # by shape, in the order of the first images
    for item in items:
        shape = item.pixels.shape
        waiting.setdefault(shape, []).append(item)
        if len(waiting[shape]) == batch_size:
            yield waiting.pop(shape)
        oldest = next(iter(waiting), None)
        if oldest and item.position - waiting[oldest][0].position >= BATCHES_AHEAD * batch_size:
            yield waiting.pop(oldest)
    yield from waiting.values()
