"""What to tell users about a run that ends early."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher

from speaq.errors import SpeaqError, is_out_of_memory
from speaq.training.checkpoints import newest_checkpoint

logger = logging.getLogger("speaq.training")

_COMPILER = ("torch._dynamo", "torch._inductor")
_LOST = ("closed by peer", "Connection reset", "Broken pipe", "ncclRemoteError")
_NO_ANSWER = ("Timed out waiting", "collective operation timeout")


@contextmanager
def explained(trainer: L.Trainer) -> Iterator[None]:
    """Log how to resume after Ctrl-C or a signal, and say what to do about a known failure.

    The processes that the Trainer started end with this one.

    Raises:
        KeyboardInterrupt: after Ctrl-C.
        SpeaqError: memory, shared memory, a data worker or torch.compile failed.
    """
    try:
        yield
    except BaseException as error:
        module = trainer.lightning_module
        is_training = trainer.state.fn == "fit" if module is None else module.training
        newest = newest_checkpoint(Path(trainer.default_root_dir))
        resume = f"; --resume continues from {newest}" if newest else ""
        if isinstance(error, SystemExit):
            logger.warning("interrupted%s", resume)
        _end_other_processes(trainer, seconds=5 if isinstance(error, SystemExit) else 0)
        if isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # for which the Trainer exits with 1
        advice = explain(error, device=trainer.strategy.root_device, is_training=is_training)
        if advice is None:
            raise
        raise SpeaqError(advice + resume) from error


def explain(error: BaseException, *, device: torch.device | str, is_training: bool) -> str | None:
    """What happened and what to do, for errors of memory, data workers and torch.compile; else None."""
    if isinstance(error, SpeaqError) or not isinstance(error, RuntimeError | MemoryError):
        return None
    text = str(error)
    if any(kind.__module__.startswith(_COMPILER) for kind in type(error).__mro__):
        reason, output = text.partition("\n\n")[0], text.partition("Output:\n")[2].partition("\n")[0]
        return (
            f"MODEL.COMPILE True: torch.compile failed ({' '.join(f'{reason} {output}'.split())}). Set "
            "MODEL.COMPILE False, or see to it that the C++ compiler works (CXX names another one)"
        )
    if "shared memory" in text or "Bus error" in text:
        return (
            "shared memory (/dev/shm) is too small for the batches of the data workers. Set "
            "DATALOADER.NUM_WORKERS 0, or give more (docker run --shm-size 8g)"
        )
    if torch.distributed.is_initialized() and any(sign in text for sign in _LOST):
        return (
            "the connection to another process of this run was lost; the message of that process says why, "
            "unless it was killed, for instance because the memory of the machine was full"
        )
    if torch.distributed.is_initialized() and any(sign in text for sign in _NO_ANSWER):
        return (
            "another process of this run has not answered for DIST_WAIT_MINUTES: it is stopped or very slow, "
            "or the network between the machines failed; log.txt and log.txt.rank1, ... show how far each was"
        )
    if "DataLoader worker" in text and "Caught" not in text:
        return f"{text.rstrip('. ')}; the machine may need more memory. Lower DATALOADER.NUM_WORKERS"
    if not is_out_of_memory(error):
        return None
    size = "INPUT.MAX_SIZE_TRAIN" if is_training else "INPUT.MAX_SIZE_TEST"
    if not is_training:
        return f"out of memory on {device} in the evaluation. Lower TEST.IMS_PER_BATCH or {size}"
    amp = ", SOLVER.AMP.ENABLED True" if torch.device(device).type == "cuda" else ""
    return (
        f"out of memory on {device} in training. Raise SOLVER.ACCUMULATE (the same batch in more parts), "
        f"set SOLVER.GRADIENT_CHECKPOINTING True{amp}, or lower SOLVER.IMS_PER_BATCH or {size}"
    )


def _end_other_processes(trainer: L.Trainer, *, seconds: float) -> None:
    """End the processes that the Trainer started, which may wait for this one, after some time."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        end = time.monotonic() + seconds
        while any(process.poll() is None for process in launcher.procs) and time.monotonic() < end:
            time.sleep(0.1)
        for process in launcher.procs:
            process.kill()
