"""``speaq plot log``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def log(
    *logs: Path,
    log_file: Annotated[
        tuple[Path, ...], Parameter(name=["--log-file", "--log-path"], consume_multiple=True, negative=())
    ] = (),
    output_dir: Path = Path("training_plots"),
    smooth: int | None = None,
    dpi: int = 150,
) -> None:
    """Plot a training: losses, learning rate, recalls. Several runs are overlaid.

    Args:
        logs: log.txt, metrics.json or the output folder of a training.
        log_file: the same as an option; it takes several paths.
        output_dir: where the figures (PNG) and training_log.csv are written.
        smooth: window of the running median in logged points; 1 for none, by default 1/60 of a run.
        dpi: dots per inch of the figures.
    """
    from speaq.console import PlainConsole
    from speaq.errors import SpeaqError
    from speaq.tools.training_log.plots import plot_training_logs
    from speaq.tools.training_log.summary import metrics_tables, remarks, training_table

    paths = [*logs, *log_file]
    if not paths:
        raise SpeaqError("no log is given; expected, for example, --log-file outputs/my_training/log.txt")
    console = PlainConsole()
    with console.status("drawing"):
        plots = plot_training_logs(paths, output_dir, smooth=smooth, dpi=dpi)
    if not console.is_terminal:
        console.width = 200  # a file has room for the columns of many runs
    console.print(training_table(plots.histories), *metrics_tables(plots.histories))
    for remark in remarks(plots.histories):
        console.print(f"Note: {remark}", soft_wrap=True)
    for name, reason in plots.left_out.items():
        console.print(f"Not drawn: {name}, as {reason}", soft_wrap=True)
    for path in (*plots.pictures, plots.table):
        console.print(f"Written: {path}", soft_wrap=True)
