"""The connection of the processes of a run."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch.distributed import (
    DistNetworkError,
    DistStoreError,
    PrefixStore,  # pyright: ignore[reportPrivateImportUsage]
    TCPStore,  # pyright: ignore[reportPrivateImportUsage]
)

from speaq.errors import SpeaqError
from speaq.training.logs import console

logger = logging.getLogger("speaq.training")

_REPORT_SECONDS = 60.0
_POLL_SECONDS = 0.2
_GRACE_SECONDS = 10.0


def port_in_use(port: int) -> bool:
    """Whether a program on this machine listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return True
    return False


class ConnectedProcesses(DDPStrategy):
    """Data-parallel training on several processes, which first wait for each other.

    Args:
        wait_minutes: how long to wait for the other processes, at the start and in every exchange.
        options: of the base class.
    """

    def __init__(self, *, wait_minutes: float, **options: Any):
        super().__init__(timeout=timedelta(minutes=wait_minutes), **options)
        self.wait_minutes = wait_minutes

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = _Launcher(self.cluster_environment, self.num_processes, self.num_nodes)

    def setup_distributed(self) -> None:
        """Connect to the other processes.

        Raises:
            SpeaqError: the address of rank 0 cannot be used, or a process is missing after ``wait_minutes``.
        """
        self.set_world_ranks()
        if not torch.distributed.is_initialized():
            store = self._store()
            torch.distributed.init_process_group(
                self._get_process_group_backend(),
                store=store,
                rank=self.global_rank,
                world_size=self.world_size,
                timeout=self._timeout,
                device_id=self.root_device if self.root_device.type == "cuda" else None,
            )
        super().setup_distributed()

    def _store(self) -> PrefixStore:
        """The store of rank 0, once all processes are connected to it."""
        assert self.cluster_environment is not None
        host, port = self.cluster_environment.main_address, self.cluster_environment.main_port
        wait = _Wait(self.wait_minutes, is_shown=self.local_rank == 0 < self.global_rank)
        try:
            socket.getaddrinfo(host, port)
        except OSError as error:
            raise SpeaqError(
                f"the address of rank 0, {host}:{port}, cannot be resolved ({error.strerror}); give the name "
                "or the IP address of the machine of rank 0, such as --dist-url tcp://HOST:PORT"
            ) from None
        # torchrun may serve the store itself, and keep it when it restarts the processes.
        served = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        while self.global_rank > 0 and not _listens(host, port):
            wait.for_("rank 0", f"at {host}:{port}")
        try:
            tcp = TCPStore(
                host,
                port,
                self.world_size,
                is_master=self.global_rank == 0 and not served,
                timeout=timedelta(seconds=_REPORT_SECONDS),
                wait_for_workers=False,
            )
            store = PrefixStore(f"speaq{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", tcp)
            store.set(f"rank {self.global_rank}", socket.gethostname())
            while missing := [
                f"rank {rank}" for rank in range(self.world_size) if not store.check([f"rank {rank}"])
            ]:
                wait.for_(", ".join(missing), f"of {self.world_size} processes to connect to {host}:{port}")
        except (DistNetworkError, DistStoreError) as error:
            if "EADDRINUSE" in str(error):
                raise SpeaqError(in_use_message(f"{host}:{port}")) from None
            reason = str(error).partition("\n")[0]
            raise SpeaqError(f"the connection to rank 0 at {host}:{port} failed: {reason}") from None
        return store


class _Launcher(_SubprocessScriptLauncher):
    """Starts the other processes of this machine; when one fails, this one ends with the same exit code."""

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """Start the processes unless torchrun or SLURM did, and call the function here."""
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
            threading.Thread(target=self._watch, daemon=True).start()
        return function(*args, **kwargs)

    def _watch(self) -> None:
        codes = [process.poll() for process in self.procs]
        while not any(codes):
            if None not in codes:
                return
            time.sleep(1)
            codes = [process.poll() for process in self.procs]
        time.sleep(_GRACE_SECONDS)  # usually this process ends by itself
        for process in self.procs:
            process.kill()
        failed = next(code for code in codes if code)
        os._exit(failed if failed > 0 else 128 - failed)


def in_use_message(url: str) -> str:
    """What to say of a port on which another program listens."""
    return f"--dist-url {url}: the port is in use; another training? Choose another port"


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


class _Wait:
    """Waits for other processes, and says every minute for which.

    Args:
        minutes: the longest time.
        is_shown: print to the terminal, to which only rank 0 logs.
    """

    def __init__(self, minutes: float, *, is_shown: bool):
        self.minutes, self.is_shown = minutes, is_shown
        self.start = self.reported = time.monotonic()

    def for_(self, what: str, where: str) -> None:
        """Wait a moment.

        Raises:
            SpeaqError: the time is over.
        """
        now = time.monotonic()
        if now - self.start > 60 * self.minutes:
            raise SpeaqError(
                f"waited {self.minutes:g} minutes for {what} {where}. Start the command on every machine "
                "with its --machine-rank and the same --dist-url, and check that the port is open between "
                "the machines (DIST_WAIT_MINUTES waits longer)"
            )
        if now - self.reported > _REPORT_SECONDS:
            self.reported = now
            text = f"waiting for {what} {where} since {(now - self.start) / 60:.0f} min"
            logger.warning(text)
            if self.is_shown:
                console.print(text)
        time.sleep(_POLL_SECONDS)
