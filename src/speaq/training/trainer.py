"""The Lightning Trainer of a run, and the handling of interruptions."""

import logging
import os
import random
import signal
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from speaq.config import Config, log_without_effect
from speaq.training.checkpoints import FolderCheckpoint, newest_checkpoint, read_state
from speaq.training.cluster import Cluster
from speaq.training.logs import set_up_logging

logger = logging.getLogger("speaq.training")


def build_trainer(
    config: Config, cluster: Cluster, callbacks: Sequence[L.Callback], *, loggers: Sequence[Logger] = ()
) -> L.Trainer:
    """The Trainer of a run; also sets up the log and the precision of matrix products.

    Raises:
        SpeaqError: the devices are not available, or OUTPUT_DIR cannot be written to.
    """
    solver, output_dir = config.solver, Path(config.output_dir)
    options = cluster.trainer_options(config)
    precision = "32-true"
    if solver.amp.enabled and options["accelerator"] == "gpu":
        precision = "16-mixed" if solver.amp.precision == "fp16" else "bf16-mixed"
    period = config.test.eval_period or solver.max_iter + 1
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores
    trainer = L.Trainer(
        **options,
        precision=precision,
        max_steps=solver.max_iter,
        max_epochs=-1,
        accumulate_grad_batches=solver.accumulate,
        val_check_interval=period * solver.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        benchmark=config.cudnn_benchmark,
        callbacks=list(callbacks),
        logger=list(loggers),
        plugins=[FolderCheckpoint()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=output_dir,
    )
    set_up_logging(output_dir, trainer.global_rank)
    if config.float32_precision:
        torch.set_float32_matmul_precision(config.float32_precision)
    if trainer.is_global_zero:
        log_without_effect(config)
    return trainer


@contextmanager
def interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Log how to resume after Ctrl-C or SIGTERM, and exit with the codes that other programs use.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SystemExit: 128 + 15 after SIGTERM, which Lightning handles at the end of a step.
    """
    try:
        yield
    except (SystemExit, RuntimeError) as stop:
        # Lightning exits with 0 after SIGTERM and with 1 after Ctrl-C. If SIGTERM reached the workers of the
        # data loader too, their end is noticed first, as a RuntimeError.
        terminated = isinstance(stop, SIGTERMException) or trainer.received_sigterm
        if not terminated and not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        newest = newest_checkpoint(Path(trainer.default_root_dir))
        logger.warning("interrupted%s", f"; --resume continues from {newest}" if newest else "")
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise KeyboardInterrupt from None


def choose_seed(config: Config, cluster: Cluster, resume_from: Path | None) -> int:
    """SEED, or the seed of the training that is resumed, or a new seed that is the same in all processes."""
    if config.seed >= 0:
        return config.seed
    if resume_from is not None:
        return int(read_state(resume_from)["seed"])
    if cluster.num_machines > 1:
        return 0  # the processes of several machines are not connected yet
    # The other processes on this machine are started by this one and inherit its environment.
    return int(os.environ.setdefault("SPEAQ_SEED", str(random.randrange(2**31))))
