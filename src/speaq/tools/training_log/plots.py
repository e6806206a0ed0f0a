"""All pictures and the table of one training or several."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.tools.training_log.dynamics import draw_dynamics
from speaq.tools.training_log.history import TrainingHistory
from speaq.tools.training_log.losses import draw_components, draw_layers, draw_sources
from speaq.tools.training_log.overview import draw_overview
from speaq.tools.training_log.predicates import draw_predicates
from speaq.tools.training_log.reading import read_histories
from speaq.tools.training_log.table import write_table
from speaq.tools.training_log.validation import draw_metrics
from speaq.visualize.charts import chart_look

TABLE = "training_log.csv"
_NOTHING = {
    "training_overview": "nothing that it shows was logged",
    "detailed_loss_components": "no loss terms were logged",
    "relation_loss_components": "no loss terms of relations were logged",
    "real_vs_synthetic_losses": "no losses by source of data were logged; trainings on several do that",
    "validation_metrics_detailed": "no evaluation was logged",
    "recall_per_predicate": "no recalls by predicate were logged (the lines below SGG eval in log.txt)",
    "training_dynamics": "neither learning rate nor speed was logged",
}


@dataclass(frozen=True, slots=True)
class TrainingPlots:
    """What was drawn.

    Attributes:
        histories: the runs as they were read.
        pictures: the files that were written.
        table: the CSV file that was written.
        left_out: names of pictures without anything to show, and why.
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
    """Draw the course of trainings from their logs.

    Args:
        paths: log.txt, metrics.json or the folder of each run; several are overlaid.
        output_dir: where pictures and the table are written. A picture of a former call that has nothing to
            show now is deleted there.
        smooth: points of the running median; 1 for none, None takes 1/60 of a run's points.
        dpi: dots per inch of the pictures.

    Raises:
        SpeaqError: a log cannot be read or is none, a setting makes no sense, or a file cannot be written.
    """
    if smooth is not None and smooth < 1:
        raise SpeaqError(f"expected a number of points to smooth over, 1 or more, found {smooth}")
    if not 20 <= dpi <= 600:
        raise SpeaqError(f"expected 20 to 600 dots per inch, found {dpi}")
    histories, folder = read_histories(paths), Path(output_dir)
    draws: dict[str, Callable[[Sequence[TrainingHistory]], Figure | None]] = {
        "training_overview": partial(draw_overview, smooth=smooth),
        "detailed_loss_components": partial(draw_components, smooth=smooth),
        "relation_loss_components": partial(draw_layers, smooth=smooth),
        "real_vs_synthetic_losses": partial(draw_sources, smooth=smooth),
        "validation_metrics_detailed": draw_metrics,
        "recall_per_predicate": draw_predicates,
        "training_dynamics": partial(draw_dynamics, smooth=smooth),
    }
    names = [name for history in histories for name in _names(history)]
    pictures, left_out = [], {}
    for picture, draw in draws.items():
        path = folder / f"{picture}.png"
        with chart_look(names):
            figure = draw(histories)
            if figure is None:
                left_out[picture] = _NOTHING[picture]
                path.unlink(missing_ok=True)
                continue
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi=dpi)
        pictures.append(path)
    write_table(histories, folder / TABLE)
    return TrainingPlots(histories, pictures, folder / TABLE, left_out)


def _names(history: TrainingHistory) -> list[str]:
    """Whatever may be written in pictures and is not ours."""
    evaluations = [found for points in history.evaluations.values() for found in points.values()]
    predicates = {name for evaluation in evaluations for name in evaluation.predicates}
    return [history.name, *history.evaluations, *history.names(), *predicates]
