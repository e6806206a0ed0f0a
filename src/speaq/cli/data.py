"""``speaq data``."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.types import NonNegativeInt

from speaq.cli.check import DatasetFiles, check
from speaq.cli.convert_data import convert

app = App(name="data", help="Generate, convert, check and summarize datasets.")
app.command(check)
app.command(convert)


@app.command
def generate(
    folder: Path,
    *,
    num_images: int = 3000,
    num_val: int = 300,
    num_test: int = 300,
    image_size: Annotated[tuple[int, int], Parameter(negative=())] = (128, 128),
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
        image_ids: int as in Visual Genome, or string as in synthetic datasets; by default int for photo and
            string for flat.
        workers: number of processes; by default one per CPU core.
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
        f"{num_images + num_val + num_test} images. To train on them:\n\n"
        f"DATASETS:\n  {section}:\n{paths}    FILTER_NON_OVERLAP: false\n"
    )


@app.command
def stats(
    *arguments: str,
    config_file: Path | None = None,
    files: DatasetFiles | None = None,
    csv: Path | None = None,
    top: NonNegativeInt = 20,
) -> None:
    """Print the numbers of images, boxes and relations in a dataset, by split, class, predicate and triplet.

    Everything in the files is counted; no FILTER_ setting is applied.

    Args:
        arguments: folder of a dataset; with --config-file, KEY VALUE pairs that override it.
        config_file: YAML configuration; every dataset under DATASETS that has paths is counted.
        files: of the dataset, instead of its folder.
        csv: also write the complete tables to this folder.
        top: maximum number of rows to print of the tables of classes and triplets.
    """
    from rich.text import Text

    from speaq.console import PlainConsole
    from speaq.tools.data_check.counts import count_source
    from speaq.tools.data_check.sources import find_sources

    sources = find_sources(arguments, config_file, vars(files or DatasetFiles()))
    console = PlainConsole()
    for source in sources:
        console.print(Text.assemble((source.name, "bold"), f"  {source.annotations}"), soft_wrap=True)
        for table in count_source(source):
            console.print(table.as_rich(top), "")
            if csv is not None:
                folder = csv if len(sources) == 1 else csv / source.name.lower()
                table.save(folder / f"{table.name}.csv")
