"""Whatever a user calls an image, as an upright RGB picture."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image

from speaq.data.images import read_image as read_file
from speaq.data.images import to_rgb
from speaq.errors import SpeaqError

ImageSource: TypeAlias = str | Path | bytes | Image.Image | np.ndarray | torch.Tensor
"""One image: a file, the bytes of a file, a picture, an array (height, width, channels) or a tensor
(channels, height, width); these hold RGB, RGBA or grey, as integers in 0..255 or floats in 0..1."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


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
        return to_rgb(source)
    if isinstance(source, torch.Tensor):
        array = source.detach().cpu()
        array = array.float() if array.is_floating_point() else array  # NumPy has no bfloat16
        return _from_array(
            array.movedim(0, -1).numpy() if array.ndim == 3 else array.numpy(), "tensor (C, H, W)"
        )
    if isinstance(source, np.ndarray):
        return _from_array(source, "array (H, W, C)")
    if isinstance(source, bytes):
        return read_file(source)
    source = Path(source)
    if not source.is_file():
        raise SpeaqError(f"{source}: there is no such image file")
    return read_file(source)


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
