"""The log of a training: log.txt, metrics.json, TensorBoard and Weights & Biases.

``log.txt`` has the format of detectron2's logs and ``metrics.json`` (a JSON object per line) its keys, which
users read with scripts; `LightningModule.log` can write neither.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from rich.logging import RichHandler

from speaq.config import Config
from speaq.console import PlainConsole
from speaq.errors import PrintableFormatter, SpeaqError
from speaq.training.recorder import Recorder

logger = logging.getLogger("speaq.training")
console = PlainConsole(stderr=True, highlight=True)


def results_console() -> PlainConsole:
    """The standard output, on which tables are not cut where it is a file or a pipe."""
    results = PlainConsole()
    if not results.is_terminal:
        results.width = 200
    return results


FOR_FILES = {"for_files": True}
"""Pass this as ``extra`` to a logging call for a line that is not shown on a terminal."""


def set_up_logging(folder: Path, rank: int) -> None:
    """Write the log of the package to ``log.txt`` in ``folder``, and on rank 0 to the terminal.

    Other ranks write to ``log.txt.rank1`` and so on.

    Raises:
        SpeaqError: the folder cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = "log.txt" if rank == 0 else f"log.txt.rank{rank}"
        handlers: list[logging.Handler] = [logging.FileHandler(folder / name, encoding="utf-8")]
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
    if rank == 0 and console.is_terminal:
        # The progress bar and tables replace the lines that are for files only.
        terminal = RichHandler(console=console, show_path=False, show_time=False)
        terminal.setFormatter(PrintableFormatter())
        terminal.addFilter(lambda record: not getattr(record, "for_files", False))
        package.addHandler(terminal)
    elif rank == 0:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(
            PrintableFormatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")
        )
        package.addHandler(handler)


def build_loggers(config: Config) -> list[Logger]:
    """The loggers of the Trainer: TensorBoard, and Weights & Biases with WANDB.USE_WANDB.

    Raises:
        SpeaqError: wandb is not installed.
    """
    loggers: list[Logger] = [TensorBoardLogger(config.output_dir, name="tensorboard", version="")]
    wandb, defaults = config.wandb, type(config.wandb)()
    if wandb.use_wandb:
        try:
            loggers.append(
                WandbLogger(
                    project=wandb.project,
                    entity=None if wandb.entity == defaults.entity else wandb.entity,
                    name=None if wandb.exp_name == defaults.exp_name else wandb.exp_name,
                    group=wandb.group,
                    save_dir=config.output_dir,
                )
            )
        except ModuleNotFoundError:
            raise SpeaqError(
                "WANDB.USE_WANDB is True, but wandb is not installed: pip install speaq[wandb]"
            ) from None
    return loggers


def start_loggers(loggers: Sequence[Logger]) -> None:
    """Log in to Weights & Biases, so that a missing login is not noticed only after the model is built.

    Raises:
        SpeaqError: it refuses, for instance without an API key.
    """
    for other in loggers:
        if isinstance(other, WandbLogger):
            from wandb.errors import Error as WandbError  # type: ignore[import-not-found]

            try:
                _ = other.experiment  # on rank 0; others have none
            except WandbError as error:
                reason = " ".join(str(error).split())
                raise SpeaqError(
                    f"WANDB.USE_WANDB is True, but Weights & Biases cannot be used: {reason} Run wandb "
                    "login, set WANDB_MODE=offline in the environment, or set WANDB.USE_WANDB False"
                ) from error


class TrainingLog(L.Callback):
    """Logs losses, learning rate and times every ``period`` steps, and the total time at the end.

    Args:
        folder: folder of ``metrics.json``.
        period: steps between two lines.
        max_iter: steps of the whole training.
    """

    def __init__(self, *, folder: Path, period: int, max_iter: int):
        self.folder = folder
        self.period = period
        self.max_iter = max_iter
        self.recorder = Recorder(window=period)
        self.learning_rate = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the first iteration and start the clock."""
        logger.info("Starting training from iteration %d", trainer.global_step)
        self.recorder.resume()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record the time spent on loading the batch, and the learning rate of this step."""
        self.recorder.data_ready()
        self.learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step, and log every ``period`` steps."""
        self.recorder.batch_done()
        if not pl_module.step_completed:
            return
        self.recorder.step_done(pl_module.step_terms)
        if trainer.global_step % self.period == 0 or trainer.global_step == self.max_iter:
            self._log_step(trainer, pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Exclude the evaluation from the training time."""
        self.recorder.resume()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the total time."""
        steps, seconds = self.recorder.steps, timedelta(seconds=int(self.recorder.seconds))
        mean = self.recorder.seconds_per_step
        logger.info("Overall training speed: %d iterations in %s (%.4f s / it)", steps, seconds, mean)

    def _log_step(self, trainer: L.Trainer, pl_module: Any) -> None:
        iteration, skipped = trainer.global_step - 1, pl_module.skipped_steps
        terms, step_time = self.recorder.medians(), self.recorder.seconds_per_step
        eta = step_time * (self.max_iter - trainer.global_step)
        last_time, last_data_time = self.recorder.last_seconds
        losses = "  ".join(f"{name}: {value:.4g}" for name, value in terms.items() if "loss" in name)
        memory = ""
        if torch.cuda.is_available():
            memory = f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
        line = (
            f" eta: {timedelta(seconds=int(eta))}  iter: {iteration}  {losses}  "
            f"{f'skipped: {skipped}  ' if skipped else ''}  "
            f"time: {step_time:.4f}  last_time: {last_time:.4f}  "
            f"data_time: {self.recorder.data_seconds:.4f}  last_data_time: {last_data_time:.4f}   "
            f"lr: {self.learning_rate:.5g}  {memory}"
        )
        logger.info(line, extra=FOR_FILES)
        if trainer.is_global_zero:
            metrics = terms | {
                "iteration": iteration,
                "lr": self.learning_rate,
                "time": step_time,
                "data_time": self.recorder.data_seconds,
                "eta_seconds": eta,
                "skipped_steps": skipped,
                **{f"samples_{name}": count for name, count in pl_module.samples().items()},
            }
            write_metrics(self.folder, metrics, trainer.loggers)


def write_metrics(folder: Path, metrics: Mapping[str, Any], loggers: Sequence[Logger]) -> None:
    """Add a line to ``metrics.json`` and a step to the other loggers; to be called on rank 0 only.

    Args:
        folder: folder of ``metrics.json``.
        metrics: numbers by name, with the key ``iteration``; those that are not finite are written as null.
        loggers: the loggers of the Trainer.
    """
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    with (folder / "metrics.json").open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite, sort_keys=True) + "\n")
    values = {name: value for name, value in finite.items() if name != "iteration" and value is not None}
    for other in loggers:
        other.log_metrics(values, step=metrics["iteration"])
        other.save()
