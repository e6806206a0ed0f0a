"""Processes that start at once, as all are forked from one that has imported the package."""

import multiprocessing
import os
import runpy
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["speaq.training.launch"])


def run_together(
    calls: Sequence[Callable[[], object]],
    *,
    log: Path,
    environments: Sequence[dict[str, str]] = (),
    codes: Sequence[int] = (),
) -> None:
    """Run several functions at the same time, each in its own process, and expect their exit codes.

    Args:
        calls: functions, or partial ones, of modules that can be imported.
        log: file for the output of all; shown if an exit code is not the expected one.
        environments: additional environment variables of each process.
        codes: expected exit codes; 0 by default.
    """
    environments = environments or [{}] * len(calls)
    processes = [
        _CONTEXT.Process(target=_call, args=(call, environment, log))
        for call, environment in zip(calls, environments, strict=True)
    ]
    try:
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):  # threads would not survive the fork
            for process in processes:
                process.start()
        for process in processes:
            process.join(120)
        found = [process.exitcode for process in processes]
        assert found == list(codes or [0] * len(calls)), log.read_text()[-3000:]
    finally:
        for process in processes:
            process.kill()


def _call(call: Callable[[], object], environment: dict[str, str], log: Path) -> None:
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    call()


def run_script(arguments: Sequence[str]) -> None:
    """Run a script with its arguments, as python would."""
    sys.argv = list(arguments)
    runpy.run_path(arguments[0], run_name="__main__")


def run_torchrun(arguments: Sequence[str]) -> None:
    """Run torchrun with its arguments."""
    from torch.distributed.run import main

    main(list(arguments))


def torchrun_environments(processes: int, port: int) -> list[dict[str, str]]:
    """The variables that torchrun sets for each process of one machine."""
    common = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    return [
        common | {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(processes)}
        for rank in range(processes)
    ]


def free_port() -> int:
    """A port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
