"""Files and folders that are written whole or not at all, and files that are read without running code."""

import os
import sys

import numpy as np
import pytest
import torch

from speaq.errors import SpeaqError
from speaq.files import read_tensors, replacing_folder, replacing_hdf5


def test_replacing_folder_replaces_all_files(tmp_path):
    folder = tmp_path / "sub" / "folder"
    for text in ("first", "second"):
        with replacing_folder(folder) as partial:
            (partial / text).write_text(text)
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def test_a_failure_leaves_the_former_folder(tmp_path):
    folder = tmp_path / "folder"
    (tmp_path / ".folder.part").mkdir()  # of a run that was killed
    (tmp_path / ".folder.part" / "half").touch()
    with replacing_folder(folder) as partial:
        assert not list(partial.iterdir())
        (partial / "first").touch()
    with pytest.raises(RuntimeError), replacing_folder(folder) as partial:
        (partial / "second").touch()
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    message = "file/folder: cannot write this folder"
    with pytest.raises(SpeaqError, match=message), replacing_folder(tmp_path / "file" / "folder"):
        pass


class Code:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_read_tensors_runs_no_code(tmp_path):
    path = tmp_path / "tensors.pt"
    torch.save({"a": torch.ones(9)}, path)
    whole = path.read_bytes()
    assert read_tensors(path, "again")["a"].sum() == 9
    for content in (b"", b"hello\nworld", whole[: len(whole) // 2], b"a" * 99):
        path.write_bytes(content)
        with pytest.raises(SpeaqError, match=r"tensors\.pt: expected tensors saved by torch.save.*; again"):
            read_tensors(path, "again")
    torch.save({"a": Code(tmp_path / "made")}, path)
    with pytest.raises(SpeaqError, match="or other Python objects; again"):
        read_tensors(path, "again")
    assert not (tmp_path / "made").exists()
    with pytest.raises(SpeaqError, match=r"none\.pt: cannot read this file .No such file"):
        read_tensors(tmp_path / "none.pt", "again")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of file sizes")
@pytest.mark.parametrize("limit", [0, 700, 5000, 100_000])
def test_a_full_disk_refuses_hdf5_files_and_keeps_the_former_one(limit, tmp_path):
    import resource

    path = tmp_path / "a.h5"
    path.write_text("former")
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, former[1]))
    try:
        message = r"a.h5: cannot write this file: .*File too large"
        with pytest.raises(SpeaqError, match=message), replacing_hdf5(path) as file:
            rows = file.create_dataset("rows", (0, 9), "f4", maxshape=(None, 9), chunks=(100, 9))
            rows.resize(9000, axis=0)
            rows[:] = np.ones((9000, 9))
            file["names"] = ["a", "b"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert [each.name for each in tmp_path.iterdir()] == ["a.h5"]
    assert path.read_text() == "former"
