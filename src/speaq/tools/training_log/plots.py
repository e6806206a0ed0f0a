"""Writes all figures and the table of one training or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.tools.training_log import figures
from speaq.tools.training_log.history import TrainingHistory
from speaq.tools.training_log.reading import read_histories
from speaq.visualize.charts import chart_style

TABLE = "training_log.csv"
_NO_SOURCES = "no losses by source of data were logged; trainings on several do that"
_NO_PREDICATES = "no recalls by predicate were logged (the lines below SGG eval in log.txt)"
# File name, how it is drawn, and why it may be left out.
_FIGURES: tuple[tuple[str, Callable[..., Figure | None], str], ...] = (
    ("training_overview", figures.draw_overview, "none of its values was logged"),
    ("detailed_loss_components", figures.draw_loss_terms, "no loss terms were logged"),
    ("relation_loss_components", figures.draw_layers, "no loss terms of relations were logged"),
    ("real_vs_synthetic_losses", figures.draw_sources, _NO_SOURCES),
    ("validation_metrics_detailed", figures.draw_metrics, "no evaluation was logged"),
    ("recall_per_predicate", figures.draw_predicate_recalls, _NO_PREDICATES),
    ("training_dynamics", figures.draw_dynamics, "neither learning rate nor speed was logged"),
)
_NOT_SMOOTHED = (figures.draw_metrics, figures.draw_predicate_recalls)


@dataclass(frozen=True, slots=True)
class TrainingPlots:
    """What `plot_training_logs` read and wrote.

    Attributes:
        histories: of the runs.
        pictures: the PNG files of the figures.
        table: the CSV file.
        left_out: by the name of a figure without data, the reason.
    """

    histories: list[TrainingHistory]
    pictures: list[Path]
    table: Path
    left_out: dict[str, str]


def plot_training_logs(
    paths: Sequence[str | Path],
    output_dir: str | Path = "training_plots",
    *,
    smooth: int | None = None,
    dpi: int = 150,
) -> TrainingPlots:
    """Plot training runs from their logs: PNG figures and a CSV table.

    Args:
        paths: log.txt, metrics.json, TensorBoard event file or the folder of each run; several are overlaid.
        output_dir: where the files are written. Figures of an earlier call that have no data now are deleted.
        smooth: window of the running median, in points; 1 for none, None for 1/60 of the points of a run.
        dpi: dots per inch of the figures.

    Raises:
        SpeaqError: a file cannot be read or is not a log, an argument is out of range, or a file cannot be
            written.
    """
    if smooth is not None and smooth < 1:
        raise SpeaqError(f"expected a number of points to smooth over, 1 or more, found {smooth}")
    if not 20 <= dpi <= 600:
        raise SpeaqError(f"expected 20 to 600 dots per inch, found {dpi}")
    histories, folder = read_histories(paths), Path(output_dir)
    names = [str(name) for history in histories for name in (history.name, *history.columns)]
    pictures, left_out = [], {}
    for stem, draw, reason in _FIGURES:
        path = folder / f"{stem}.png"
        with chart_style(names):
            options = {} if draw in _NOT_SMOOTHED else {"smooth": smooth}
            if (figure := draw(histories, **options)) is None:
                left_out[stem] = reason
                path.unlink(missing_ok=True)
                continue
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=dpi)
        pictures.append(path)
    write_table(histories, folder / TABLE)
    return TrainingPlots(histories, pictures, folder / TABLE, left_out)


def write_table(histories: Sequence[TrainingHistory], path: Path) -> None:
    """Write all values as CSV: a row for every run and iteration, a column for every value.

    Columns have the names in the log. A value that was not logged is empty; one that was logged and is not
    finite is nan or inf.

    Raises:
        SpeaqError: the file cannot be written.
    """
    tables = {}
    for history in histories:
        columns = {
            str(name): column.astype(object).where(column.notna(), "nan") if column.hasnans else column
            for name, column in history.columns.items()
        }
        tables[history.name] = pd.concat(columns, axis=1).sort_index()
    table = pd.concat(tables, names=["run", "iteration"])
    metrics = {str(metric) for history in histories for metric in history.metrics}
    with replacing(path) as temporary:  # scalars first
        table.to_csv(temporary, columns=sorted(table.columns, key=metrics.__contains__), encoding="utf-8")
