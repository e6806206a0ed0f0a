"""Reading image files upright and in RGB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import ExifTags, Image, ImageOps

from speaq.errors import SpeaqError


def read_image(path: Path) -> Image.Image:
    """The image, RGB, turned upright as its EXIF orientation says.

    Raises:
        SpeaqError: the file cannot be read.
    """
    with _opened(path) as image:
        if _orientation(image) != 1:
            ImageOps.exif_transpose(image, in_place=True)
        return image.convert("RGB")


def read_image_size(path: Path) -> tuple[int, int]:
    """Width and height of the upright image, from the header of its file.

    Raises:
        SpeaqError: the file cannot be read.
    """
    with _opened(path) as image:
        width, height = image.size
        lies_on_its_side = _orientation(image) >= 5
    return (height, width) if lies_on_its_side else (width, height)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SpeaqError(f"{path}: the image cannot be read ({error}). Replace the file.") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the file does not say, or only says nonsense."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, KeyError):
        return 1
