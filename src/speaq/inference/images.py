"""Whatever a user calls an image, as an upright RGB picture."""

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps

from speaq.errors import SpeaqError

ImageSource: TypeAlias = str | Path | bytes | Image.Image | np.ndarray | torch.Tensor
"""One image: a file, the bytes of a file, a picture, an array (height, width, channels) or a tensor
(channels, height, width); these hold RGB, RGBA or grey, as integers in 0..255 or floats in 0..1."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)  # what Pillow may raise


def is_one_image(images: ImageSource | Iterable[ImageSource]) -> bool:
    """Whether ``images`` is a single image rather than a folder or several images."""
    if isinstance(images, str | Path):
        return not Path(images).is_dir()
    return isinstance(images, bytes | Image.Image | np.ndarray | torch.Tensor)


def iterate_sources(images: ImageSource | Iterable[ImageSource]) -> Iterator[ImageSource]:
    """The single images of a source, one by one, none of them opened yet.

    Args:
        images: an image, a folder (its image files by name), or any iterable of those.

    Raises:
        SpeaqError: a folder holds no image.
    """
    if isinstance(images, str | Path) and Path(images).is_dir():
        files = sorted(
            path
            for path in Path(images).iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        )
        if not files:
            raise SpeaqError(
                f"{images}: no image in this folder; expected files ending in {', '.join(sorted(SUFFIXES))}"
            )
        yield from files
    elif isinstance(images, str | Path | bytes | Image.Image | np.ndarray | torch.Tensor):
        yield images
    elif isinstance(images, Iterable):
        for image in images:
            yield from iterate_sources(image)
    else:
        raise SpeaqError(
            f"expected an image (path, bytes, picture, array or tensor), a folder or a list of those, "
            f"found {type(images).__name__}"
        )


def read_image(source: ImageSource) -> Image.Image:
    """The picture in RGB: turned upright as its EXIF orientation says, transparency put on white.

    Args:
        source: see ``ImageSource``.

    Raises:
        SpeaqError: the file is missing, damaged or no image, or the array has a shape or values that no
            image has.
    """
    if isinstance(source, Image.Image):
        return _to_rgb(source)
    if isinstance(source, torch.Tensor):
        array = source.detach().cpu()
        array = array.float() if array.is_floating_point() else array  # NumPy has no bfloat16
        return _from_array(
            array.movedim(0, -1).numpy() if array.ndim == 3 else array.numpy(), "tensor (C, H, W)"
        )
    if isinstance(source, np.ndarray):
        return _from_array(source, "array (H, W, C)")
    if not isinstance(source, bytes):
        source = Path(source)
        if not source.is_file():
            raise SpeaqError(f"{source}: there is no such image file")
    name = f"image of {len(source)} bytes" if isinstance(source, bytes) else str(source)
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return _to_rgb(image)
    except _BROKEN as error:
        reason = (
            "not an image of a known format" if isinstance(error, Image.UnidentifiedImageError) else error
        )
        raise SpeaqError(f"{name}: the image cannot be read ({reason}); replace the file") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits per pixel: Pillow would cut everything above 255 to white
        values = np.asarray(image, np.float64)
        image = Image.fromarray(
            (values * (255 / 65535 if values.max() > 255 else 1)).clip(0, 255).astype(np.uint8)
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) to 8; 1 where the file does not say, or says nonsense."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except (SyntaxError, ValueError, KeyError):
        return 1


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
    return _to_rgb(Image.fromarray(array.astype(np.uint8)))
