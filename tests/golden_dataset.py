"""Recorded contents of the golden dataset of 120 images, and the filter settings they belong to."""

import json
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
TINY = GOLDEN / "vg_tiny"
EXPECTED = json.loads((GOLDEN / "dataset.json").read_text())
FILTERS = {
    "default": {},
    "keep_empty": {"filter_empty_relations": False},
    "non_overlap": {"filter_non_overlap": True},
}
