"""The devices of a run: the CPU, the GPUs of this machine, or several machines."""

import os
import re
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from speaq.config import Config
from speaq.errors import SpeaqError
from speaq.training.launchers import Launcher, find_launcher
from speaq.training.processes import ConnectedProcesses, in_use_message, port_in_use


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The devices of a run.

    If torchrun or srun started this process, it joins their other processes; options that contradict them
    are refused.

    Attributes:
        num_gpus: number of GPUs per machine; 0: the CPU; None: one GPU per process if there is any.
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
            SpeaqError: more GPUs than available, no address of rank 0 for several machines, or options that
                contradict the launcher.
        """
        launcher = find_launcher()
        self._check(launcher)
        device = config.model.device
        num_gpus = 0 if device == "cpu" else self._count_gpus(launcher)
        num_machines = launcher.machines if launcher else self.num_machines
        devices: int | list[int] = num_gpus or (launcher.processes if launcher else self.cpu_processes)
        several = num_machines > 1 or devices > 1
        self._set_environment(launcher, several=several)
        if num_gpus == 1 and ":" in device:
            devices = [int(device.split(":")[1])]
            if devices[0] >= torch.cuda.device_count():
                raise SpeaqError(f"MODEL.DEVICE {device}: {_describe_gpus()}, counted from 0")
        # No buffers need to be broadcast: trained batch norms are synchronized on GPUs, and the statistics of
        # frozen ones are constant.
        ddp = ConnectedProcesses(
            wait_minutes=config.dist_wait_minutes,
            step_minutes=config.dist_step_minutes,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,  # no second copy of the gradients
            process_group_backend="nccl" if num_gpus else "gloo",
        )
        return {
            "accelerator": "gpu" if num_gpus else "cpu",
            "devices": devices,
            "num_nodes": num_machines,
            "plugins": [launcher.environment if launcher else LightningEnvironment()],
            "strategy": ddp if several else "auto",
            "sync_batchnorm": bool(num_gpus and several),
        }

    def _check(self, launcher: Launcher | None) -> None:
        """Refuse impossible numbers of GPUs and machines."""
        if self.num_gpus is not None and self.num_gpus < 0:
            raise SpeaqError(f"--num-gpus {self.num_gpus}: expected 0 (the CPU) or more")
        if self.num_machines < 1:
            raise SpeaqError(f"--num-machines {self.num_machines}: expected 1 or more")
        if not 0 <= self.machine_rank < self.num_machines:
            raise SpeaqError(
                f"--machine-rank {self.machine_rank}: expected 0 to {self.num_machines - 1}, "
                f"as --num-machines is {self.num_machines}"
            )
        if launcher and self.num_machines not in (1, launcher.machines):
            raise SpeaqError(
                f"{launcher.name} started processes on {launcher.machines} machines, but --num-machines is "
                f"{self.num_machines}: leave out --num-machines and --machine-rank, or start the command "
                f"without {launcher.name}"
            )

    def _count_gpus(self, launcher: Launcher | None) -> int:
        """The number of GPUs to use on this machine; there are as many, and one for each process."""
        available, processes = torch.cuda.device_count(), launcher.processes if launcher else 1
        num_gpus = (processes if available else 0) if self.num_gpus is None else self.num_gpus
        if num_gpus > available:
            if launcher and self.num_gpus is None:
                raise SpeaqError(
                    f"{launcher.name} started {processes} processes here, but {_describe_gpus()}. Use "
                    f"{launcher.option} {available} (in SLURM, with all GPUs visible to all tasks), or "
                    "--num-gpus 0 (the CPU)"
                )
            cpu = " (the CPU)" * (available == 0)
            raise SpeaqError(f"--num-gpus {num_gpus}: {_describe_gpus()}. Use --num-gpus {available}{cpu}")
        if launcher and num_gpus not in (0, processes):
            raise SpeaqError(
                f"{launcher.name} started {processes} process{'es' * (processes != 1)} on this machine, but "
                f"--num-gpus is {num_gpus}: use {launcher.option} {num_gpus}, or start the command without "
                f"{launcher.name}"
            )
        return num_gpus

    def _set_environment(self, launcher: Launcher | None, *, several: bool) -> None:
        """Set the address and the rank of this machine for torch.distributed, unless they are set already."""
        url = "" if self.dist_url == "auto" else self.dist_url
        match = re.fullmatch(r"(?:(?:tcp://)?(?P<host>[^:/]+):)?(?P<port>\d+)", url)
        host, port = (match["host"], int(match["port"])) if match else (None, 0)
        if url and not 0 < port < 2**16:
            raise SpeaqError(
                f"--dist-url {url}: expected a port from 1 to 65535 such as 29503, or tcp://HOST:PORT"
            )
        if self.num_machines > 1 and not host and not launcher:
            raise SpeaqError(
                f"--num-machines {self.num_machines}: the address of rank 0 is required; give "
                "--dist-url tcp://HOST:PORT with the address of the machine of rank 0"
            )
        is_first = self.machine_rank == 0 and "LOCAL_RANK" not in os.environ
        if port and several and is_first and not launcher and port_in_use(port):
            raise SpeaqError(in_use_message(url))
        if port:
            os.environ.setdefault("MASTER_PORT", str(port))
            if host or not launcher:
                os.environ.setdefault("MASTER_ADDR", host or "127.0.0.1")
        if self.num_machines > 1 and not launcher:
            os.environ.setdefault("NODE_RANK", str(self.machine_rank))


def _describe_gpus() -> str:
    available, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    text = f"this machine has {available} CUDA GPU{'s' * (available != 1)}"
    return text if visible is None else f"{text} (CUDA_VISIBLE_DEVICES is {visible!r})"
