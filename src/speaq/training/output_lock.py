"""A lock on OUTPUT_DIR, so that two trainings do not write to it at once."""

import errno
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from speaq.errors import SpeaqError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

logger = logging.getLogger("speaq.training")

LOCK_FILE = "training.lock"
_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


def cannot_write(folder: Path, error: OSError) -> SpeaqError:
    """The error to raise if OUTPUT_DIR cannot be written to."""
    reason = f"{error.strerror}: {error.filename}"
    return SpeaqError(f"OUTPUT_DIR {folder}: cannot write there ({reason}); name another one")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is created if it is missing.

    The system releases the lock when the process ends, however it ends. There is no lock on Windows, and on
    file systems that do not support locks.

    Raises:
        SpeaqError: another process holds the lock; or the folder cannot be written to.
    """
    if fcntl is None:
        yield
        return
    file = folder / LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        # A lock of this kind belongs to the process: the workers of data loaders do not inherit it.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 1000).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno in _NOT_SUPPORTED:
            logger.warning("%s: this file system has no locks: start only one training there", folder)
            yield
            return
        raise SpeaqError(
            f"OUTPUT_DIR {folder}: another training writes there ({holder}). Wait for its end, stop it, or "
            "use another OUTPUT_DIR"
        ) from None
    try:
        start = datetime.now().astimezone().isoformat(" ", "seconds")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"host {socket.gethostname()}, pid {os.getpid()}, started {start}\n".encode())
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(descriptor)
