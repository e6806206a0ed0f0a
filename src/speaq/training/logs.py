"""Where the log of a run goes: the terminal, log.txt, metrics.json, TensorBoard and Weights & Biases.

``log.txt`` has the format of detectron2's logs and ``metrics.json`` (a JSON object per line) its keys, which
users read with scripts; `LightningModule.log` can write neither.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from rich.logging import RichHandler

from speaq.config import Config, log_without_effect
from speaq.console import PlainConsole
from speaq.errors import PrintableFormatter, SpeaqError
from speaq.training.output_lock import cannot_write

console = PlainConsole(stderr=True, highlight=True)

FOR_FILES = {"for_files": True}
"""Pass this as ``extra`` to a logging call for a line that is not shown on a terminal."""


def set_up_logging(config: Config, trainer: L.Trainer) -> None:
    """Write the log of the package to ``log.txt`` in OUTPUT_DIR, and on rank 0 to the terminal.

    Other ranks write to ``log.txt.rank1`` and so on. The log begins with the keys without effect.

    Raises:
        SpeaqError: OUTPUT_DIR cannot be created or written to.
    """
    folder, rank = Path(config.output_dir), trainer.global_rank
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name = "log.txt" if rank == 0 else f"log.txt.rank{rank}"
        handlers: list[logging.Handler] = [logging.FileHandler(folder / name, encoding="utf-8")]
    except OSError as error:
        raise cannot_write(folder, error) from error
    package = logging.getLogger("speaq")
    package.setLevel(logging.INFO)
    package.propagate = False
    for handler in list(package.handlers):
        package.removeHandler(handler)
        handler.close()
    if rank == 0 and console.is_terminal:
        # The progress bar and tables replace the lines that are for files only.
        terminal = RichHandler(console=console, show_path=False, show_time=False)
        terminal.setFormatter(PrintableFormatter())
        terminal.addFilter(lambda record: not getattr(record, "for_files", False))
        package.addHandler(terminal)
    elif rank == 0:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(
            PrintableFormatter("[%(asctime)s] %(name)s %(levelname)s: %(message)s", "%m/%d %H:%M:%S")
        )
        package.addHandler(handler)
    if rank == 0:
        log_without_effect(config)


def start_loggers(config: Config) -> list[Logger]:
    """The loggers of a training: TensorBoard, and with WANDB.USE_WANDB Weights & Biases, with its login.

    Call this once the Trainer knows the rank of the process: only rank 0 logs in.

    Raises:
        SpeaqError: wandb is not installed, or refuses, for instance without an API key.
    """
    loggers: list[Logger] = [TensorBoardLogger(config.output_dir, name="tensorboard", version="")]
    wandb, defaults = config.wandb, type(config.wandb)()
    if not wandb.use_wandb:
        return loggers
    try:
        from wandb.errors import Error as WandbError  # type: ignore[import-not-found]
    except ModuleNotFoundError:
        raise SpeaqError(
            "WANDB.USE_WANDB is True, but wandb is not installed: pip install speaq[wandb]"
        ) from None
    logger = WandbLogger(
        project=wandb.project,
        entity=None if wandb.entity == defaults.entity else wandb.entity,
        name=None if wandb.exp_name == defaults.exp_name else wandb.exp_name,
        group=wandb.group,
        save_dir=config.output_dir,
    )
    try:
        _ = logger.experiment
    except WandbError as error:
        reason = " ".join(str(error).split())
        raise SpeaqError(
            f"WANDB.USE_WANDB is True, but Weights & Biases cannot be used: {reason} Run wandb "
            "login, set WANDB_MODE=offline in the environment, or set WANDB.USE_WANDB False"
        ) from error
    return [*loggers, logger]


def write_metrics(folder: Path, metrics: Mapping[str, Any], loggers: Sequence[Logger]) -> None:
    """Add a line to ``metrics.json`` in a folder and a step to the loggers; to be called on rank 0 only.

    One of the metrics is ``iteration``. Numbers that are not finite are written as null.
    """
    finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    with (folder / "metrics.json").open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite, sort_keys=True) + "\n")
    values = {name: value for name, value in finite.items() if name != "iteration" and value is not None}
    for other in loggers:
        other.log_metrics(values, step=metrics["iteration"])
        other.save()
