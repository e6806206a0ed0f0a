"""Signals that end a run: SIGTERM, and SIGUSR1, with which clusters announce the end of a job."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import lightning as L
import torch

from speaq.training.callbacks.checkpoints import Checkpoints

STOP_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class StopSignals(L.Callback):
    """After a signal to any of its processes, ends a training with a checkpoint and exit code 128 + signal.

    All processes leave after the same step; a signal during an evaluation counts when it is finished, or at
    once in a training on one process. A run that only evaluates ends at once.

    Args:
        checkpoints: saves the checkpoint; None for an evaluation.
    """

    def __init__(self, checkpoints: Checkpoints | None):
        self.checkpoints = checkpoints
        self._received = 0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Handle signals from the moment when the Trainer has set up its own handlers, which these replace.

        Those of the Trainer end a run with exit code 0, and wait for other processes that may not answer.
        """
        connector = trainer._signal_connector
        set_up = connector.register_signal_handlers

        def replace_handlers() -> None:
            set_up()
            _handle(self._note if stage == "fit" else _exit)

        connector.register_signal_handlers = replace_handlers

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop after a step, if any process received a signal."""
        if pl_module.step_completed:
            received = self._received
            if trainer.world_size > 1:
                shared = torch.tensor(received, device=pl_module.device)
                received = int(trainer.strategy.reduce(shared, reduce_op="max"))
            self._stop(trainer, received)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop a training on one process during its evaluation."""
        if trainer.world_size == 1:
            self._stop(trainer, self._received)

    def _note(self, number: int, frame: Any) -> None:
        self._received = number

    def _stop(self, trainer: L.Trainer, received: int) -> None:
        if received:
            assert self.checkpoints is not None
            self.checkpoints.save(trainer)
            _exit(received)


def ignore_stop_signals(worker: int) -> None:
    """Ignore the signals in a worker of a data loader, which its parent ends."""
    _handle(signal.SIG_IGN)


def _handle(handler: Callable[[int, Any], None] | signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            signal.signal(number, handler)


def _exit(number: int, frame: Any = None) -> None:
    raise SystemExit(128 + number)
