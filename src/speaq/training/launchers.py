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
    environment: ClusterEnvironment
    if {"RANK", "LOCAL_RANK", "WORLD_SIZE"} <= variables.keys():
        name, option = "torchrun", "--nproc-per-node"
        world_size = int(variables["WORLD_SIZE"])
        processes = int(variables.get("LOCAL_WORLD_SIZE", world_size))
        machines = world_size // processes
        environment = TorchElasticEnvironment()
    elif _is_slurm_step():
        name, option = "SLURM", "--ntasks-per-node"
        world_size = int(variables["SLURM_NTASKS"])
        machines = int(variables.get("SLURM_NNODES", "1"))
        processes = int(variables.get("SLURM_NTASKS_PER_NODE", world_size // machines))
        variables.setdefault("SLURM_NTASKS_PER_NODE", str(processes))  # which Lightning requires
        environment = SLURMEnvironment(auto_requeue=False)
    else:
        return None
    if machines * processes != world_size:
        raise SpeaqError(
            f"{name} started {world_size} processes, of which {processes} on this machine: start the same "
            "number on every machine"
        )
    return Launcher(name, option, processes, machines, environment)


def _is_slurm_step() -> bool:
    """Whether srun started this process and others."""
    variables = os.environ
    is_step = {"SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"} <= variables.keys()
    is_interactive = variables.get("SLURM_JOB_NAME") in _INTERACTIVE_JOBS
    return is_step and not is_interactive and int(variables.get("SLURM_NTASKS", "1")) > 1
