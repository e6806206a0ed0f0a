"""The exception for errors that the user can fix, and text that is safe to print."""

import logging
import re
from collections.abc import Iterable
from typing import Any

# All but tab and line feed; also ends of lines and changes of direction of Unicode, and surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "failed to map segment")
_NO_MEMORY += ("could not create a primitive",)  # of oneDNN


class SpeaqError(Exception):
    """An error in a file, setting, path or command line, which commands print without a traceback.

    The message names the file, key or image, what was expected, what was found, and what to do.
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: of Python, PyTorch or the loader of libraries."""
    if isinstance(error, RuntimeError | ImportError):
        return any(sign in str(error) for sign in _NO_MEMORY)
    return isinstance(error, MemoryError)


def printable(text: str) -> str:
    """The text with control characters escaped, such as ESC, which names of files and classes may contain.

    So are surrogates, which UTF-8 cannot encode. Tabs and line feeds are kept.
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def first_names(names: Iterable[Any], limit: int = 5) -> str:
    """The first names for a message, followed by ", ..." if there are more: "a, b, c, d, e, ..."."""
    names = list(names)
    return ", ".join(map(str, names[:limit])) + ", ..." * (len(names) > limit)


class PrintableFormatter(logging.Formatter):
    """Formats log records with control characters escaped, see `printable`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return printable(super().format(record))
