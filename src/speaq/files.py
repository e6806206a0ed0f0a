"""Write files and folders atomically, and read tensors without running code."""

import os
import pickle
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError

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
    OverflowError,
    struct.error,
)
"""Exceptions that unpickling and torch.load raise for damaged files."""


def expand(path: str) -> str:
    """The path with ``~`` and environment variables (``$NAME``, ``${NAME}``) replaced."""
    return os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111


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
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}); {advice}") from error
    except DAMAGE as error:
        raise SpeaqError(
            f"{path}: expected tensors saved by torch.save, found a damaged file or other Python objects; "
            f"{advice}"
        ) from error
