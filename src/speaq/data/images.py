"""Reading image files upright and in RGB, in training and inference alike."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from speaq.errors import SpeaqError

_BROKEN = (OSError, SyntaxError, ValueError, EOFError)  # what Pillow may raise


def read_image(file: Path | bytes) -> Image.Image:
    """The image, RGB, as `to_rgb` makes it.

    Args:
        file: its path, or its content.

    Raises:
        SpeaqError: the file cannot be read.
    """
    with _opened(file) as image:
        return to_rgb(image)


def read_image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header of its file.

    Raises:
        SpeaqError: the file cannot be read.
    """
    with _opened(path) as image:
        width, height = image.size
        lies_on_its_side = _orientation(image) >= 5
    return (height, width) if lies_on_its_side else (width, height)


def to_rgb(image: Image.Image) -> Image.Image:
    """The picture in RGB: turned upright as its EXIF orientation says, transparency put on white."""
    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits per pixel: Pillow would cut everything above 255 to white
        values = np.asarray(image, np.float64)
        values = values * (255 / 65535 if values.max() > 255 else 1)
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _opened(file: Path | bytes) -> Iterator[Image.Image]:
    name = f"image of {len(file)} bytes" if isinstance(file, bytes) else str(file)
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise SpeaqError(
            f"{name}: the image cannot be read: it is too large to be safe ({error}); make it smaller, or "
            "allow more with --max-pixels on the command line, PIL.Image.MAX_IMAGE_PIXELS in Python"
        ) from error
    except _BROKEN as error:
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "not an image of a known format" if unknown else error
        raise SpeaqError(f"{name}: the image cannot be read ({reason}); replace the file") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the file does not say, or only says nonsense."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, KeyError):
        return 1
