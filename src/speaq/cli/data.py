"""``speaq data``."""

import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

app = App(name="data", help="Make data sets.", help_format="plaintext")


@app.command
def generate(
    folder: Path,
    *,
    num_images: int = 3000,
    image_size: int = 128,
    style: Literal["photo", "flat"] = "photo",
    seed: int = 0,
    workers: int | None = None,
) -> None:
    """Draw a data set of little scenes, in Visual Genome format."""
    sys.stdout.write(f"{folder} {num_images} {image_size} {style} {seed} {workers}\n")
