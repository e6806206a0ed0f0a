"""Checkpoints that would run code, that are damaged, or that claim more than they have."""

import builtins
import io
import os
import pickle
import resource
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._utils import _rebuild_tensor_v2

from speaq.checkpoints.weights import read_weights
from speaq.cli import app, run
from speaq.errors import SpeaqError

HUGE = 10**12


class Calls:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def zipped(content: Any, **entries: bytes) -> bytes:
    """An archive as torch.save writes it, with other entries besides."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/version", b"3\n")
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def saved(content: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def stored(elements: int, size: tuple[int, ...], stride: tuple[int, ...], *, legacy: bool = False) -> bytes:
    """A float32 tensor named input_proj.bias with the sizes given, and four values in the file."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            pid = ("storage", torch.FloatStorage, "0", "cpu", elements, None)
            return pid[: 6 if legacy else 5] if isinstance(obj, Storage) else None

    rebuild = Calls(_rebuild_tensor_v2, Storage(), 0, size, stride, False, {})
    file = io.BytesIO()
    Pickler(file, protocol=2).dump({"input_proj.bias": rebuild})
    values = np.arange(4, dtype=np.float32).tobytes()
    if legacy:
        header = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
        pickles = b"".join(pickle.dumps(part, protocol=2) for part in header)
        return (
            pickles
            + file.getvalue()
            + pickle.dumps(["0"], protocol=2)
            + elements.to_bytes(8, "little")
            + values
        )
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in {"data.pkl": file.getvalue(), "version": b"3\n", "data/0": values}.items():
            archive.writestr(f"archive/{name}", data)
    return whole.getvalue()


def compressed() -> bytes:
    """A small archive that would become a large one."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("archive/data/0", bytes(10**7))
    return file.getvalue()


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", "pickle", "../escaped"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file.getvalue()


def changing_a_function() -> bytes:
    """BUILD on what numpy makes arrays with."""
    return b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n}X\x04\x00\x00\x00call" + b"K\x01sb."


def an_array(shape: tuple[int, ...]) -> Calls:
    return Calls(np.empty(0).__reduce__()[0], np.ndarray, shape, b"b")


MARKER = "executed"
SYSTEM = Calls(os.system, f"touch {MARKER}")
EVAL = Calls(builtins.eval, f"open({MARKER!r}, 'w')")
WHOLE = saved({"model": {"detr.input_proj.bias": torch.ones(3)}})
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "system.pth": (lambda: saved({"model": SYSTEM}), "holds a posix.system"),
    "system.pkl": (lambda: pickle.dumps({"model": SYSTEM}), "holds a posix.system"),
    "system_old.pth": (
        lambda: saved({"model": SYSTEM}, _use_new_zipfile_serialization=False),
        "holds a posix.system",
    ),
    "eval.pth": (lambda: zipped({"model": EVAL}), "holds a __builtin__.eval"),
    "eval.pkl": (lambda: pickle.dumps({"model": EVAL}, protocol=4), "holds a builtins.eval"),
    "getattr.pkl": (
        lambda: pickle.dumps(Calls(getattr, "x", "upper"), protocol=4),
        "holds a builtins.getattr",
    ),
    "memory.pth": (lambda: zipped({"model": Calls(bytearray, HUGE)}), "holds a __builtin__.bytearray"),
    "function.pkl": (changing_a_function, "found none"),
    "encode.pkl": (
        lambda: pickle.dumps(Calls(__import__("codecs").encode, "x", "idna"), protocol=2),
        "holds text in idna",
    ),
    "tar.pth": (tar, "does not begin like a file written by torch.save"),
    "escaping.pth": (lambda: zipped({}, **{"../../escaped": b"x"}), "paths that lead outside of it"),
    "absolute.pth": (lambda: zipped({}, **{"/escaped": b"x"}), "paths that lead outside of it"),
    "nothing_in_it.pth": (lambda: zipped({}).replace(b"data.pkl", b"date.pkl"), "archive without tensors"),
    "bomb.pth": (compressed, "torch.save has not written"),
    "truncated.pth": (lambda: WHOLE[: len(WHOLE) // 2], "not a zip file"),
    "magic.pth": (lambda: b"PK\x05\x05" + WHOLE[4:], "does not begin like a file written by torch.save"),
    "notes.pth": (lambda: b"lr 0.0001\nepochs 40\n" * 20, "does not begin like a file written by torch.save"),
    "notes.pkl": (lambda: b"lr 0.0001\nepochs 40\n" * 20, "not a checkpoint of plain tensors"),
    "page.pth": (lambda: b"\n<!DOCTYPE html><html>404 Not Found</html>", "download it again"),
    "page.pkl": (lambda: b"<html><body>Quota exceeded</body></html>", "download it again"),
    "pointer.pth": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "download it again",
    ),
    "empty.pth": (lambda: b"", "empty"),
    "empty.pkl": (lambda: b"", "empty"),
    "empty.safetensors": (lambda: b"", "not a readable safetensors file"),
    "claims.pth": (lambda: stored(HUGE, (HUGE,), (1,)), "declares more data than it contains"),
    "claims_old.pth": (
        lambda: stored(HUGE, (HUGE,), (1,), legacy=True),
        "declares more data than it contains",
    ),
    "repeats.pth": (
        lambda: stored(4, (HUGE,), (0,)),
        "declares a tensor of 1,000,000,000,000 elements, but contains 4",
    ),
    "negative.pth": (lambda: stored(4, (-1, -4), (1, 1)), "is damaged"),
    "claims.pkl": (lambda: pickle.dumps({"model": {"a": an_array((HUGE,))}}), "declares an array of shape"),
    "makes.pkl": (lambda: pickle.dumps({"a": Calls(np.ndarray, (HUGE,))}), "makes an array without values"),
    "memo.pkl": (lambda: b"\x80\x02Nr\xff\xff\xff\x7f.", "declares more bytes than the file contains"),
    "memo_text.pkl": (lambda: b"\x80\x02Np2147483647\n.", "declares more bytes than the file contains"),
    "bytes.pkl": (
        lambda: b"\x80\x05\x96" + (10**10).to_bytes(8, "little") + b".",
        "not a checkpoint of plain tensors",
    ),
    "some_memory.pth": (
        lambda: zipped({"model": Calls(bytearray, 10**10)}),
        "holds a __builtin__.bytearray",
    ),
    "claims_some_old.pth": (
        lambda: stored(5 * 10**8, (5 * 10**8,), (1,), legacy=True),
        "declares more data than it contains",
    ),
    "claims_array.pth": (lambda: saved({"model": {"a": an_array((10**9,))}}), "declares an array of shape"),
    "makes.pth": (lambda: zipped({"a": Calls(np.ndarray, (10**9,))}), "makes an array without values"),
    "meta.pth": (
        lambda: saved({"a": torch.ones(10**10, device="meta")}),
        "holds a torch._utils._rebuild_meta_tensor_no_storage",
    ),
    "objects.pkl": (
        lambda: pickle.dumps({"model": {"a": np.array([{}, []], dtype=object)}}),
        "holds an array of the type 'O8'",
    ),
    "objects.pth": (lambda: saved({"a": np.array([None], dtype=object)}), "holds an array of the type 'O8'"),
    "texts.pkl": (lambda: pickle.dumps({"a": np.array(["a"])}), "holds an array of the type 'U1'"),
    "complex.pth": (
        lambda: saved({"a": torch.ones(2, dtype=torch.complex64)}),
        "holds a torch.ComplexFloatStorage",
    ),
    "sparse.pth": (
        lambda: saved({"a": torch.eye(2).to_sparse()}),
        "holds a torch._utils._rebuild_sparse_tensor",
    ),
    "no_values.pth": (lambda: saved({"a": torch.ones(0, 5)}), "is (0, 5) torch.float32, not weights"),
    "nested.pth": (lambda: saved({"model": {"backbone": {"a": torch.ones(1)}}}), "found none"),
    "circle.pkl": (lambda: pickle.dumps(circle()), "found none"),
    "header.safetensors": (lambda: (HUGE).to_bytes(8, "little") + b"{}", "not a readable safetensors file"),
    "offsets.safetensors": (
        lambda: safetensors({"a": {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}),
        "not a readable safetensors file",
    ),
}


def circle() -> dict:
    content: dict = {}
    content["model"] = content
    return content


def safetensors(header: dict) -> bytes:
    text = str(header).replace("'", '"').encode()
    return len(text).to_bytes(8, "little") + text + bytes(16)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_and_not_executed(name, tmp_path, monkeypatch):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    make, reason = HOSTILE[name]
    (folder / name).write_bytes(make())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SpeaqError) as caught:
        read_weights(folder / name)
    assert str(caught.value).startswith(f"{folder / name}: ")
    assert reason in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / name]


@pytest.mark.parametrize("name", ["system.pth", "system.pkl", "page.pth", "claims.pth", "header.safetensors"])
def test_convert_command_refuses_hostile_files(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, reason = HOSTILE[name]
    Path(name).write_bytes(make())
    Path("dicts.json").write_text('{"label_to_idx": {"a": 1}, "predicate_to_idx": {"b": 1}}')
    with pytest.raises(SystemExit) as stop:
        run(app, ["convert", name, "out", "--mapping", "dicts.json"])
    assert stop.value.code == 2
    assert reason in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["dicts.json", name])


def test_hostile_calls_would_execute_without_protection(tmp_path, monkeypatch):
    for call in (SYSTEM, EVAL):
        monkeypatch.chdir(tmp_path)
        pickle.loads(pickle.dumps(call))
        (tmp_path / MARKER).unlink()


def test_same_files_with_correct_sizes_are_read(tmp_path):
    for legacy in (False, True):
        path = tmp_path / f"honest{legacy}.pth"
        path.write_bytes(stored(4, (2, 2), (2, 1), legacy=legacy))
        assert read_weights(path)["projection.bias"].tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("new", [True, False])
def test_read_weights_of_other_precisions_and_devices(tmp_path, monkeypatch, dtype, new):
    # As saved on a machine with two GPUs.
    monkeypatch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
    path = tmp_path / "model.pth"
    state = {"detr.input_proj.bias": torch.tensor([0.5, -2.0], dtype=dtype)}
    parameter = torch.nn.Parameter(torch.ones(2))
    torch.save(
        {"model": {**state, "detr.input_proj.weight": parameter}}, path, _use_new_zipfile_serialization=new
    )
    weights = read_weights(path)
    assert weights["projection.bias"].device.type == "cpu"
    assert weights["projection.bias"].dtype == dtype
    assert weights["projection.bias"].tolist() == [0.5, -2]
    assert not weights["projection.weight"].requires_grad
