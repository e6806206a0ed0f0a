"""Exponential moving average of the weights.

Lightning's WeightAveraging averages the whole module, with its counters, and has the trained weights in
place when the best model is saved.
"""

import logging
import math
from typing import Any, cast

import lightning as L
from torch import Tensor
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from speaq.config.training import Ema
from speaq.pretrained import Speaq
from speaq.training.checkpoints import AVERAGED_STATE, TRAINED_STATE

logger = logging.getLogger("speaq.training")

_PREFIX = "model."


class WeightAveraging(L.Callback):
    """Averages the weights after every step (Polyak and Juditsky, SIAM J. Control Optim. 1992).

    averaged = d * averaged + (1 - d) * weights, where d = decay * (1 - exp(-n / warmup_iters)) after n
    steps, so that the first, poor weights are soon forgotten. The first step sets averaged = weights.
    Buffers, such as the statistics of batch norms, are copied. Every rank computes the same average.

    Args:
        settings: SOLVER.EMA.
    """

    def __init__(self, settings: Ema):
        self.settings = settings
        self._average: AveragedModel | None = None

    @property
    def model(self) -> Speaq:
        """The averaged model, in evaluation mode."""
        assert self._average is not None, "the training has not started"
        return cast(Speaq, self._average.module)

    def setup(self, trainer: L.Trainer, pl_module: Any, stage: str) -> None:
        """Copy the model at the start of the training."""
        if stage == "fit":
            device = trainer.strategy.root_device
            self._average = AveragedModel(pl_module.model, device=device, multi_avg_fn=self._update)
            self._average.eval().requires_grad_(requires_grad=False)
            logger.info("evaluating and saving averaged weights (SOLVER.EMA)")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average, unless the step was skipped."""
        assert self._average is not None
        if pl_module.step_completed and not pl_module.skipped_in_a_row:
            self._average.update_parameters(pl_module.model)

    def _update(self, averaged: PARAM_LIST, weights: PARAM_LIST, steps: Tensor | int) -> None:
        decay, warmup = self.settings.decay, self.settings.warmup_iters
        if warmup:
            decay *= -math.expm1(-float(steps) / warmup)
        get_ema_multi_avg_fn(decay)(averaged, weights, steps)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the averaged weights as those of the model, and the trained ones beside them."""
        assert self._average is not None
        checkpoint[TRAINED_STATE] = checkpoint["state_dict"]
        averaged = self.model.state_dict()
        checkpoint["state_dict"] = {_PREFIX + name: tensor for name, tensor in averaged.items()}
        checkpoint["averaged_steps"] = int(self._average.n_averaged)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Restore the average; without one in the checkpoint, start it from the weights."""
        assert self._average is not None
        averaged = checkpoint.get(AVERAGED_STATE)
        if averaged is None:
            logger.info("the checkpoint has no averaged weights: the average starts from its weights")
            self.model.load_state_dict(pl_module.model.state_dict())
            return
        self.model.load_state_dict({name.removeprefix(_PREFIX): tensor for name, tensor in averaged.items()})
        self._average.n_averaged.fill_(checkpoint["averaged_steps"])
