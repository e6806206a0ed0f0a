"""Ends a training whose evaluations no longer improve.

Lightning's EarlyStopping restores its patience from the checkpoint and neither names the best iteration nor
keeps a resumed training stopped.
"""

import logging
import math
from typing import Any

import lightning as L

from speaq.config.training import EarlyStopping as Settings
from speaq.training.checkpoints import BEST_METRIC

logger = logging.getLogger("speaq.training")


class EarlyStopping(L.Callback):
    """Stops after evaluations without an improvement of the metric by which the best model is chosen.

    An evaluation improves if its metric exceeds that of the last one that did by more than MIN_DELTA; a
    metric that is not a number never does. All ranks follow the metric of rank 0.

    Args:
        settings: TEST.EARLY_STOPPING, with a patience of at least 1.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.best = self._improved = -math.inf
        self.best_iteration = self._iteration = -1
        self.without_improvement = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop a resumed training before its first step if it was already stopped."""
        if self._is_over(trainer):
            trainer.should_stop = True
            self._log()
            logger.info("raise TEST.EARLY_STOPPING.PATIENCE to continue the training")

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Compare the evaluation with the earlier ones, and stop after this step if they were better."""
        if trainer.state.fn != "fit" or self._iteration == trainer.global_step - 1:  # a repeated evaluation
            return
        value = trainer.strategy.broadcast(pl_module.results[0].get(BEST_METRIC, math.nan))
        self._iteration = trainer.global_step - 1
        if value > self.best:
            self.best, self.best_iteration = value, self._iteration
        self.without_improvement += 1
        if value > self._improved + self.settings.min_delta:
            self._improved, self.without_improvement = value, 0
        trainer.should_stop = self._is_over(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log why the training ends."""
        if self._is_over(trainer):
            self._log()

    def _is_over(self, trainer: L.Trainer) -> bool:
        is_last = self._iteration + 1 >= trainer.max_steps
        return self.without_improvement >= self.settings.patience and not is_last

    def _log(self) -> None:
        best = f"{self.best:.4f} at iteration {self.best_iteration}" if self.best_iteration >= 0 else "none"
        logger.info(
            "stopped early at iteration %d: no improvement of %s in %d evaluations; the best was %s",
            self._iteration,
            BEST_METRIC,
            self.without_improvement,
            best,
        )

    def state_dict(self) -> dict[str, Any]:
        """Save the comparison with the checkpoint."""
        return {
            "best": self.best,
            "best_iteration": self.best_iteration,
            "improved": self._improved,
            "iteration": self._iteration,
            "without_improvement": self.without_improvement,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the comparison of the resumed training."""
        self.best, self.best_iteration = state_dict["best"], state_dict["best_iteration"]
        self._improved, self._iteration = state_dict["improved"], state_dict["iteration"]
        self.without_improvement = state_dict["without_improvement"]
