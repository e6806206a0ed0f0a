"""Processes that torchrun or SLURM started, and the connection between processes."""

import socket

import pytest

from speaq.config import load_config
from speaq.errors import SpeaqError
from speaq.training.cluster import Cluster
from speaq.training.launchers import find_launcher
from speaq.training.processes import ConnectedProcesses

TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "1"}
SLURM = {
    "SLURM_NTASKS": "4",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


@pytest.fixture
def environment(monkeypatch):
    """Sets environment variables; those of launchers are not set otherwise."""
    for name in (*TORCHRUN, *SLURM, "SLURM_NTASKS_PER_NODE", "SLURM_JOB_NAME", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")  # so that what the code sets is removed again
        monkeypatch.delenv(name)

    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(("name", "variables"), [("torchrun", TORCHRUN), ("SLURM", SLURM)])
def test_training_joins_the_processes_of_a_launcher(environment, config_file, name, variables):
    environment(variables)
    launcher = find_launcher()
    assert launcher is not None
    assert (launcher.name, launcher.processes, launcher.machines) == (name, 2, 2)
    assert (launcher.environment.global_rank(), launcher.environment.local_rank()) == (3, 1)
    options = Cluster(num_gpus=0).trainer_options(load_config(config_file))
    assert (options["devices"], options["num_nodes"]) == (2, 2)
    assert isinstance(options["strategy"], ConnectedProcesses)


@pytest.mark.parametrize(
    "variables",
    [{}, {"SLURM_NTASKS": "2"}, SLURM | {"SLURM_JOB_NAME": "bash"}, SLURM | {"SLURM_NTASKS": "1"}],
)
def test_a_process_without_launcher_trains_alone(environment, config_file, variables):
    environment(variables)
    assert find_launcher() is None
    assert Cluster(num_gpus=0).trainer_options(load_config(config_file))["devices"] == 1


def test_options_must_not_contradict_the_launcher(environment, config_file):
    environment(TORCHRUN)
    with pytest.raises(SpeaqError, match="torchrun started processes on 2 machines, but --num-machines is 3"):
        Cluster(num_gpus=0, num_machines=3).trainer_options(load_config(config_file))
    environment({"LOCAL_WORLD_SIZE": "3"})
    with pytest.raises(SpeaqError, match="torchrun started 4 processes, of which 3 on this machine"):
        find_launcher()


def test_a_port_in_use_is_refused_before_the_training(environment, config_file):
    environment({})
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        url = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SpeaqError, match=f"--dist-url {url}: the port is in use; another training"):
            Cluster(num_gpus=0, num_machines=2, dist_url=url).trainer_options(load_config(config_file))
        Cluster(num_gpus=0, dist_url=url).trainer_options(load_config(config_file))  # it needs no port


@pytest.mark.parametrize(
    ("host", "rank", "message"),
    [
        ("no-such-host.invalid", "1", "no-such-host.invalid:29876, cannot be resolved"),
        ("127.0.0.1", "1", "waited 0.001 minutes for rank 0 at 127.0.0.1:29876"),
        ("127.0.0.1", "0", "waited 0.001 minutes for rank 1 of 2 processes to connect"),
    ],
)
def test_the_wait_for_other_processes_is_bounded(environment, config_file, host, rank, message):
    variables = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2"}
    environment(variables | {"MASTER_ADDR": host, "MASTER_PORT": "29876"})
    config = load_config(config_file, ["DIST_WAIT_MINUTES", "0.001"])
    options = Cluster(num_gpus=0).trainer_options(config)
    strategy = options["strategy"]
    assert strategy._timeout.total_seconds() == 0.06  # also of every exchange
    strategy.cluster_environment = options["plugins"][0]
    strategy.parallel_devices = [None, None]
    with pytest.raises(SpeaqError, match=message):
        strategy.setup_distributed()
