"""Ends a training whose evaluations no longer improve.

Lightning's EarlyStopping restores its patience from the checkpoint and neither names the best iteration nor
keeps a resumed training stopped.
"""

import dataclasses
import logging
import math
from typing import Any

import lightning as L

from speaq.config.training import EarlyStopping as Settings
from speaq.training.callbacks.checkpoints import BEST_METRIC

logger = logging.getLogger("speaq.training")


@dataclasses.dataclass
class _Evaluations:
    """The evaluations so far, as they are saved with a checkpoint."""

    best: float = -math.inf  # the highest value of the metric
    best_iteration: int = -1
    improved: float = -math.inf  # the value of the last improvement, by which patience is counted
    iteration: int = -1  # of the last evaluation
    without_improvement: int = 0  # number of evaluations since the last improvement


class EarlyStopping(L.Callback):
    """Stops after evaluations without an improvement of the metric by which the best model is chosen.

    An evaluation improves if its metric exceeds that of the last one that did by more than MIN_DELTA; a
    metric that is not a number never does. All ranks follow the metric of rank 0.

    Args:
        settings: TEST.EARLY_STOPPING, with a patience of at least 1.
    """

    def __init__(self, settings: Settings):
        self.settings = settings
        self.evaluations = _Evaluations()

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop a resumed training before its first step if it was already stopped."""
        if self._is_over(trainer):
            trainer.should_stop = True
            self._log()
            logger.info("raise TEST.EARLY_STOPPING.PATIENCE to continue the training")

    def on_validation_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Compare the evaluation with the earlier ones, and stop after this step if they were better."""
        seen, iteration = self.evaluations, trainer.global_step - 1
        if trainer.state.fn != "fit" or seen.iteration == iteration:  # a repeated evaluation
            return
        value = trainer.strategy.broadcast(pl_module.results[0].get(BEST_METRIC, math.nan))
        seen.iteration = iteration
        if value > seen.best:
            seen.best, seen.best_iteration = value, iteration
        seen.without_improvement += 1
        if value > seen.improved + self.settings.min_delta:
            seen.improved, seen.without_improvement = value, 0
        trainer.should_stop = self._is_over(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log why the training ends."""
        if self._is_over(trainer):
            self._log()

    def _is_over(self, trainer: L.Trainer) -> bool:
        is_last = self.evaluations.iteration + 1 >= trainer.max_steps
        return self.evaluations.without_improvement >= self.settings.patience and not is_last

    def _log(self) -> None:
        seen = self.evaluations
        best = f"{seen.best:.4f} at iteration {seen.best_iteration}" if seen.best_iteration >= 0 else "none"
        logger.info(
            f"stopped early at iteration {seen.iteration}: no improvement of {BEST_METRIC} in "
            f"{seen.without_improvement} evaluations; the best was {best}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Save the evaluations with the checkpoint."""
        return dataclasses.asdict(self.evaluations)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the evaluations of the resumed training."""
        self.evaluations = _Evaluations(**state_dict)
