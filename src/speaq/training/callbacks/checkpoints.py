"""Saves checkpoints and the best model during a training.

Lightning's ModelCheckpoint would not save the last step, and would add the state of the optimizer to the best
model.
"""

import json
import logging
import math
from pathlib import Path
from typing import Any

import lightning as L

from speaq.checkpoints.saved_models import is_saved_model, iteration_of
from speaq.errors import SpeaqError
from speaq.files import parse_json, replacing
from speaq.training.checkpoints import complete_checkpoints

logger = logging.getLogger("speaq.training.checkpoints")

BEST_METRIC = "mR@100"
BEST_FILE = "metric.json"
"""The value of `BEST_METRIC` of the model in ``best/``."""


class Checkpoints(L.Callback):
    """Saves a checkpoint every ``period`` steps and at the end, and the best model by mR@100.

    Args:
        output_dir: folder to save to.
        period: steps between checkpoints.
        keep: number of newest checkpoints that are kept.
        with_evaluation: a step that is saved and evaluated is saved again after its evaluation, so that
            callbacks resume with its results.
    """

    def __init__(self, *, output_dir: Path, period: int, keep: int, with_evaluation: bool = False):
        self.output_dir = output_dir
        self.period = period
        self.keep = keep
        self.with_evaluation = with_evaluation
        self.best: float | None = None
        self._saved_at = -1

    def state_dict(self) -> dict[str, Any]:
        """Save the best metric with the checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best metric of the resumed training; ``best/`` may be newer than the checkpoint."""
        self.best = _read_best(self.output_dir / "best", state_dict["best"])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save every ``period`` steps."""
        if pl_module.step_completed and trainer.global_step % self.period == 0:
            self.save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the last step."""
        self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Save the model if it is the best so far."""
        self._save_best(trainer, pl_module)
        if self.with_evaluation and self._saved_at == trainer.global_step:
            self._saved_at = -1
            self.save(trainer)

    def _save_best(self, trainer: L.Trainer, pl_module: Any) -> None:
        value = pl_module.results[0].get(BEST_METRIC, math.nan)
        if math.isnan(value) or (self.best is not None and value <= self.best):
            return
        self.best = value
        if trainer.is_global_zero:
            pl_module.evaluated_model.save_pretrained(self.output_dir / "best")
            with replacing(self.output_dir / "best" / BEST_FILE) as temporary:
                temporary.write_text(json.dumps({BEST_METRIC: value}) + "\n")
        name, iteration = pl_module.evaluation.names[0], trainer.global_step - 1
        logger.info("best model so far: %s %.4f on %s, iteration %d", BEST_METRIC, value, name, iteration)

    def save(self, trainer: L.Trainer) -> None:
        """Save the current step, if it is not saved yet."""
        if trainer.global_step == self._saved_at:
            return
        folder = self.output_dir / "checkpoints"
        trainer.save_checkpoint(folder / f"iter_{trainer.global_step:07d}")
        self._saved_at = trainer.global_step
        if trainer.is_global_zero:
            # A newer one was damaged when this training was resumed, and is replaced when it gets there.
            saved = complete_checkpoints(self.output_dir)
            for old in [each for each in saved if iteration_of(each) <= trainer.global_step][: -self.keep]:
                trainer.strategy.remove_checkpoint(old)


def _read_best(folder: Path, saved: float | None) -> float | None:
    """The metric of the model in ``folder``, or that of a checkpoint where it is not known.

    Raises:
        SpeaqError: the file of the metric is damaged.
    """
    file = folder / BEST_FILE
    if not (file.is_file() and is_saved_model(folder)):
        return saved
    try:
        return float(parse_json(file.read_text())[BEST_METRIC])
    except (ValueError, KeyError, TypeError) as error:
        raise SpeaqError(f"{file}: not the metric of the best model; delete {folder}") from error
