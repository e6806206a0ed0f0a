"""Small data sets in Visual Genome format for the tests of this folder."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from golden_dataset import open_dataset
from speaq.data.visual_genome import VisualGenome


class DatasetFiles:
    """The files of a data set of 4 images (3 for training, 1 for test) to be changed and then opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: Any = [{"image_id": i, "width": 64, "height": 32} for i in (11, 12, 13, 14)]
        self.names: Any = {
            "label_to_idx": {"cat": 2, "dog": 1, "tree": 3},
            "predicate_to_idx": {"left of": 1, "right of": 2, "on": 3},
        }
        # Boxes (cx, cy, w, h) in a frame of 1024; images 0 to 3 have 2, 3, 1 and 2 of them.
        self.arrays: dict[str, np.ndarray] = {
            "split": np.array([0, 0, 0, 2]),
            "img_to_first_box": np.array([0, 2, 5, 6]),
            "img_to_last_box": np.array([1, 4, 5, 7]),
            "img_to_first_rel": np.array([0, 2, -1, 4]),
            "img_to_last_rel": np.array([1, 3, -1, 4]),
            "labels": np.array([1, 2, 3, 1, 1, 2, 3, 2])[:, None],
            "boxes_1024": np.array(
                [
                    [200, 200, 101, 100],
                    [220, 220, 100, 100],
                    [1, 100, 5, 60],
                    [500, 100, 60, 60],
                    [520, 100, 60, 60],
                    [300, 200, 64, 64],
                    [100, 100, 64, 64],
                    [400, 100, 64, 64],
                ]
            ),
            "relationships": np.array([[0, 1], [1, 0], [2, 3], [3, 4], [6, 7]]),
            "predicates": np.array([1, 3, 2, 2, 1])[:, None],
        }

    def write(self) -> "DatasetFiles":
        (self.folder / "images").mkdir(exist_ok=True)
        (self.folder / "image_data.json").write_text(json.dumps(self.entries))
        (self.folder / "dicts.json").write_text(json.dumps(self.names))
        with h5py.File(self.folder / "VG.h5", "w") as file:
            for key, values in self.arrays.items():
                file[key] = values
        return self

    def image(self, name: str, width: int = 64, height: int = 32) -> Path:
        path = self.folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (width, height), (200, 100, 50)).save(path)
        return path

    def open(self, split: Any = "train", **options: Any) -> VisualGenome:
        return open_dataset(self.write().folder, split=split, **options)


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Annotations of more than two images are mapped into memory, from this folder."""
    folder = tmp_path / "cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(folder))
    monkeypatch.setattr(VisualGenome, "in_memory", 2)
    return folder


@pytest.fixture
def files(tmp_path: Path) -> DatasetFiles:
    return DatasetFiles(tmp_path)
