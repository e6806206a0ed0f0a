"""Read and resize images for the network, without torch.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from speaq.data.transforms import resize_image
from speaq.errors import SpeaqError
from speaq.images import ImageSource, iterate_sources, read_image

OnUnreadable = Callable[[ImageSource, SpeaqError], None]
"""Called with an image that cannot be read, and the error."""


@dataclass(frozen=True, slots=True, eq=False)
class InputImage:
    """An image that is ready for the network.

    Attributes:
        source: the image as the caller gave it.
        image: the image for the scene graph: its path, or the RGB image where there is no file.
        size: height and width of the original image in pixels.
        pixels: (3, H, W) uint8 RGB, resized.
    """

    source: ImageSource
    image: Path | Image.Image
    size: tuple[int, int]
    pixels: np.ndarray


def load_images(
    images: ImageSource | Iterable[ImageSource],
    min_size: int,
    max_size: int,
    on_unreadable: OnUnreadable | None = None,
) -> Iterator[InputImage]:
    """Read images one by one, and resize them as at evaluation.

    Args:
        images: see `speaq.images.iterate_sources`.
        min_size: length of the shortest edge in pixels.
        max_size: limit of the longest edge in pixels.
        on_unreadable: called for each image that cannot be read, which is then skipped.

    Raises:
        SpeaqError: an image cannot be read, and there is no ``on_unreadable``.
    """
    for source in iterate_sources(images):
        try:
            image = read_image(source)
        except SpeaqError as error:
            if on_unreadable is None:
                raise
            on_unreadable(source, error)
            continue
        yield InputImage(
            source=source,
            image=Path(source) if isinstance(source, str | Path) else image,
            size=(image.height, image.width),
            pixels=np.array(resize_image(image, min_size, max_size)).transpose(2, 0, 1),
        )
