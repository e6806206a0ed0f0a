"""Files and folders are written beside their final place and moved there whole; no reader meets a half."""

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
"""What unpickling, torch.load included, has been seen to raise on damaged files."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` at the end of the block, or goes if that fails.

    Missing parent folders are made. The temporary name keeps the ending, from which some writers tell the
    format.

    Raises:
        SpeaqError: the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            temporary = Path(folder) / path.name
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise SpeaqError(f"{path}: cannot write this file: {error}") from error


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to write to, which becomes ``path`` at the end of the block.

    A folder that is there already stays until then. What a killed run left of the temporary folder goes.

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
    """What torch.save wrote: tensors in plain containers. No code that the file may hold is run.

    Args:
        path: the file.
        advice: what to do about a file that cannot be read, for the message.

    Raises:
        SpeaqError: the file is missing, damaged, or holds other Python objects.
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
