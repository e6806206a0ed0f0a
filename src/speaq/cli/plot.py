"""``speaq plot``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from speaq.errors import SpeaqError

if TYPE_CHECKING:
    from speaq.config.data import DatasetSection
    from speaq.tools.distribution.comparison import What

app = App(name="plot", help="Plot training logs and the class distributions of datasets.")


@app.command
def log(
    *logs: Path,
    log_file: Annotated[
        tuple[Path, ...], Parameter(name=["--log-file", "--log-path"], consume_multiple=True, negative=())
    ] = (),
    output_dir: Path = Path("training_plots"),
    smooth: int | None = None,
    dpi: int = 150,
) -> None:
    """Plot losses, learning rate and metrics of one or more training runs.

    Args:
        logs: log.txt, metrics.json or output folder of a training run.
        log_file: the same as an option, for one or more paths.
        output_dir: folder to write the figures (PNG) and training_log.csv to.
        smooth: window of the running median, in logged points; 1 for none, by default 1/60 of a run.
        dpi: dots per inch of the figures.
    """
    from speaq.console import results_console
    from speaq.tools.training_log.plots import plot_training_logs
    from speaq.tools.training_log.summary import metrics_tables, remarks, training_table

    paths = [*logs, *log_file]
    if not paths:
        raise SpeaqError("no log is given; expected, for example, --log-file outputs/my_training/log.txt")
    console = results_console()
    with console.status("drawing"):
        plots = plot_training_logs(paths, output_dir, smooth=smooth, dpi=dpi)
    console.print(training_table(plots.histories), *metrics_tables(plots.histories))
    for remark in remarks(plots.histories):
        console.print(f"Note: {remark}", soft_wrap=True)
    for name, reason in plots.left_out.items():
        console.print(f"Not drawn: {name}, as {reason}", soft_wrap=True)
    for path in (*plots.pictures, plots.table):
        console.print(f"Written: {path}", soft_wrap=True)


@app.command
def predicates(
    *overrides: str,
    config_file: Path | None = None,
    real_mapping: Path | None = None,
    real_h5: Path | None = None,
    synthetic_mapping: Path | None = None,
    synthetic_h5: Path | None = None,
    output_dir: Path = Path("predicate_analysis"),
    split: Literal["train", "val", "test", "all"] = "train",
    what: str = "predicates",
    format: Literal["png", "pdf", "svg"] = "png",
) -> None:
    """Plot the predicate distribution of one or more datasets, and write statistics and counts.

    Datasets are given by a configuration (DATASETS.TYPE and DATASETS.TRAIN) or by their files.

    Args:
        overrides: KEY VALUE pairs that override the configuration file.
        config_file: YAML configuration of a training run.
        real_mapping: mapping dictionary (JSON) of the real dataset.
        real_h5: annotations (HDF5) of the real dataset.
        synthetic_mapping: mapping dictionary of the synthetic dataset.
        synthetic_h5: annotations of the synthetic dataset.
        output_dir: folder to write the charts, the statistics (JSON) and the counts (CSV) to.
        split: images to count, as marked in the file; validation images taken from train count as train.
        what: what to count: predicates, objects or triplets, or several of them separated by commas.
        format: file format of the charts; pdf and svg are vector formats for papers.
    """
    kinds = _kinds(what)
    files = {"real": (real_mapping, real_h5), "synthetic": (synthetic_mapping, synthetic_h5)}
    by_files = any(path for paths in files.values() for path in paths)
    if by_files == bool(config_file or overrides):
        raise SpeaqError(
            f"found {'both a configuration and files' if by_files else 'no data set'}; expected either "
            "--config-file FILE, or the files of one or two data sets: --real-mapping and --real-h5, "
            "--synthetic-mapping and --synthetic-h5."
        )

    from speaq.config import load_config
    from speaq.console import PlainConsole
    from speaq.tools.distribution.files import (
        compare_sets,
        save_charts,
        save_counts,
        save_statistics,
        sets_of,
    )
    from speaq.tools.distribution.summary import summary_tables

    sets = _named_files(files) if by_files else sets_of(load_config(config_file, overrides))
    console = PlainConsole()
    for comparison in compare_sets(sets, kinds, split=split):
        save_charts(comparison, output_dir, ending=format)
        save_statistics(comparison, output_dir / f"{comparison.stem}_statistics.json")
        save_counts(comparison, output_dir / f"{comparison.stem}_counts.csv")
        console.print(summary_tables(comparison))
    console.print(f"written to {output_dir}", soft_wrap=True)


def _kinds(what: str) -> "list[What]":
    """The kinds of class in a comma-separated list."""
    known: list[What] = ["predicates", "objects", "triplets"]
    words = {word.strip() for word in what.split(",")}
    if not words <= set(known):
        raise SpeaqError(f"--what: expected {', '.join(known)} or several of them; found {what!r}.")
    return [kind for kind in known if kind in words]


def _named_files(files: dict[str, tuple[Path | None, Path | None]]) -> "dict[str, DatasetSection]":
    """The datasets that are given by their files."""
    from speaq.config.data import DatasetSection

    sets = {}
    for name, (mapping, h5) in files.items():
        if mapping and h5:
            sets[name] = DatasetSection(mapping_dictionary=str(mapping), vg_attribute_h5=str(h5))
        elif mapping or h5:
            given, lacking = ("mapping", "h5") if mapping else ("h5", "mapping")
            raise SpeaqError(f"--{name}-{given} also needs --{name}-{lacking}.")
    return sets
