"""Progress bars on a terminal.

Lightning's bars count the batches of an epoch. A training is one epoch without an end here, so that they
would show neither its length nor the time left.
"""

from typing import Any

import lightning as L
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from speaq.training.logs import console


class TrainingProgress(L.Callback):
    """Shows the progress of training, with loss, speed and time left, and of evaluations.

    Args:
        max_iter: steps of the whole training.
    """

    def __init__(self, *, max_iter: int):
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=15),  # all columns fit into 80 characters
            MofNCompleteColumn(),
            TextColumn("{task.fields[terms]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._training = self._bar.add_task("training", total=max_iter, visible=False, terms="")
        self._evaluation = self._bar.add_task("evaluation", total=None, visible=False, terms="")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar of the training."""
        if trainer.is_global_zero:
            self._bar.reset(self._training, completed=trainer.global_step, visible=True)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar of the training; only a visible bar fetches the loss from the device."""
        if not self._bar.live.is_started or not pl_module.step_completed:
            return
        terms, speed = pl_module.step_terms, self._bar.tasks[self._training].speed
        text = f"loss {float(terms['total_loss']):.2f}  relation {float(terms['loss_relation']):.2f}"
        text += f"  {speed:.1f} it/s" if speed else ""
        self._bar.update(self._training, completed=trainer.global_step, terms=text)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar of the evaluation."""
        if trainer.is_global_zero:
            self._bar.update(self._training, visible=False)
            self._bar.reset(self._evaluation, total=sum(trainer.num_val_batches), visible=True)
            self._bar.start()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance the bar of the evaluation."""
        self._bar.advance(self._evaluation)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar of the training again; the speed does not include the evaluation."""
        self._bar.update(self._evaluation, visible=False)
        is_training = trainer.state.fn == "fit"
        self._bar.reset(self._training, completed=trainer.global_step, visible=is_training)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Remove the bars."""
        self._bar.stop()
