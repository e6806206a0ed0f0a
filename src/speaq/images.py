"""Images in every form a user may have them in, as upright RGB pictures."""

import glob
import io
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, Union

import numpy as np
from PIL import ExifTags, Image, ImageOps

from speaq.errors import SpeaqError

if TYPE_CHECKING:
    import torch

ImageSource: TypeAlias = Union[str, Path, bytes, Image.Image, np.ndarray, "torch.Tensor"]
"""One image: a file, the bytes of a file, a picture, an array (height, width, channels) or a tensor
(channels, height, width); these hold RGB, RGBA or grey, as integers in 0..255 or floats in 0..1."""

_BROKEN = (OSError, SyntaxError, ValueError, EOFError)  # what Pillow may raise

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def is_one_image(images: ImageSource | Iterable[ImageSource]) -> bool:
    """Whether ``images`` is a single image rather than a folder, a pattern, a batch or several images."""
    if isinstance(images, str | Path):
        return not Path(images).is_dir() and not is_pattern(images)
    if isinstance(images, np.ndarray) or _is_tensor(images):
        return images.ndim != 4
    return isinstance(images, bytes | Image.Image)


def is_pattern(path: str | Path) -> bool:
    """Whether ``path`` is text that stands for all matching files, such as "photos/*.jpg" or "photos/**".

    A ``Path`` names one file, whatever letters are in its name.
    """
    return isinstance(path, str) and glob.has_magic(path) and not Path(path).exists()


def split_pattern(pattern: str) -> tuple[Path, str]:
    """The folder that a pattern begins with, and what follows it."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def image_files(place: str | Path) -> list[Path]:
    """The image files of a folder and of the folders in it, or those that match a pattern, by name.

    Hidden files and folders are left out; links to folders are not followed.

    Raises:
        SpeaqError: there is none.
    """
    if isinstance(place, str) and is_pattern(place):
        root, rest = split_pattern(place)
        where = "no image matches this pattern"
        try:
            matches = [match for match in root.glob(rest) if not _is_hidden(match, root)]
        except ValueError as error:
            raise SpeaqError(f"{place}: not a pattern of files ({error})") from error
        files = {file for match in matches for file in (_below(match) if match.is_dir() else [match])}
    else:
        files, where = set(_below(Path(place))), "no image in this folder"
    found = sorted(file for file in files if file.suffix.lower() in SUFFIXES)
    if not found:
        raise SpeaqError(f"{place}: {where}; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not _is_hidden(path, folder) and not path.is_dir())


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def iterate_sources(images: ImageSource | Iterable[ImageSource]) -> Iterator[ImageSource]:
    """The single images of a source, one by one, none of them opened yet.

    Args:
        images: an image; a folder (its image files by name, those in its folders too); a pattern such as
            "photos/*.jpg"; an array or a tensor of several images (B, ...); or any iterable of those.

    Raises:
        SpeaqError: a folder holds no image, or nothing matches a pattern.
    """
    if isinstance(images, str | Path) and not is_one_image(images):
        yield from image_files(images)
    elif (isinstance(images, np.ndarray) or _is_tensor(images)) and images.ndim == 4:
        yield from images
    elif isinstance(images, str | Path | bytes | Image.Image | np.ndarray) or _is_tensor(images):
        yield images
    elif isinstance(images, Iterable):
        for image in images:
            yield from iterate_sources(image)
    else:
        raise SpeaqError(
            f"expected an image (path, bytes, picture, array or tensor), a folder or a list of those, "
            f"found {type(images).__name__}"
        )


@contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Images of up to so many pixels are read inside the block, whatever Pillow takes for a bomb.

    Pillow's own limit is 178,956,970 pixels. A picture needs 4 bytes per pixel.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels // 2  # Pillow warns of more, and refuses more than twice as many
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_image(source: ImageSource) -> Image.Image:
    """The picture in RGB: turned upright as its EXIF orientation says, transparency put on white.

    Args:
        source: see ``ImageSource``.

    Raises:
        SpeaqError: the file is missing, damaged or no image, or the array has a shape or values that no
            image has.
    """
    if isinstance(source, Image.Image):
        return _from_picture(source)
    if _is_tensor(source):
        array = source.detach().cpu()
        array = array.float() if array.is_floating_point() else array  # NumPy has no bfloat16
        return _from_array(
            array.movedim(0, -1).numpy() if array.ndim == 3 else array.numpy(), "tensor (C, H, W)"
        )
    if isinstance(source, np.ndarray):
        return _from_array(source, "array (H, W, C)")
    if isinstance(source, bytes):
        return read_image_file(source)
    source = Path(source)  # pyright: ignore[reportArgumentType]  # it is no tensor, which a guard cannot say
    if not source.is_file():
        raise SpeaqError(f"{source}: there is no such image file")
    return read_image_file(source)


def _is_tensor(image: object) -> TypeGuard["torch.Tensor"]:
    """Whether it is a tensor, which it can only be where torch has been imported: nothing here needs it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _from_picture(picture: Image.Image) -> Image.Image:
    try:
        return to_rgb(picture)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reads a file when its pixels are wanted
        name = getattr(picture, "filename", "") or "a picture"
        raise SpeaqError(f"{name}: the image cannot be read ({error}); replace the file") from error


def _from_array(array: np.ndarray, kind: str) -> Image.Image:
    """The picture of an array (H, W) or (H, W, C) with 1, 3 or 4 channels."""
    found = f"found shape {tuple(array.shape)}, {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise SpeaqError(f"expected one image as {kind} with 1, 3 or 4 channels, {found} with channels last")
    if array.dtype.kind not in "uif":
        raise SpeaqError(f"expected an image of integers in 0..255 or floats in 0..1, {found}")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (low > -1e-3 and high < 1 + 1e-3):  # NaN fails too; resizing leaves values a little beyond 1
            raise SpeaqError(f"expected image values in 0..1 for {array.dtype}, found {low:g} to {high:g}")
        array = (array * 255).round().clip(0, 255)
    elif low < 0 or high > 255:
        raise SpeaqError(f"expected image values in 0..255 for {array.dtype}, found {low} to {high}")
    return to_rgb(Image.fromarray(array.astype(np.uint8)))


def read_image_file(file: Path | bytes) -> Image.Image:
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
