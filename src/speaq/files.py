"""Write files and folders atomically, and read files that may be damaged or hostile."""

import errno
import io
import json
import math
import os
import pickle
import re
import shutil
import stat
import struct
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speaq.errors import SpeaqError

if TYPE_CHECKING:
    import h5py

DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    ArithmeticError,
    struct.error,
)
"""Exceptions that unpickling and torch.load raise for damaged files."""


_NOT_INSIDE = re.compile(
    r"^$|^[/\\]|^[A-Za-z]:[/\\]|(^|[/\\])\.\.([/\\]|$)|[\0\ud800-\udfff]"  # the last cannot be encoded
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89abABc-fC-F]")
_MAX_COMPRESSION = 1032  # of deflate (gzip), the best that a filter of HDF5 can do


def expand(path: str) -> str:
    """The path with ``~`` and environment variables (``$NAME``, ``${NAME}``) replaced."""
    return os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111


def is_inside(name: str) -> bool:
    """Whether a name of a file, which may have folders in it, leads to a file within the folder."""
    return not _NOT_INSIDE.search(name)


CONFIGURATION_BYTES = 4 * 2**20
"""Size above which a file is not read as a configuration."""


def regular(path: Path, limit: int | None = None) -> Path:
    """The path itself, if it may be read: a device or a pipe may never end.

    Args:
        path: a file, or a link to one.
        limit: of its size, in bytes.

    Raises:
        OSError: there is no such file, it is a device or a pipe, or it is larger.
    """
    status = path.stat()
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):  # a folder cannot be read anyway
        raise OSError(errno.EINVAL, "expected a regular file, found a device or a pipe", str(path))
    if limit is not None and status.st_size > limit:
        raise OSError(errno.EFBIG, f"expected at most {limit:,} bytes, found {status.st_size:,}", str(path))
    return path


def parse_json(
    text: str,
    *,
    file_names: Collection[str] = (),
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of a JSON text.

    Args:
        text: JSON.
        file_names: keys of the outermost object for names of files, which may have any characters.
        object_pairs_hook: as in json.loads.

    Raises:
        ValueError: it is not JSON, nested too deeply, or has texts that UTF-8 cannot encode.
    """
    try:
        content = json.loads(text, object_pairs_hook=object_pairs_hook)
        if _SURROGATE_ESCAPE.search(text):
            checked = content
            if isinstance(content, dict):
                checked = {key: value for key, value in content.items() if key not in file_names}
            check_texts(checked)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return content


def check_texts(content: Any, place: str = "") -> None:
    """Refuse texts with single surrogates, such as U+D800: UTF-8 cannot encode them.

    Args:
        content: a value of JSON.
        place: where it is, for the message.

    Raises:
        ValueError: there is one.
    """
    if isinstance(content, str) and _SURROGATE.search(content):
        start = f"{place}: " if place else ""
        raise ValueError(f"{start}expected text that UTF-8 can encode, found {content!a:.60}")
    if isinstance(content, dict):
        for key, value in content.items():
            check_texts(key, place)
            check_texts(value, f"{place}.{key}" if place else key)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            check_texts(value, f"{place}[{index}]")


def stored_array(file: "h5py.File", name: str) -> "h5py.Dataset":
    """An array of an HDF5 file with all of its values in that file.

    It may claim 64 MiB more than there are: HDF5 does not store values that were never written.

    Raises:
        ValueError: there is no such array, it or its values are in other files, or it claims many more values
            than are in the file.
    """
    import h5py
    from h5py import h5l  # pyright: ignore[reportAttributeAccessIssue]  # not in its stubs

    if name in set(file) and file.id.links.get_info(name.encode()).type != h5l.TYPE_HARD:
        raise ValueError("it is a link, which may lead to another file")
    array = file.get(name)
    if not isinstance(array, h5py.Dataset):
        raise ValueError("it is not an array")
    if array.is_virtual or array.external:
        raise ValueError("its values are in other files")
    claimed = math.prod(array.shape or (0,)) * array.dtype.itemsize
    stored = array.id.get_storage_size()
    if claimed > max(2**26, _MAX_COMPRESSION * stored):
        raise ValueError(f"it claims {claimed:,} bytes, but the file has {stored:,} of them")
    return array


def read_texts(array: "h5py.Dataset", rows: slice = slice(None)) -> list[str]:
    """The texts (rows,) of an HDF5 array in UTF-8, of fixed or variable length.

    Raises:
        ValueError: they are not in UTF-8, or have more characters than the file has bytes (or 2^26)
            if all are as long as the longest: rows of variable length may share a text.
    """
    size = array.file.id.get_filesize()
    step = min(max(2**30 // size, 16), 2**16)  # rows read at once, at most a GiB or 16 times the file
    texts, longest = [], 0
    first, last, _ = rows.indices(len(array))
    for start in range(first, last, step):
        part = [text.decode() for text in array[start : min(start + step, last)]]
        longest = max(longest, *map(len, part))
        if longest * len(array) > max(2**26, size):
            raise ValueError(f"a text of {longest:,} characters is too long for an array of {len(array):,}")
        texts += part
    return texts


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which replaces ``path`` at the end of the block if it succeeds.

    Missing parent folders are created. The temporary path has the same file name, as some writers choose the
    format by the suffix.

    Raises:
        SpeaqError: the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot write this file: {error}") from error


class _FileOfHdf5(io.FileIO):
    """A file that HDF5 writes to; HDF5 crashes if a write fails, and so ``error`` keeps the first failure."""

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all bytes, or none after a failure."""
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)


@contextmanager
def replacing_hdf5(path: str | Path) -> Iterator["h5py.File"]:
    """Open a new HDF5 file, which replaces ``path`` at the end of the block if it succeeds.

    Raises:
        SpeaqError: the file cannot be written.
    """
    import h5py

    with replacing(path) as temporary, _FileOfHdf5(temporary, "w+") as raw:
        try:
            with h5py.File(raw, "w") as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder to write to, which replaces ``path`` at the end of the block if it succeeds.

    An existing folder is kept until then. The temporary folder of an interrupted run is deleted.

    Raises:
        SpeaqError: the folder cannot be written.
    """
    partial, former = (path.with_name(f".{path.name}.{state}") for state in ("part", "former"))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            path.replace(former)
        partial.replace(path)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot write this folder: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def read_tensors(path: Path, advice: str) -> Any:
    """Read tensors in plain containers that torch.save wrote, without running code from the file.

    Error messages end with ``advice``: what to do about a file that cannot be read.

    Raises:
        SpeaqError: the file is missing, damaged, or contains other Python objects.
    """
    import torch

    try:
        return torch.load(regular(path), map_location="cpu", weights_only=True)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}); {advice}") from error
    except DAMAGE as error:
        raise SpeaqError(
            f"{path}: expected tensors saved by torch.save, found a damaged file or other Python objects; "
            f"{advice}"
        ) from error
