"""What several of the measurements share: the time of a call, the model, and processes of their own."""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[1] / "src"
"""The folder of this version of speaq."""


def durations(call: Callable[[], object], repeats: int, threads: int) -> list[float]:
    """Times of a call in milliseconds, after one to warm up.

    With one thread, they are those of the CPU, which other work on the machine disturbs less.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    call()
    found = []
    for _ in range(repeats):
        start = clock()
        call()
        found.append(1e3 * (clock() - start))
    return found


def shortest(call: Callable[[], object], repeats: int, threads: int) -> float:
    """The shortest time of a call in milliseconds, see `durations`."""
    return min(durations(call, repeats, threads))


def peak_memory() -> int:
    """The peak memory of this process in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def start_torch(threads: int) -> None:
    """Set up torch as the speaq program does, with a fixed seed."""
    import torch

    with contextlib.suppress(ImportError):  # earlier versions have none
        from speaq.cli import _keep_freed_memory

        _keep_freed_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def resnet50_model() -> Any:
    """The model of the paper with a ResNet-50 (D 256, 6 + 6 layers, 300 x 2 queries) and random weights.

    Images of 480 x 640 pixels are not resized.
    """
    import speaq
    from speaq.model.backbone import resnet_config

    config = speaq.ModelConfig(
        objects=tuple(map(str, range(150))),
        predicates=tuple(map(str, range(50))),
        backbone=resnet_config(depth=50),
        query_multiplier=2,
        min_size=480,
        max_size=640,
    )
    return speaq.Speaq(config)


def in_process(script: str, *options: str, source: Path = SOURCE) -> Any:
    """The value that a script prints as JSON on its last line, run with the speaq in a folder."""
    command = [sys.executable, script, *options]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    run = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])
