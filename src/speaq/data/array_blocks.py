"""Arrays that are written in blocks, and mapped into memory where they are large.

Mapped pages belong to all processes of a machine, and the system takes them back when it needs memory.
Ragged data are flat arrays with offsets: item i has rows offsets[i] .. offsets[i + 1] - 1.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

from speaq.errors import SpeaqError
from speaq.files import replacing_folder

Arrays = dict[str, Any]
"""Arrays and `Texts` by name."""

_CONTENT, _VERSION = "content.json", 1
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts without a Python object for each: their UTF-8 bytes, one text after another, and offsets."""

    content: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> str:
        return self.content[self.offsets[index] : self.offsets[index + 1]].tobytes().decode()

    def tolist(self) -> list[str]:
        """All texts."""
        return [self[index] for index in range(len(self))]


class ArrayBlocks:
    """Named arrays that grow by blocks of rows, in memory or in the files of a folder.

    Attributes:
        formats: data type and shape of each array.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.formats: dict[str, tuple[str, list[int]]] = {}
        self._folder = folder
        self._parts: dict[str, list[np.ndarray]] = {}
        self._ends: dict[str, int] = {}

    def append(self, name: str, rows: np.ndarray | list[str]) -> None:
        """Append rows to an array, or texts."""
        if isinstance(rows, list):
            texts = [text.encode() for text in rows]
            self.append(f"{name}.content", np.frombuffer(b"".join(texts), np.uint8))
            self.append_counts(f"{name}.offsets", np.array([len(text) for text in texts], np.int64))
            return
        _, shape = self.formats.get(name, ("", [0]))
        self.formats[name] = rows.dtype.str, [shape[0] + len(rows), *rows.shape[1:]]
        if self._folder is None:
            self._parts.setdefault(name, []).append(rows)
        else:
            with (self._folder / name).open("ab") as file:
                rows.tofile(file)

    def append_counts(self, name: str, counts: np.ndarray) -> None:
        """Append the offsets of items with these numbers of rows, after the 0 at the start."""
        if name not in self._ends:
            self._ends[name] = 0
            self.append(name, np.zeros(1, np.int64))
        ends = self._ends[name] + np.cumsum(counts, dtype=np.int64)
        self._ends[name] += int(counts.sum())
        self.append(name, ends)

    def arrays(self) -> Arrays:
        """The whole arrays, if they are in memory."""
        return _with_texts(
            {
                name: parts[0] if len(parts) == 1 else np.concatenate(parts)
                for name, parts in self._parts.items()
            }
        )


def map_arrays(folder: Path) -> tuple[Arrays, Any]:
    """The arrays in a folder of `cached_arrays`, mapped into memory, and what its ``write`` returned."""
    content = json.loads((folder / _CONTENT).read_text())
    arrays: Arrays = {}
    for name, (dtype, shape) in content["arrays"].items():
        mapped = np.empty(shape, dtype)
        if mapped.size:  # an empty file cannot be mapped
            mapped = np.asarray(np.memmap(folder / name, dtype, "r", shape=tuple(shape)))
        arrays[name] = mapped
    return _with_texts(arrays), content["result"]


def _with_texts(arrays: Arrays) -> Arrays:
    """The arrays, with `Texts` for their contents and offsets."""
    for content in [name for name in arrays if name.endswith(".content")]:
        name = content.removesuffix(".content")
        arrays[name] = Texts(arrays.pop(content), arrays.pop(f"{name}.offsets"))
    return arrays


def cached_arrays(
    key: Mapping[str, Any], stamp: Any, write: Callable[[ArrayBlocks], Any]
) -> tuple[Path, Arrays, Any]:
    """Arrays in the assets cache of huggingface_hub (HF_ASSETS_CACHE, by default in ~/.cache/huggingface).

    The first process of a machine writes them, others wait for it.

    Args:
        key: what the arrays are of; each key has a folder of its own.
        stamp: the state of the files that they are made from, as JSON; arrays of another state are replaced.
        write: writes them, and returns what to keep beside them, as JSON.

    Returns:
        The folder, the arrays, mapped into memory, and what ``write`` returned.

    Raises:
        SpeaqError: the folder cannot be written.
    """
    described = json.dumps({**key, "version": _VERSION}, sort_keys=True, default=str)
    try:
        digest = hashlib.sha256(described.encode()).hexdigest()[:16]
        folder = Path(constants.HF_ASSETS_CACHE) / "speaq" / "annotations" / digest
        if not _is_current(folder, stamp):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with WeakFileLock(f"{folder}.lock"):
                if not _is_current(folder, stamp):
                    _log.info("writing the annotations to %s, from where they are mapped into memory", folder)
                    with replacing_folder(folder) as temporary:
                        blocks = ArrayBlocks(temporary)
                        content = {"key": described, "stamp": stamp, "result": write(blocks)}
                        text = json.dumps({**content, "arrays": blocks.formats})
                        (temporary / _CONTENT).write_text(text)
        return folder, *map_arrays(folder)
    except OSError as error:
        raise SpeaqError(
            f"cannot write the annotations to files that are mapped into memory ({error}). Set the "
            "environment variable HF_ASSETS_CACHE to a folder that can be written."
        ) from error


def _is_current(folder: Path, stamp: Any) -> bool:
    try:
        return json.loads((folder / _CONTENT).read_text())["stamp"] == stamp
    except (OSError, ValueError):
        return False
