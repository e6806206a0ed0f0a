"""Reading published checkpoints, which may come from anyone, without executing code from them.

``.pth`` files are read by `torch.load` with ``weights_only=True``, ``.pkl`` files of numpy arrays, such as
detectron2's pretrained ResNets, by an unpickler with a list of allowed names. `torch.load` alone is not
enough: it creates byte arrays and decompresses archives of any size, whatever the size of the file.
"""

import io
import logging
import mmap
import pickle
import pickletools
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from speaq.errors import SpeaqError, first_names
from speaq.files import DAMAGE, regular

logger = logging.getLogger(__name__)

_MODEL_KEYS = ("model", "state_dict", "model_state_dict", "module")
_EMA_KEYS = ("model_ema", "ema", "ema_model", "ema_state_dict", "state_dict_ema", "ema_model_state_dict")
"""Where the weights are in a checkpoint: those of the model, and their exponential moving average."""

_ZIP = b"PK\x03\x04"
_MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # start of the files of torch.save before 1.6
_LEGACY_PICKLES = 5  # the magic number, the version, the system, the content, and the order of the tensors
# Start of a web page that was saved instead of a file, or of the pointer that git keeps for a large file.
_NOT_DOWNLOADED = (b"<!doctype", b"<html", b"<?xml", b"version https://git-lfs")


def read_published(path: Path) -> dict[str, Tensor]:
    """Tensors of a published checkpoint, on the CPU, by their names in it. No code of the file is executed.

    Args:
        path: a file written by torch.save, or a ``.pkl`` of numpy arrays, the format of detectron2's
            pretrained ResNets.

    Raises:
        SpeaqError: the file is damaged, contains other objects than weights, or
            declares more data than it contains.
    """
    try:
        regular(path)
        content = _read_pickle(path) if path.suffix.lower() == ".pkl" else _read_torch(path)
        keys, state = _find_state(content)
        tensors = _tensors(state)
        _check_size(tensors, path.stat().st_size)
    except (OSError, zipfile.BadZipFile, *DAMAGE) as error:
        reason = str(error).partition("\n")[0] or "it ends too early"
        advice = "save its weights again with torch.save({'model': state_dict}, path)"
        if _is_not_downloaded(path):
            reason, advice = (
                "it is a web page or a Git LFS pointer, saved instead of the file",
                "download it again",
            )
        raise SpeaqError(f"{path}: not a checkpoint of plain tensors ({reason}); {advice}") from error
    if not tensors:
        raise SpeaqError(
            f"{path}: expected a dictionary of tensors, or one under {', '.join(map(repr, _MODEL_KEYS))} or "
            f"{', '.join(map(repr, _EMA_KEYS))}; found none{_describe_keys(content)}"
        )
    if isinstance(content, dict) and any(key in content for key in _EMA_KEYS):
        logger.info("%s: the weights under %s are used", path, ".".join(keys))
    return tensors


def _read_torch(path: Path) -> Any:
    """The content of a file written by torch.save."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        zipped = content[: len(_ZIP)] == _ZIP
        if not zipped and content[: len(_MAGIC)] != _MAGIC:
            _refuse("does not begin like a file written by torch.save")
        pickles = io.BytesIO(_pickle_in_archive(path)) if zipped else content
        for _ in range(1 if zipped else _LEGACY_PICKLES):
            _check_opcodes(pickles, len(content), _GLOBALS.keys() | _TORCH_GLOBALS)
    try:
        with torch.serialization.safe_globals([(function, name) for name, function in _GLOBALS.items()]):
            # Tensors in a memory map end with the file; files of older versions are read until they end.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:  # its text recommends to load the file without restrictions
        raise ValueError("holds other objects than tensors, arrays and containers") from error
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"is damaged, or declares more data than it contains: {reason}") from error


def _pickle_in_archive(path: Path) -> bytes:
    """The pickle in a zip archive of torch.save, which compresses no entry."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names) or any(entry.compress_type for entry in entries):
            _refuse("is a zip archive that torch.save has not written")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            _refuse("declares more bytes than the file contains")
        if any(".." in Path(name).parts or name.startswith("/") for name in names):
            _refuse("is a zip archive with paths that lead outside of it")
        pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            _refuse("is a zip archive without tensors")
        return archive.read(pickles[0])


def _read_pickle(path: Path) -> Any:
    """The content of a pickle of numpy arrays."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        _check_opcodes(content, len(content), _GLOBALS.keys())
        content.seek(0)
        return _ArrayUnpickler(content, encoding="latin1").load()


def _check_opcodes(file: Any, size: int, allowed: Set[str]) -> None:
    """Refuse forbidden names, and opcodes that allocate the memory they name, before a pickle is loaded."""
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL" and str(argument).replace(" ", ".") not in allowed:
            _refuse(f"holds a {str(argument).replace(' ', '.')}")
        too_large = opcode.name in ("PUT", "LONG_BINPUT") and int(str(argument)) > size
        if too_large or opcode.name == "BYTEARRAY8":
            _refuse("declares more bytes than the file contains")


class _ArrayUnpickler(pickle.Unpickler):
    """Reads numbers, text, containers and arrays of numbers; all other names are refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The replacement of an allowed name: a new function, whose attributes a pickle may change."""
        replacement = _GLOBALS.get(f"{module}.{name}")
        if replacement is None:
            _refuse(f"holds a {module}.{name}")
        return lambda *arguments: replacement(*arguments)


class _Array:
    """An array in a pickle. Numpy's own would trust the state that the file gives it."""

    value: np.ndarray

    def __init__(self, _: Any, shape: Any, *__: Any):
        if shape != (0,):
            _refuse(f"declares an array of shape {shape} without its values")

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        values = np.frombuffer(data, dtype.code).reshape(shape, order="F" if is_fortran else "C")
        self.value = values.copy()


class _DType:
    """The type of an array in a pickle."""

    def __init__(self, code: Any, *_: Any):
        if not isinstance(code, str) or not re.fullmatch(r"[<>|=]?([fiu][1248]|b1)", code):
            _refuse(f"holds an array of the type {code!r} instead of numbers")
        self.code = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] == ">" or any(part is not None for part in state[2:5]):
            _refuse("holds arrays in another byte order, or of structures")


def _encode(text: str, encoding: str) -> bytes:
    """Decode bytes, which Python 3 pickles as text for Python 2."""
    return text.encode("latin1") if encoding == "latin1" else _refuse(f"holds text in {encoding}")


_GLOBALS: dict[str, Callable[..., Any]] = {
    **{f"{core}._reconstruct": _Array for core in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{f"{core}.scalar": lambda *_: None for core in ("numpy.core.multiarray", "numpy._core.multiarray")},
    "numpy.ndarray": lambda *_: _refuse("makes an array without values"),
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "builtins.set": set,
    "__builtin__.set": set,
}
"""Names that a checkpoint may contain, and what they are replaced with; numpy 2 has moved two of its own.

NumPy scalars are discarded, as they are not weights.
"""

_TORCH_GLOBALS = {
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    *(f"torch.{kind}Storage" for kind in ("Double", "Float", "Half", "BFloat16")),
    *(f"torch.{kind}Storage" for kind in ("Long", "Int", "Short", "Char", "Byte", "Bool")),
    *(f"torch.{name}" for name in ("device", "Size", "float32", "float16", "bfloat16", "float64", "int64")),
}
"""Further names that a file of torch.save may contain."""


def _find_state(content: Any, keys: tuple[str, ...] = ()) -> tuple[tuple[str, ...], dict[Any, Any]]:
    """The dictionary of weights in a checkpoint, empty if there is none, and the keys that lead to it.

    The weights of the model are preferred to their moving average.
    """
    if not isinstance(content, dict) or len(keys) == 4:  # a checkpoint may contain itself
        return keys, {}
    has_weights = any(isinstance(value, Tensor | np.ndarray | _Array) for value in content.values())
    for key in _MODEL_KEYS if has_weights else (*_MODEL_KEYS, *_EMA_KEYS):
        found = _find_state(content.get(key), (*keys, key))
        if found[1]:
            return found
    return keys, content if has_weights else {}


def _describe_keys(content: Any) -> str:
    """The first keys of a checkpoint without weights, for a message."""
    if not isinstance(content, dict) or not content:
        return ""
    names = []
    for key, value in content.items():
        inner = list(value)[:3] if isinstance(value, dict) else []
        names += [f"{key}.{name}" for name in inner] or [str(key)]
    return f"; the file has {first_names([name[:50] for name in names], 8)}"


def _tensors(state: dict[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without other values beside them."""
    arrays = {name: value.value if isinstance(value, _Array) else value for name, value in state.items()}
    tensors = {
        str(name): torch.as_tensor(value).detach()
        for name, value in arrays.items()
        if isinstance(value, Tensor | np.ndarray)
    }
    for name, tensor in tensors.items():
        if tensor.numel() == 0 or tensor.is_complex() or tensor.layout != torch.strided:
            raise ValueError(f"{name!r} is {tuple(tensor.shape)} {tensor.dtype}, not weights")
    return tensors


def _check_size(tensors: dict[str, Tensor], size: int) -> None:
    """Refuse tensors that repeat their values, and more values than the file has bytes for."""
    storages = {}
    for tensor in tensors.values():
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        if tensor.numel() * tensor.itemsize > storage.nbytes():
            elements = storage.nbytes() // tensor.itemsize
            _refuse(f"declares a tensor of {tensor.numel():,} elements, but contains {elements:,}")
    if sum(storages.values()) > size:
        _refuse(f"declares tensors of {sum(storages.values()):,} bytes, but the whole file has {size:,}")


def _is_not_downloaded(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(512).lstrip().lower().startswith(_NOT_DOWNLOADED)
    except OSError:
        return False


def _refuse(reason: str) -> NoReturn:
    raise ValueError(reason)
