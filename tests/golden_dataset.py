"""Recorded contents of the golden dataset of 120 images, and the filter settings they belong to."""

import json
from pathlib import Path
from typing import Any

from speaq.config.data import DatasetSection
from speaq.data.visual_genome import VisualGenome

GOLDEN = Path(__file__).parent / "golden"
TINY = GOLDEN / "vg_tiny"
EXPECTED = json.loads((GOLDEN / "dataset.json").read_text())
FILTERS = {
    "default": {},
    "keep_empty": {"filter_empty_relations": False},
    "non_overlap": {"filter_non_overlap": True},
}


def open_dataset(
    folder: Path, annotations: str = "VG.h5", split: Any = "train", images: Path | None = None, **options: Any
) -> VisualGenome:
    """The data set in a folder; ``options`` are arguments of `VisualGenome` and keys of its section."""
    loading = {name: options.pop(name) for name in ("source", "loss_weight", "max_pixels") if name in options}
    section = {
        "images": str(images or folder / "images"),
        "image_data": str(folder / "image_data.json"),
        "mapping_dictionary": str(folder / "dicts.json"),
        "vg_attribute_h5": str(folder / annotations),
        "filter_non_overlap": False,
        "number_of_validation_images": 0,
        **options,
    }
    return VisualGenome(DatasetSection(**section), split, **loading)
