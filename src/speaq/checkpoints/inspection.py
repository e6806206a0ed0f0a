"""What a pickle holds, found out before anything of it is made: anyone may have written a checkpoint.

A pickle is a program. Here it runs with a short list of functions that only note what they are called with;
other names are refused, and so are tensors that are larger than the file they come in.
"""

import codecs
import io
import mmap
import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np

# A pickle names the functions that make numpy's arrays and numbers by a module which numpy 2 moved.
_NUMPY = {"_reconstruct": np.empty(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
NUMPY = {
    **{f"numpy.{core}.multiarray.{name}": _NUMPY[name] for core in ("core", "_core") for name in _NUMPY},
    "numpy.ndarray": np.ndarray,
    "numpy.dtype": np.dtype,
    "_codecs.encode": codecs.encode,
}
"""What makes numpy arrays and numbers, by the names in a pickle; detectron2 saves both besides tensors."""

_STORAGES = {
    f"torch.{kind}Storage": size
    for size, kinds in {
        8: ("Double", "Long"),
        4: ("Float", "Int"),
        2: ("Half", "BFloat16", "Short"),
        1: ("Char", "Byte", "Bool"),
    }.items()
    for kind in kinds
}
_HARMLESS = {  # whatever they are called with; the built-in module has two names
    *(f"torch.{name}" for name in ("device", "Size", "float32", "float16", "bfloat16", "float64", "int64")),
    *(f"{module}.set" for module in ("builtins", "__builtin__")),
}
_ZIP = b"PK\x03\x04"
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # how torch.save began files before version 1.6
_LEGACY_HEADERS = 3


class _Function:
    """Stands for a function or class that a pickle may call; without attributes that it could change."""

    __slots__ = ("call",)

    def __init__(self, call: Any):
        self.call = call

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


def _refuse(reason: str) -> NoReturn:
    raise pickle.UnpicklingError(reason)


def _array(kind: Any, shape: Any, _: Any) -> np.ndarray:
    """An empty array, to be filled from the bytes of the file."""
    if shape != (0,):
        _refuse(f"claims an array of shape {shape} without its values")
    return np.empty(0, dtype=np.int8)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1") if encoding == "latin1" else _refuse(f"holds text in {encoding}")


def _dtype(code: Any, *_: Any) -> np.dtype:
    if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?([fiu][1248]|b1)", code):
        _refuse(f"holds an array of the type {code!r} instead of numbers")
    return np.dtype(code)


def _rebuild(storage: Any, offset: Any, size: Any, *_: Any) -> None:
    """What torch.save writes for a tensor; ``storage`` is the number of elements that there are."""
    if not isinstance(storage, int) or not isinstance(offset, int) or offset < 0 or min(size, default=1) < 0:
        _refuse("holds a damaged tensor")
    if offset + prod(size) > storage:
        _refuse(f"claims a tensor of {prod(size):,} elements, but has {storage:,} for it")


_FUNCTIONS = {
    **{name: _Function(_array) for name in NUMPY if name.endswith("._reconstruct")},
    **{name: _Function(lambda dtype, data: None) for name in NUMPY if name.endswith(".scalar")},
    "numpy.ndarray": _Function(lambda *_: _refuse("makes an array without values")),
    "numpy.dtype": _Function(_dtype),
    "_codecs.encode": _Function(_encode),
    "collections.OrderedDict": _Function(lambda *pairs: OrderedDict(*pairs)),
    "collections.Counter": _Function(lambda *counts: Counter(*counts)),
    "torch._utils._rebuild_tensor_v2": _Function(_rebuild),
    "torch._utils._rebuild_parameter": _Function(lambda *_: None),
    **_STORAGES,
    **{name: _Function(lambda *_: None) for name in _HARMLESS},
}


class SafeUnpickler(pickle._Unpickler):
    """Reads numbers, texts, containers and numpy arrays; tensors become None.

    The unpickler that is written in Python: the one in C reserves as much memory as the file asks for.

    Args:
        file: the pickle.
        size: bytes of the whole file.
    """

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: Any, size: int):
        super().__init__(file, encoding="latin1")
        self.size = size
        self.storages: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for the function or class of that name."""
        found = _FUNCTIONS.get(f"{module}.{name}")
        return found if found is not None else _refuse(f"holds a {module}.{name}")

    def persistent_load(self, pid: Any) -> int:
        """Elements of a tensor's storage, which must have place in the file."""
        _, itemsize, key, _, elements = pid[:5]
        if not isinstance(itemsize, int) or not isinstance(elements, int) or elements < 0:
            _refuse("holds a damaged tensor")
        self.storages[str(key)] = itemsize * elements
        if sum(self.storages.values()) > self.size:
            _refuse(
                f"claims tensors of {sum(self.storages.values()):,} bytes, but the whole file has "
                f"{self.size:,}"
            )
        return elements

    def set_state(self) -> None:
        """Give an array its values; the attributes of everything else stay as they are."""
        instance, state = self.stack[-2], self.stack.pop()
        if type(instance) is np.ndarray:
            instance.__setstate__(state)
        elif isinstance(instance, np.dtype):
            if state[1] == ">" or any(part is not None for part in state[2:5]):
                _refuse("holds arrays of other numbers than those of this machine")
        elif not isinstance(instance, OrderedDict | Counter | None):
            _refuse(f"sets attributes of a {type(instance).__name__}")

    dispatch[pickle.BUILD[0]] = set_state


def inspect_checkpoint(path: Path) -> None:
    """Make sure that a file which torch.save may have written is safe to load and not larger than it looks.

    Raises:
        pickle.UnpicklingError: it holds other things than plain tensors, arrays and containers, or claims
            more than it has. A damaged file raises one of `speaq.files.DAMAGE`.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_ZIP)) == _ZIP:
            SafeUnpickler(io.BytesIO(_pickle_in(file, size)), size).load()
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content[: len(_MAGIC)] != _MAGIC:
                _refuse("does not begin as files of torch.save do")
            for _ in range(_LEGACY_HEADERS):
                SafeUnpickler(content, size).load()
            SafeUnpickler(content, size).load()


def _pickle_in(file: BinaryIO, size: int) -> bytes:
    """The pickle in a zip archive of torch.save, which keeps everything uncompressed."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) < len(names) or any(entry.compress_type for entry in entries):
                _refuse("is a zip archive that torch.save has not written")
            if sum(entry.file_size for entry in entries) > size:
                _refuse("claims more bytes than the file has")
            if any(".." in Path(name).parts or name.startswith("/") for name in names):
                _refuse("is a zip archive with names outside of it")
            pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                _refuse("is a zip archive without tensors")
            return archive.read(pickles[0])
    except zipfile.BadZipFile as error:
        raise pickle.UnpicklingError(str(error)) from error


def read_arrays(path: Path) -> Any:
    """What a pickle of numpy arrays holds; raises as `inspect_checkpoint` does."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return SafeUnpickler(content, len(content)).load()
