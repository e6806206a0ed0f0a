"""Where the course of a training is written: log.txt, metrics.json, event files and the terminal.

``log.txt`` keeps the form of detectron2's logs and ``metrics.json`` (a JSON object per line) its keys:
users have scripts that read them.
"""

import json
import logging
import math
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.training.recorder import Recorder

logger = logging.getLogger("speaq.training")
console = Console(stderr=True, markup=False, emoji=False)  # class names may hold [ and :

FOR_FILES = {"for_files": True}
"""Given as ``extra`` to a logging call: a line that a terminal need not show."""


def log_to(folder: Path, rank: int) -> None:
    """Send what the package logs to ``log.txt`` in ``folder``, and on rank 0 to the terminal.

    Other ranks write to ``log.txt.rank1`` and so on.

    Raises:
        SpeaqError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = "log.txt" if rank == 0 else f"log.txt.rank{rank}"
        file = logging.FileHandler(folder / name, encoding="utf-8")
    except OSError as error:
        raise SpeaqError(
            f"OUTPUT_DIR {folder}: cannot write there ({error.strerror}: {error.filename}); name another one"
        ) from error
    package = logging.getLogger("speaq")
    package.setLevel(logging.INFO)
    package.propagate = False
    for handler in list(package.handlers):
        package.removeHandler(handler)
        handler.close()
    form = logging.Formatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")
    file.setFormatter(form)
    package.addHandler(file)
    if rank == 0 and console.is_terminal:
        # A person has the progress bar and tables instead of the lines that are for files.
        terminal: logging.Handler = RichHandler(console=console, show_path=False, show_time=False)
        terminal.addFilter(lambda record: not getattr(record, "for_files", False))
        package.addHandler(terminal)
    elif rank == 0:
        plain = logging.StreamHandler()
        plain.setFormatter(form)
        package.addHandler(plain)


def build_loggers(config: Config) -> list[Logger]:
    """Event files for TensorBoard, and Weights & Biases where it is wanted.

    Raises:
        SpeaqError: wandb is wanted but not installed.
    """
    loggers: list[Logger] = [TensorBoardLogger(config.output_dir, name="tensorboard", version="")]
    if config.wandb.use_wandb:
        from lightning.pytorch.loggers import WandbLogger

        wandb = config.wandb
        try:
            loggers.append(
                WandbLogger(
                    project=wandb.project,
                    entity=None if wandb.entity == type(wandb)().entity else wandb.entity,
                    name=None if wandb.exp_name == type(wandb)().exp_name else wandb.exp_name,
                    group=wandb.group,
                    save_dir=config.output_dir,
                )
            )
        except ModuleNotFoundError:
            raise SpeaqError(
                "WANDB.USE_WANDB is True, but wandb is not installed: pip install speaq[wandb]"
            ) from None
    return loggers


class TrainingLog(L.Callback):
    """Writes a line of losses every ``period`` steps, and the time that the training took.

    Args:
        folder: of ``metrics.json``.
        period: steps between two lines.
        max_iter: steps of the whole training.
    """

    def __init__(self, *, folder: Path, period: int, max_iter: int):
        self.folder = folder
        self.period = period
        self.max_iter = max_iter
        self.recorder = Recorder(window=period)
        self.rate = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where training starts."""
        logger.info("Starting training from iteration %d", trainer.global_step)
        self.recorder.resume()

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """The batch is there."""
        self.recorder.data_ready()
        self.rate = trainer.optimizers[0].param_groups[0][
            "lr"
        ]  # of this step; afterwards it is the next one's

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Record the step, and write a line when it is time."""
        self.recorder.batch_done()
        if not pl_module.step_completed:
            return
        self.recorder.step_done(pl_module.step_terms)
        if trainer.global_step % self.period == 0 or trainer.global_step == self.max_iter:
            self._write(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Evaluation is not training time."""
        self.recorder.resume()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say how fast it was."""
        recorder = self.recorder
        logger.info(
            "Overall training speed: %d iterations in %s (%.4f s / it)",
            recorder.steps,
            timedelta(seconds=int(recorder.seconds)),
            recorder.seconds_per_step,
        )

    def _write(self, trainer: L.Trainer, pl_module: Any) -> None:
        iteration = trainer.global_step - 1
        medians = self.recorder.medians()
        eta = self.recorder.seconds_per_step * (self.max_iter - trainer.global_step)
        seconds, data_seconds = self.recorder.last_seconds
        losses = "  ".join(f"{name}: {value:.4g}" for name, value in medians.items() if "loss" in name)
        memory = ""
        if torch.cuda.is_available():
            memory = f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
        skipped = f"skipped: {pl_module.skipped_steps}  " if pl_module.skipped_steps else ""
        line = (
            f" eta: {timedelta(seconds=int(eta))}  iter: {iteration}  {losses}  {skipped}  "
            f"time: {self.recorder.seconds_per_step:.4f}  last_time: {seconds:.4f}  "
            f"data_time: {self.recorder.data_seconds:.4f}  last_data_time: {data_seconds:.4f}   "
            f"lr: {self.rate:.5g}  {memory}"
        )
        logger.info(line, extra=FOR_FILES)
        figures = medians | {
            "iteration": iteration,
            "lr": self.rate,
            "time": self.recorder.seconds_per_step,
            "data_time": self.recorder.data_seconds,
            "eta_seconds": eta,
            "skipped_steps": pl_module.skipped_steps,
            **{f"samples_{name}": count for name, count in pl_module.samples().items()},
        }
        write_figures(self.folder, figures, trainer.loggers, trainer.is_global_zero)


def write_figures(folder: Path, figures: Mapping[str, Any], loggers: list[Logger], main_rank: bool) -> None:
    """Add a line to ``metrics.json`` and a point to the other logs, on rank 0.

    Args:
        folder: of ``metrics.json``.
        figures: numbers, with the key ``iteration``.
        loggers: event files and the like.
        main_rank: whether this is rank 0.
    """
    if not main_rank:
        return
    finite = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    with (folder / "metrics.json").open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite, sort_keys=True) + "\n")
    points = {name: value for name, value in finite.items() if name != "iteration" and value is not None}
    for other in loggers:
        other.log_metrics(points, step=figures["iteration"])
        other.save()


class TrainingProgress(L.Callback):
    """A bar with loss, speed and time left, where there is a terminal.

    Args:
        max_iter: steps of the whole training.
    """

    def __init__(self, *, max_iter: int):
        self.max_iter = max_iter
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def _start(self, text: str, total: int | None, completed: int = 0) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=15),  # all columns fit into 80 characters
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task(text, total=total, completed=completed, figures="")

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        if trainer.is_global_zero:
            self._start("training", self.max_iter, trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: Any, *_: Any) -> None:
        """Move the bar; the loss is only fetched from the device when the bar is drawn."""
        if self._bar is None or not console.is_terminal or not pl_module.step_completed:
            return
        terms: dict[str, Tensor] = pl_module.step_terms
        speed = self._bar.tasks[0].speed
        losses = f"loss {float(terms['total_loss']):.2f}  relation {float(terms['loss_relation']):.2f}"
        figures = f"{losses}  {speed:.1f} it/s" if speed else losses
        self._bar.update(self._task, completed=trainer.global_step, figures=figures)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the evaluation's own bar."""
        if trainer.is_global_zero:
            self._stop()
            self._start("evaluation", _as_total(trainer.num_val_batches))

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Move the evaluation's bar."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Back to the training's bar."""
        self._stop()
        if trainer.is_global_zero and trainer.state.fn == "fit":
            self._start("training", self.max_iter, trainer.global_step)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        self._stop()


def _as_total(batches: list[int | float]) -> int | None:
    total = sum(batches)
    return int(total) if total != float("inf") else None
