"""The processes that torchrun or SLURM started for a run."""

import os
from dataclasses import dataclass

from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from speaq.errors import SpeaqError

_INTERACTIVE_JOBS = ("bash", "interactive")  # names of SLURM jobs in which Lightning does not look for srun


@dataclass(frozen=True, slots=True)
class Launcher:
    """A launcher that started the processes of a run, one per device.

    Attributes:
        name: for messages.
        option: its option for the number of processes per machine.
        processes: number of processes on this machine.
        machines: number of machines.
        environment: ranks and addresses for Lightning.
    """

    name: str
    option: str
    processes: int
    machines: int
    environment: ClusterEnvironment


def find_launcher() -> Launcher | None:
    """The launcher that started this process; None if it was started alone.

    Raises:
        SpeaqError: the machines have different numbers of processes.
    """
    variables = os.environ
    if {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= variables.keys():
        world_size = int(variables["WORLD_SIZE"])
        processes = int(variables.get("LOCAL_WORLD_SIZE", world_size))
        machines = _machines("torchrun", world_size, world_size / processes, processes)
        return Launcher("torchrun", "--nproc-per-node", processes, machines, TorchElasticEnvironment())
    tasks = int(variables.get("SLURM_NTASKS", "1"))
    is_step = {"SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"} <= variables.keys()
    if tasks > 1 and is_step and variables.get("SLURM_JOB_NAME") not in _INTERACTIVE_JOBS:
        machines = int(variables.get("SLURM_NNODES", "1"))
        processes = int(variables.get("SLURM_NTASKS_PER_NODE", tasks // machines))
        _machines("SLURM", tasks, machines, processes)
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(processes))  # which Lightning requires
        environment = SLURMEnvironment(auto_requeue=False)
        return Launcher("SLURM", "--ntasks-per-node", processes, machines, environment)
    return None


def _machines(name: str, world_size: int, machines: float, processes: int) -> int:
    if machines * processes != world_size or machines != int(machines):
        raise SpeaqError(
            f"{name} started {world_size} processes, of which {processes} on this machine: start the same "
            "number on every machine"
        )
    return int(machines)
