"""Read and resize images for the network, without torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from speaq.data.transforms import resize_image
from speaq.images import ImageSource, read_image


@dataclass(frozen=True, slots=True, eq=False)
class InputImage:
    """An image that is ready for the network.

    Attributes:
        source: the image as the caller gave it.
        image: what the scene graph refers to: the path, or the RGB image where there is no file.
        size: height and width of the original image in pixels.
        pixels: (3, H, W) uint8 RGB, resized.
    """

    source: ImageSource
    image: Path | Image.Image
    size: tuple[int, int]
    pixels: np.ndarray


def load_image(source: ImageSource, min_size: int, max_size: int) -> InputImage:
    """Read an image and resize it as at evaluation.

    Args:
        source: the image, see `ImageSource`.
        min_size: length of the shortest edge in pixels.
        max_size: limit of the longest edge in pixels.

    Raises:
        SpeaqError: the image cannot be read.
    """
    image = read_image(source)
    return InputImage(
        source=source,
        image=Path(source) if isinstance(source, str | Path) else image,
        size=(image.height, image.width),
        pixels=np.array(resize_image(image, min_size, max_size)).transpose(2, 0, 1),
    )
