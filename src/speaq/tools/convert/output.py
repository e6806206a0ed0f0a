"""Writing the text files of a converted set."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from speaq.files import replacing


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file.

    Raises:
        SpeaqError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def round_boxes(boxes: np.ndarray) -> list[list[float]]:
    """Boxes (N, 4) in pixels with four decimals, which keeps files readable and an error below 1e-4."""
    return np.round(boxes, 4).tolist()
