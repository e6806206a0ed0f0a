"""The devices of a run: the CPU, the GPUs of this machine, or several machines."""

import os
import re
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy

from speaq.config import Config
from speaq.errors import SpeaqError


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The devices of a run.

    Attributes:
        num_gpus: number of GPUs per machine; 0: the CPU; None: one GPU if there is any.
        num_machines: number of machines that run the same command.
        machine_rank: rank of this machine, from 0.
        dist_url: address of rank 0: ``tcp://host:port``, or only a port for processes on this machine.
        cpu_processes: number of processes if ``num_gpus`` is 0.
    """

    num_gpus: int | None = None
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = ""
    cpu_processes: int = 1

    def trainer_options(self, config: Config) -> dict[str, Any]:
        """Accelerator, devices and strategy of the Trainer; also sets the environment of torch.distributed.

        Raises:
            SpeaqError: more GPUs than available, or no address of rank 0 for several machines.
        """
        available, name = torch.cuda.device_count(), config.model.device
        num_gpus = min(available, 1) if self.num_gpus is None else self.num_gpus
        if name == "cpu":
            num_gpus = 0
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        machine = f"this machine has {available} CUDA GPU{'s' * (available != 1)}"
        machine += f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""
        if num_gpus < 0:
            raise SpeaqError(f"--num-gpus {num_gpus}: expected 0 (the CPU) or more")
        if num_gpus > available:
            cpu = " (the CPU)" * (available == 0)
            raise SpeaqError(f"--num-gpus {num_gpus}: {machine}. Use --num-gpus {available}{cpu}")
        if self.num_machines < 1:
            raise SpeaqError(f"--num-machines {self.num_machines}: expected 1 or more")
        if not 0 <= self.machine_rank < self.num_machines:
            raise SpeaqError(
                f"--machine-rank {self.machine_rank}: expected 0 to {self.num_machines - 1}, "
                f"as --num-machines is {self.num_machines}"
            )
        self._set_environment()
        devices: int | list[int] = num_gpus or self.cpu_processes
        several = self.num_machines > 1 or devices > 1
        if num_gpus == 1 and ":" in name:
            devices = [int(name.split(":")[1])]
            if devices[0] >= available:
                raise SpeaqError(f"MODEL.DEVICE {name}: {machine}, counted from 0")
        # No buffers need to be broadcast: trained batch norms are synchronized on GPUs, and the statistics of
        # frozen ones are constant.
        ddp = DDPStrategy(broadcast_buffers=False, process_group_backend="nccl" if num_gpus else "gloo")
        return {
            "accelerator": "gpu" if num_gpus else "cpu",
            "devices": devices,
            "num_nodes": self.num_machines,
            "strategy": ddp if several else "auto",
            "sync_batchnorm": bool(num_gpus and several),
        }

    def _set_environment(self) -> None:
        """Set the address and the rank of this machine for torch.distributed, unless they are set already."""
        url = "" if self.dist_url == "auto" else self.dist_url
        match = re.fullmatch(r"(?:(?:tcp://)?(?P<host>[^:/]+):)?(?P<port>\d+)", url)
        host, port = (match["host"], int(match["port"])) if match else (None, 0)
        if url and not 0 < port < 2**16:
            raise SpeaqError(
                f"--dist-url {url}: expected a port from 1 to 65535 such as 29503, or tcp://HOST:PORT"
            )
        if self.num_machines > 1 and not host:
            raise SpeaqError(
                f"--num-machines {self.num_machines}: the address of rank 0 is required; give "
                "--dist-url tcp://HOST:PORT with the address of the machine of rank 0"
            )
        if port:
            os.environ.setdefault("MASTER_ADDR", host or "127.0.0.1")
            os.environ.setdefault("MASTER_PORT", str(port))
        if self.num_machines > 1:
            os.environ.setdefault("NODE_RANK", str(self.machine_rank))
