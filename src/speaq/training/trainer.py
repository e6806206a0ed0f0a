"""The Lightning Trainer of a run."""

import logging
import os
import random
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import torch

from speaq.config import Config
from speaq.training.checkpoints import FolderCheckpoint, read_state
from speaq.training.cluster import Cluster
from speaq.training.launchers import find_launcher


def build_trainer(config: Config, cluster: Cluster, callbacks: Sequence[L.Callback]) -> L.Trainer:
    """The Trainer of a run; also sets the precision of matrix products.

    Raises:
        SpeaqError: the devices are not available.
    """
    solver, output_dir = config.solver, Path(config.output_dir)
    options = cluster.trainer_options(config)
    plugins = options.pop("plugins")
    precision = "32-true"
    if solver.amp.enabled and solver.amp.precision == "bf16":
        precision = "bf16-mixed"
    elif solver.amp.enabled and options["accelerator"] == "gpu":
        precision = "16-mixed"
    period = config.test.eval_period or solver.max_iter + 1
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores
    trainer = L.Trainer(
        **options,
        plugins=[*plugins, FolderCheckpoint()],
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
        logger=False,  # `start_loggers` needs the rank of the process
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=output_dir,
    )
    if config.float32_precision:
        torch.set_float32_matmul_precision(config.float32_precision)
    return trainer


def choose_seed(config: Config, cluster: Cluster, resume_from: Path | None) -> int:
    """SEED, or the seed of the training that is resumed, or a new seed that is the same in all processes."""
    if config.seed >= 0:
        return config.seed
    if resume_from is not None:
        return int(read_state(resume_from)["seed"])
    if cluster.num_machines > 1 or find_launcher():
        return 0  # these processes are not connected yet
    # The other processes on this machine are started by this one and inherit its environment.
    return int(os.environ.setdefault("SPEAQ_SEED", str(random.randrange(2**31))))
