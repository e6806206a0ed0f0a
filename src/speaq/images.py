"""Read images of any source and format as upright RGB images."""

import glob
import io
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeAlias, TypeGuard, Union, cast

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps

from speaq.errors import SpeaqError
from speaq.files import regular

if TYPE_CHECKING:
    import torch

Bytes = bytes | bytearray | memoryview

ImageSource: TypeAlias = Union[str, Path, Bytes, BinaryIO, Image.Image, np.ndarray, "torch.Tensor"]
"""One image: a path, the bytes of a file, an open binary file, a PIL image, an array (height, width,
channels) or a tensor (channels, height, width). Arrays and tensors are RGB, RGBA or grey, integers in 0..255
or floats in 0..1."""

PILLOW_ERRORS = (OSError, SyntaxError, ValueError, EOFError)
"""What Pillow raises for damaged files."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


def is_one_image(images: ImageSource | Iterable[ImageSource]) -> bool:
    """Whether ``images`` is one image, not a folder, a pattern, a batch or an iterable."""
    if isinstance(images, str | Path):
        return not Path(images).expanduser().is_dir() and not is_pattern(images)
    if isinstance(images, np.ndarray) or _is_tensor(images):
        return images.ndim != 4
    return isinstance(images, Bytes | Image.Image) or _is_file(images)


def _is_file(source: object) -> TypeGuard[IO[Any]]:
    """Whether ``source`` is an open file, or an object with its method ``read``."""
    return callable(getattr(source, "read", None))


def is_pattern(path: str | Path) -> bool:
    """Whether ``path`` is a glob pattern such as "photos/*.jpg" or "photos/**" and not an existing file.

    A ``Path`` always names one file or folder.
    """
    return isinstance(path, str) and glob.has_magic(path) and not Path(path).exists()


def split_pattern(pattern: str) -> tuple[Path, str]:
    """The folder before the first wildcard of a pattern, and the rest of the pattern."""
    parts = Path(pattern).expanduser().parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), "/".join(parts[first:])


def image_files(place: str | Path) -> list[Path]:
    """The image files in a folder (searched recursively) or that match a pattern, sorted by path.

    Hidden files and folders are skipped; links to folders are not followed.

    Raises:
        SpeaqError: there is no image file.
    """
    if isinstance(place, str) and is_pattern(place):
        root, rest = split_pattern(place)
        where = "no image matches this pattern"
        try:
            matches = [match for match in root.glob(rest) if not _is_hidden(match, root)]
        except ValueError as error:
            raise SpeaqError(f"{place}: not a valid pattern ({error})") from error
        files = {file for match in matches for file in (_below(match) if match.is_dir() else [match])}
    else:
        files, where = set(_below(Path(place).expanduser())), "no image in this folder"
    found = sorted(file for file in files if file.suffix.lower() in SUFFIXES)
    if not found:
        raise SpeaqError(f"{place}: {where}; expected files ending in {', '.join(sorted(SUFFIXES))}")
    return found


def _below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not _is_hidden(path, folder) and not path.is_dir())


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def iterate_sources(images: ImageSource | Iterable[ImageSource]) -> Iterator[ImageSource]:
    """Iterate over single images, without opening them.

    Those of a folder (searched recursively), of a pattern such as "photos/*.jpg", of an array or a tensor of
    several images (B, ...), or of an iterable of any of these.

    Raises:
        SpeaqError: a folder has no image, or no image matches a pattern.
    """
    if is_one_image(images):
        yield cast(ImageSource, images)
    elif isinstance(images, str | Path):
        yield from image_files(images)
    elif isinstance(images, Iterable) and not isinstance(images, Mapping):
        for image in cast(Iterable[ImageSource], images):
            yield from iterate_sources(image)
    else:
        raise SpeaqError(
            "expected an image (path, bytes, file, PIL image, array or tensor), a folder or a list of those, "
            f"found {type(images).__name__}"
        )


MAX_PIXELS = 178_956_970
"""The number of pixels above which Pillow refuses an image by default."""


@contextmanager
def pixel_limit(pixels: int) -> Iterator[None]:
    """Set the size above which Pillow refuses an image, inside the block; its default is `MAX_PIXELS`."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels // 2  # Pillow warns above it and refuses above twice as many
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_image(source: ImageSource) -> Image.Image:
    """Read an image as RGB, with its EXIF orientation applied and transparency blended with white.

    Raises:
        SpeaqError: the file is missing, damaged or not an image, or the shape or the values of the array are
            not those of an image.
    """
    if _is_tensor(source):
        array = source.detach().cpu()
        array = array.float() if array.is_floating_point() else array  # NumPy has no bfloat16
        array = array.movedim(0, -1) if array.ndim == 3 else array
        return _from_array(array.numpy(), "tensor (C, H, W)")
    if isinstance(source, np.ndarray):
        return _from_array(source, "array (H, W, C)")
    if _is_file(source):
        content = source.read()
        if not isinstance(content, bytes):
            raise SpeaqError(
                f"{getattr(source, 'name', source)}: expected a binary file, found text; open it with 'rb'"
            )
        source = content
    if isinstance(source, bytes | Image.Image):
        return read_image_file(source)
    if isinstance(source, bytearray | memoryview):
        return read_image_file(bytes(source))
    if isinstance(source, str) and "://" in source:
        raise SpeaqError(
            f"{source}: addresses are not opened; download the image, and give its path or bytes"
        )
    source = Path(source).expanduser()  # pyright: ignore[reportArgumentType]  # a TypeGuard does not narrow the other branch
    if not source.is_file():
        raise SpeaqError(f"{source}: there is no such image file")
    return read_image_file(source)


def _is_tensor(image: object) -> TypeGuard["torch.Tensor"]:
    """Whether ``image`` is a tensor, without importing torch: tensors exist only where it is imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def _from_array(array: np.ndarray, kind: str) -> Image.Image:
    """The image of an array (H, W) or (H, W, C) with 1, 3 or 4 channels."""
    found = f"found shape {tuple(array.shape)}, {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))) or 0 in array.shape:
        raise SpeaqError(f"expected one image as {kind} with 1, 3 or 4 channels, {found} with channels last")
    if array.dtype.kind not in "uif":
        raise SpeaqError(f"expected an image of integers in 0..255 or floats in 0..1, {found}")
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (low > -1e-3 and high < 1 + 1e-3):  # False for NaN; resized images may exceed 1 slightly
            raise SpeaqError(f"expected image values in 0..1 for {array.dtype}, found {low:g} to {high:g}")
        array = (array * 255).round().clip(0, 255)
    elif low < 0 or high > 255:
        raise SpeaqError(f"expected image values in 0..255 for {array.dtype}, found {low} to {high}")
    return to_rgb(Image.fromarray(array.astype(np.uint8)))


def read_image_file(
    file: Path | bytes | Image.Image,
    *,
    listed: tuple[int, int] | None = None,
    on_undecided: Callable[[], None] | None = None,
    on_truncated: Callable[[], None] | None = None,
) -> Image.Image:
    """Read an image file, given as path, content or opened image, as RGB; see `to_rgb`.

    Args:
        file: the image.
        listed: width and height of an annotated image. The EXIF orientation is applied only if they are those
            of the upright image and not also those of the stored pixels; without it always.
        on_undecided: called if there is an orientation and ``listed`` does not tell whether it is to be
            applied: if both sizes are equal, or neither is ``listed``.
        on_truncated: called if a part of the pixels is missing, which is then grey or black. Without it such
            a file is not read.

    Raises:
        SpeaqError: the file cannot be read.
    """

    def read() -> Image.Image:
        with _opened(file) as image:
            return to_rgb(image, upright=_is_upright(image, listed, on_undecided))

    try:
        return read()
    except SpeaqError:
        if on_truncated is None:
            raise
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        found = read()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False
    on_truncated()
    return found


def read_image_size(
    file: Path | bytes,
    *,
    listed: tuple[int, int] | None = None,
    on_undecided: Callable[[], None] | None = None,
) -> tuple[int, int]:
    """Width and height of the image that `read_image_file` reads, from the header of the file or its content.

    Raises:
        SpeaqError: the file cannot be read.
    """
    with _opened(file) as image:
        try:
            return _upright_size(image) if _is_upright(image, listed, on_undecided) else image.size
        except PILLOW_ERRORS:  # Pillow looks for an orientation behind the pixels of a PNG, which are damaged
            return image.size


def _is_upright(
    image: Image.Image, listed: tuple[int, int] | None, on_undecided: Callable[[], None] | None
) -> bool:
    """Whether to apply the EXIF orientation, see `read_image_file`."""
    if listed is None or _orientation(image) == 1:
        return True
    upright = _upright_size(image)
    if on_undecided is not None and (upright == image.size or listed not in (upright, image.size)):
        on_undecided()
    return listed == upright != image.size


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height with the EXIF orientation applied."""
    width, height = image.size
    return (height, width) if _orientation(image) >= 5 else (width, height)


def to_rgb(image: Image.Image, *, upright: bool = True) -> Image.Image:
    """Convert an image to RGB, with transparency blended with white.

    With ``upright`` its EXIF orientation is applied.
    """
    image.load()
    if 0 in image.size:
        raise ValueError(f"it has {image.width}x{image.height} pixels")
    if upright and _orientation(image) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits per pixel; Pillow would clip at 255
        values = np.asarray(image, np.float64)
        if not np.isfinite(values).all():
            raise ValueError("some of its pixels are not finite numbers")
        if image.mode == "F" and values.max() <= 1:  # as in arrays of floats
            values = values * 255
        values = values * (255 / 65535 if values.max() > 255 else 1)
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@contextmanager
def _opened(file: Path | bytes | Image.Image) -> Iterator[Image.Image]:
    """An image, whose pixels Pillow reads at the first access, so that errors in the block are about it."""
    try:
        if isinstance(file, Image.Image):
            yield file
        else:
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else regular(file)) as image:
                if image.format == "EPS":  # a program, which Pillow has Ghostscript run
                    raise SpeaqError(f"{_name(file)}: EPS files are not read; convert it to PNG")
                yield image
    except Image.DecompressionBombError as error:
        raise SpeaqError(
            f"{_name(file)}: the image cannot be read: it is too large to be safe ({error}); make it "
            "smaller, or allow more: for a data set with INPUT.MAX_PIXELS in the configuration, for speaq "
            "predict with --max-pixels, in Python with PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except PILLOW_ERRORS as error:
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "not an image of a known format" if unknown else error
        raise SpeaqError(f"{_name(file)}: the image cannot be read ({reason}); replace the file") from error


def _name(file: Path | bytes | Image.Image) -> str:
    if isinstance(file, Image.Image):
        return getattr(file, "filename", "") or "PIL image"
    return f"image of {len(file)} bytes" if isinstance(file, bytes) else str(file)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation from 1 (upright) to 8; 1 if it is missing or invalid."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        return orientation if orientation in range(1, 9) else 1
    except (SyntaxError, ValueError, KeyError):
        return 1
