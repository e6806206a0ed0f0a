"""A copy of the golden dataset of 120 images that tests damage, write and check."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from golden_dataset import TINY
from speaq.config.data import DatasetSection
from speaq.data.visual_genome import VisualGenome
from speaq.tools.data_check.check import DatasetCheck, check_dataset
from speaq.tools.data_check.sources import Source


class DamagedDataset:
    """The files of a dataset, written by `write` and `check`.

    Attributes:
        arrays: arrays of the HDF5 file.
        entries: entries of the image list.
        names: contents of the dictionary.
        texts: contents that replace a file, by file name.
        gone: names of image files to leave out.
        corrupted: CORRUPTED_IMAGES.
        box_scale: BOX_SCALE.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with h5py.File(TINY / "VG.h5") as file:
            self.arrays: dict[str, Any] = {key: np.asarray(file[key]) for key in file}
        self.entries: Any = json.loads((TINY / "image_data.json").read_text())
        self.names: Any = json.loads((TINY / "dicts.json").read_text())
        self.texts: dict[str, bytes] = {}
        self.gone: set[str] = set()
        self.corrupted: tuple[str, ...] = ()
        self.box_scale: Any = 1024

    @property
    def source(self) -> Source:
        return Source(
            "VISUAL_GENOME",
            DatasetSection(
                images=str(self.folder / "images"),
                image_data=str(self.folder / "image_data.json"),
                mapping_dictionary=str(self.folder / "dicts.json"),
                vg_attribute_h5=str(self.folder / "VG.h5"),
                corrupted_images=self.corrupted,
                box_scale=self.box_scale,
                number_of_validation_images=0,
            ),
        )

    def box(self, row: int, box: tuple[float, float, float, float]) -> None:
        """Set a box in both frames, in units of the larger one."""
        self.arrays["boxes_1024"][row] = box
        self.arrays["boxes_512"][row] = np.array(box) // 2

    def write(self) -> None:
        (self.folder / "images").mkdir(parents=True, exist_ok=True)
        for path in (TINY / "images").iterdir():
            if path.name not in self.gone:
                shutil.copyfile(path, self.folder / "images" / path.name)
        with h5py.File(self.folder / "VG.h5", "w") as file:
            for key, values in self.arrays.items():
                file[key] = values
        (self.folder / "image_data.json").write_text(json.dumps(self.entries))
        (self.folder / "dicts.json").write_text(json.dumps(self.names))
        for name, text in self.texts.items():
            (self.folder / name).write_bytes(text)

    def check(self, **options: Any) -> DatasetCheck:
        self.write()
        return check_dataset(self.source, **{"limit": 3, **options})


def error_counts(check: DatasetCheck) -> dict[str, int]:
    """Number of errors and warnings by code."""
    counts: dict[str, int] = {}
    for finding in check.findings:
        if finding.severity != "note":
            counts[finding.code] = counts.get(finding.code, 0) + finding.count
    return counts


def open_strictly(source: Source, split: Any) -> VisualGenome:
    """Open the dataset as training does."""
    everything = {"filter_empty_relations": False, "filter_non_overlap": False}
    return VisualGenome(source.section.model_copy(update=everything), split)
