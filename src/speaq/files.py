"""Files are written beside their final place and moved there whole, so that no reader meets half a file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speaq.errors import SpeaqError


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
