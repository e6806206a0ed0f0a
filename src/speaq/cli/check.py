"""``speaq data check``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.types import NonNegativeInt

if TYPE_CHECKING:
    from rich.console import Console

    from speaq.tools.data_check.report import Report


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatasetFiles:
    """The files of a dataset, as options.

    Attributes:
        images: folder of the images.
        image_data: JSON list of the images.
        mapping_dictionary: JSON of the class names.
        vg_attribute_h5: HDF5 annotations.
    """

    images: Path | None = None
    image_data: Path | None = None
    mapping_dictionary: Annotated[Path | None, Parameter(name="--mapping")] = None
    vg_attribute_h5: Annotated[Path | None, Parameter(name="--h5")] = None


def check(
    *arguments: str,
    config_file: Path | None = None,
    files: DatasetFiles | None = None,
    open_images: bool = False,
    strict: bool = False,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    fix: Path | None = None,
    limit: NonNegativeInt = 3,
) -> None:
    """Find all problems of a dataset.

    The exit code is 0 without errors (with --fix: none in the copy), otherwise 1; 2 if a path does not exist.

    Args:
        arguments: folder of a dataset; with --config-file, KEY VALUE pairs that override it.
        config_file: YAML configuration; every dataset under DATASETS that has paths is checked.
        files: of the dataset, instead of its folder.
        open_images: also open every image file, to find wrong sizes, unreadable files and duplicates.
        strict: exit with 1 also if there are warnings.
        json_file: also write the counts and findings to this JSON file.
        fix: write a repaired copy to this new folder; the images stay where they are.
        limit: maximum number of examples of each finding.
    """
    from rich.markup import escape
    from rich.progress import Progress

    from speaq.console import PlainConsole
    from speaq.tools.data_check.check import check_dataset
    from speaq.tools.data_check.repair import find_targets
    from speaq.tools.data_check.report import Report
    from speaq.tools.data_check.sources import find_sources

    sources = find_sources(arguments, config_file, vars(files or DatasetFiles()))
    targets = [] if fix is None else find_targets(fix, sources)
    console = PlainConsole()
    checks = []
    with Progress(console=PlainConsole(stderr=True), transient=True) as bar:
        for source in sources:
            task = bar.add_task(escape(source.name), total=None)
            checks.append(
                check_dataset(
                    source,
                    limit=limit,
                    open_images=open_images,
                    open_unsized=fix is not None,
                    progress=lambda done, total, task=task: bar.update(task, completed=done, total=total),
                )
            )
            bar.update(task, visible=False)
    report = Report(checks, limit=limit)
    report.show(console)
    if json_file is not None:
        report.save(json_file)
    if fix is not None:
        report = _fix(report, fix, targets, limit, open_images, console)
    if report.count("error") or (strict and report.count("warning")):
        raise SystemExit(1)


def _fix(
    report: "Report", folder: Path, targets: list[Path], limit: int, open_images: bool, console: "Console"
) -> "Report":
    """Write the copies, print the changes, check the copies, and return the report on them."""
    from speaq.data.vg_writer import DATASET_FILE
    from speaq.tools.data_check.check import check_dataset
    from speaq.tools.data_check.repair import (
        describe_size,
        list_changes,
        write_repaired,
        write_settings,
    )
    from speaq.tools.data_check.report import Report

    written, results = [], []
    for check, target in zip(report.checks, targets, strict=True):
        name = check.source.name
        if check.valid is None:
            console.print(f"\n{name} cannot be repaired: {'; '.join(check.obstacles)}.", style="bold red")
            results.append(check)
            continue
        repaired = write_repaired(check, target)
        console.print(f"\n{name} repaired in {target}", style="bold")
        console.print(f"    the copy has {describe_size(check)}")
        for change, count in list_changes(check).items():
            console.print(f"    {count:,}  {change}")
        written.append(repaired)
        results.append(check_dataset(repaired, limit=limit, open_images=open_images))
    after = Report(results, limit=limit)
    if not written:
        console.print("No files were written.")
        return after
    write_settings(folder / DATASET_FILE, written)
    console.print(f"    configuration with all paths: {folder / DATASET_FILE} (for --config-file or _BASE_)")
    for finding in after.findings:
        if finding.severity != "note":
            remaining = f"    not repaired: {finding.severity} {finding.code}, {finding.count:,}"
            console.print(remaining, style="yellow")
    sets = "The repaired data set has" if len(results) == 1 else "The repaired data sets have"
    if len(written) < len(results):
        sets = f"{len(written)} of {len(results)} data sets repaired; with the unrepaired ones they have"
    console.print(sets, after.summary())
    return after
