"""Where a run computes: the CPU, the GPUs of this machine, or several machines."""

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
    """Where a run computes.

    Attributes:
        num_gpus: per machine; 0: the CPU; None: one GPU if there is any.
        num_machines: how many machines run the same command.
        machine_rank: which of them this is, from 0.
        dist_url: where rank 0 is met: ``tcp://host:port``, or a bare port on this machine.
        cpu_processes: ranks on the CPU, where ``num_gpus`` is 0.
    """

    num_gpus: int | None = None
    num_machines: int = 1
    machine_rank: int = 0
    dist_url: str = ""
    cpu_processes: int = 1

    def trainer_options(self, config: Config) -> dict[str, Any]:
        """Accelerator, devices and strategy for the engine; sets the meeting point for several ranks.

        Raises:
            SpeaqError: more GPUs than there are, or no meeting point for several machines.
        """
        num_gpus = self.num_gpus
        available = torch.cuda.device_count()
        if config.model.device == "cpu":
            num_gpus = 0
        elif num_gpus is None:
            num_gpus = min(available, 1)
        if num_gpus < 0:
            raise SpeaqError(f"--num-gpus {num_gpus}: expected 0 (the CPU) or more")
        if num_gpus > available:
            raise SpeaqError(
                f"--num-gpus {num_gpus}: this machine has {available} CUDA GPU{'s' * (available != 1)}"
                f"{_visible()}. Use --num-gpus {available}{' (the CPU)' * (available == 0)}"
            )
        if self.num_machines < 1:
            raise SpeaqError(f"--num-machines {self.num_machines}: expected 1 or more")
        if not 0 <= self.machine_rank < self.num_machines:
            raise SpeaqError(
                f"--machine-rank {self.machine_rank}: expected 0 to {self.num_machines - 1}, "
                f"as --num-machines is {self.num_machines}"
            )
        self._set_meeting_point()
        devices: int | list[int] = num_gpus or self.cpu_processes
        if num_gpus == 1 and ":" in config.model.device:
            devices = [int(config.model.device.split(":")[1])]
            if devices[0] >= available:
                raise SpeaqError(
                    f"MODEL.DEVICE {config.model.device}: this machine has {available} CUDA "
                    f"GPU{'s' * (available != 1)}{_visible()}, counted from 0"
                )
        several = self.num_machines > 1 or (devices if isinstance(devices, int) else 1) > 1
        # Trained batch norms see the whole batch on GPUs (the CPU has no such norm), so all ranks agree on
        # their statistics; those of frozen norms are constants. Nothing has to be broadcast.
        ddp = DDPStrategy(broadcast_buffers=False, process_group_backend="nccl" if num_gpus else "gloo")
        return {
            "accelerator": "gpu" if num_gpus else "cpu",
            "devices": devices,
            "num_nodes": self.num_machines,
            "strategy": ddp if several else "auto",
            "sync_batchnorm": bool(num_gpus and several),
        }

    def _set_meeting_point(self) -> None:
        match = re.fullmatch(r"(?:(?:tcp://)?(?P<host>[^:/]+):)?(?P<port>\d+)", self.dist_url or "auto")
        if (self.dist_url not in ("", "auto") and not match) or (
            match and not 0 < int(match["port"]) < 2**16
        ):
            raise SpeaqError(
                f"--dist-url {self.dist_url}: expected a port from 1 to 65535 such as 29503, or tcp://HOST:PORT"
            )
        host = match["host"] if match else None
        if self.num_machines > 1 and not host:
            raise SpeaqError(
                f"--num-machines {self.num_machines}: all machines must meet at one of them; "
                "give --dist-url tcp://HOST:PORT with the address of the machine of rank 0"
            )
        if match:
            os.environ.setdefault("MASTER_ADDR", host or "127.0.0.1")
            os.environ.setdefault("MASTER_PORT", match["port"])
        if self.num_machines > 1:
            os.environ.setdefault("NODE_RANK", str(self.machine_rank))


def _visible() -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f" (CUDA_VISIBLE_DEVICES is {visible!r})" if visible is not None else ""
