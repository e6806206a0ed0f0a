"""``speaq data``."""

import os
import sys
from pathlib import Path
from typing import Literal

from cyclopts import App

from speaq.cli.check import check
from speaq.cli.convert_data import convert
from speaq.cli.stats import stats

app = App(name="data", help="Generate, convert, check and count datasets.", help_format="plaintext")
app.command(check)
app.command(convert)
app.command(stats)


@app.command
def generate(
    folder: Path,
    *,
    num_images: int = 3000,
    num_val: int = 300,
    num_test: int = 300,
    image_size: tuple[int, int] = (128, 128),
    num_classes: int = 10,
    num_predicates: int = 9,
    style: Literal["photo", "flat"] = "photo",
    seed: int = 0,
    image_ids: Literal["int", "string"] | None = None,
    workers: int | None = None,
) -> None:
    """Generate a dataset of drawn scenes in Visual Genome format.

    Args:
        folder: output folder, created if it does not exist.
        num_images: number of training images.
        num_val: number of validation images.
        num_test: number of test images.
        image_size: width and height in pixels.
        num_classes: number of object classes.
        num_predicates: number of predicates.
        style: photo: textured, shaded and noisy, like real images; flat: clean, like synthetic images.
        seed: seed of the random scenes.
        image_ids: int as in Visual Genome or string as in synthetic sets; by default int for photo, string
            for flat.
        workers: number of processes; by default one per core.
    """
    from rich.progress import Progress

    from speaq.tools.scenes import generate_dataset

    with Progress(transient=True) as bar:
        task = bar.add_task("drawing", total=num_images + num_val + num_test)
        files = generate_dataset(
            folder,
            num_images=num_images,
            num_val=num_val,
            num_test=num_test,
            image_size=image_size,
            num_classes=num_classes,
            num_predicates=num_predicates,
            style=style,
            seed=seed,
            image_ids=image_ids,
            workers=workers or os.cpu_count() or 1,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    section = "VISUAL_GENOME" if style == "photo" else "SYNTHETIC_GENOME"
    paths = "".join(f"    {key}: {path}\n" for key, path in files.settings.items())
    sys.stdout.write(
        f"{num_images + num_val + num_test} images. To train on them:\n\nDATASETS:\n  {section}:\n{paths}"
    )
