"""Predict shards on a Ray cluster: Ray Data gives each shard to one of a pool of actors with a model each."""

import contextlib
import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.inference.pipeline import Predictor
from speaq.tools.shards import Shard, ShardWriter

_OBJECT_STORE = 200 * 2**20  # bytes, of a cluster that is started here: lists of paths pass through it


class _Worker:
    """An actor: loads the model with its first shard, and writes shards.

    Paths are relative to the folder in which the command was started.
    """

    def __init__(self, load: Callable[[], Predictor], writer: ShardWriter, folder: str):
        self.load, self.writer = load, writer
        self.network: Predictor | None = None
        with contextlib.suppress(OSError):  # absolute paths do not need it
            os.chdir(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard: Shard = pickle.loads(row["shard"])
        error = ""
        try:
            self.network = self.network or self.load()
            self.writer.write(self.network, shard)
        except SpeaqError as found:  # as a value: an exception would come with the traceback of the actor
            error = str(found)
        return {"number": shard.number, "images": len(shard.items), "error": error}


def predict_on_ray(
    load: Callable[[], Predictor],
    writer: ShardWriter,
    shards: Sequence[Shard],
    *,
    address: str | None = None,
    workers: int | None = None,
    gpu: bool = False,
) -> Iterator[Shard]:
    """Predict shards on a cluster, in any order. A shard is started again if its node or actor dies.

    Args:
        load: loads the model, on each worker.
        writer: writes the shards, to a folder that all nodes share.
        shards: to be written.
        address: of the cluster, or "auto" for that of this machine. By default RAY_ADDRESS, or else a
            cluster of this machine alone, for the time of the call.
        workers: number of actors, with a CPU each; by default as many as the cluster has room for.
        gpu: give each actor a GPU.

    Yields:
        Each shard when it is written.

    Raises:
        SpeaqError: ray is not installed, the cluster cannot be reached, or a shard cannot be written.
    """
    ray = _connected(address or os.environ.get("RAY_ADDRESS") or None, workers)
    try:
        if gpu and not ray.cluster_resources().get("GPU"):
            sys.stderr.write("speaq: the cluster has no GPU yet; waiting for one\n")
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0  # a shard per actor at a time
        pool = {"size": min(workers, len(shards))} if workers else {"min_size": 1, "max_size": len(shards)}
        rows = ray.data.from_items(
            [{"shard": pickle.dumps(shard)} for shard in shards], override_num_blocks=len(shards)
        ).map(
            _Worker,
            fn_constructor_args=(load, writer, str(Path.cwd())),
            compute=ray.data.ActorPoolStrategy(**pool, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=1 if gpu else None,
        )
        by_number = {shard.number: shard for shard in shards}
        for row in rows.iter_rows():
            if row["error"]:
                raise SpeaqError(row["error"])
            if writer.graphs(row["number"]).name not in os.listdir(writer.folder):
                raise SpeaqError(
                    f"{writer.folder}: a worker wrote {writer.graphs(row['number']).name} on another machine; "
                    "choose an output folder that all machines of the cluster share"
                )
            yield by_number[row["number"]]
    except ray.exceptions.RayError as error:
        raise SpeaqError(
            f"the Ray cluster failed ({str(error).strip().splitlines()[-1]}); start again with --resume"
        ) from error
    finally:
        ray.shutdown()


def _connected(address: str | None, workers: int | None) -> Any:
    """The package ray with its module data, connected to a cluster.

    Ray reports its use to its makers unless RAY_USAGE_STATS_ENABLED is 0, and so it is set if it has no
    value yet.

    Raises:
        SpeaqError: it is not installed, or there is no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of 40 seconds each, to reach a cluster
    try:
        import ray.data
    except ImportError as error:
        raise SpeaqError('--engine ray needs the package ray: pip install "speaq[ray]"') from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        address = "local"
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    try:
        if address not in ("auto", "local"):
            host, _, port = address.removeprefix("ray://").rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, **options)
    except (OSError, ValueError, OverflowError, RuntimeError) as error:
        raise SpeaqError(
            f"--address {address}: cannot connect to this Ray cluster ({error}); expected the HOST:PORT of "
            "its head node, or auto on one of its machines"
        ) from error
    return ray
