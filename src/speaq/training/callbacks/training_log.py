"""Log lines of training steps: losses, learning rate and times."""

import logging
import math
import statistics
import time
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from speaq.training.logs import FOR_FILES, write_metrics

logger = logging.getLogger("speaq.training")


class TrainingLog(L.Callback):
    """Logs losses, learning rate and times every ``period`` steps, and the total time at the end.

    Losses are medians over the last ``period`` steps. They remain on their device until then, so that
    recording them does not synchronize it. Times are without evaluations.

    Args:
        folder: folder of ``metrics.json``.
        period: steps between two lines.
        max_iter: steps of the whole training.
    """

    def __init__(self, *, folder: Path, period: int, max_iter: int):
        self.folder = folder
        self.period = period
        self.max_iter = max_iter
        self.learning_rate = 0.0
        self._terms: deque[dict[str, Tensor]] = deque(maxlen=period)
        self._data_times: deque[float] = deque(maxlen=period)
        self._steps, self._seconds = 0, 0.0  # of this process
        self._step_time = self._data_time = 0.0  # of the current step
        self._since = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the first iteration and start the clock."""
        logger.info("Starting training from iteration %d", trainer.global_step)
        self._since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record the time spent on loading the batch, and the learning rate of this step."""
        self._data_time += time.perf_counter() - self._since
        self.learning_rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the step, which may consist of several batches, and log every ``period`` steps."""
        now = time.perf_counter()
        self._step_time += now - self._since
        self._since = now
        if not pl_module.step_completed:
            return
        self._terms.append(pl_module.step_terms)
        self._data_times.append(self._data_time)
        self._steps += 1
        self._seconds += self._step_time
        if trainer.global_step % self.period == 0 or trainer.global_step == self.max_iter:
            self._log_step(trainer, pl_module)
        self._step_time = self._data_time = 0.0

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Exclude the evaluation from the training time."""
        self._since = time.perf_counter()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the total time."""
        seconds, mean = timedelta(seconds=int(self._seconds)), self._seconds / max(self._steps, 1)
        logger.info("Overall training speed: %d iterations in %s (%.4f s / it)", self._steps, seconds, mean)

    def _log_step(self, trainer: L.Trainer, pl_module: Any) -> None:
        iteration, skipped = trainer.global_step - 1, pl_module.skipped_steps
        terms, step_time = self._medians(), self._seconds / self._steps
        data_time = statistics.fmean(self._data_times)
        eta = step_time * (self.max_iter - trainer.global_step)
        losses = "  ".join(f"{name}: {value:.4g}" for name, value in terms.items() if "loss" in name)
        memory = ""
        if torch.cuda.is_available():
            memory = f"max_mem: {torch.cuda.max_memory_allocated() / 2**20:.0f}M"
        line = (
            f" eta: {timedelta(seconds=int(eta))}  iter: {iteration}  {losses}  "
            f"{f'skipped: {skipped}  ' if skipped else ''}  "
            f"time: {step_time:.4f}  last_time: {self._step_time:.4f}  "
            f"data_time: {data_time:.4f}  last_data_time: {self._data_time:.4f}   "
            f"lr: {self.learning_rate:.5g}  {memory}"
        )
        logger.info(line, extra=FOR_FILES)
        if trainer.is_global_zero:
            metrics = terms | {
                "iteration": iteration,
                "lr": self.learning_rate,
                "time": step_time,
                "data_time": data_time,
                "eta_seconds": eta,
                "skipped_steps": skipped,
                **{f"samples_{name}": count for name, count in pl_module.samples().items()},
            }
            write_metrics(self.folder, metrics, trainer.loggers)

    def _medians(self) -> dict[str, float]:
        """Median of every loss term, with one transfer from the device.

        NaN is ignored, such as the loss of a source without images in a step, unless all values are NaN.
        """
        names = list(self._terms[-1])
        table = torch.stack([torch.stack([terms[name] for name in names]) for terms in self._terms])
        columns = table.double().T.tolist()
        kept = [[value for value in column if not math.isnan(value)] or [math.nan] for column in columns]
        return {name: statistics.median(values) for name, values in zip(names, kept, strict=True)}
