"""Predict shards on a Ray cluster: Ray Data gives each shard to one of a pool of actors with a model each."""

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from speaq.errors import SpeaqError
from speaq.inference.pipeline import Predictor
from speaq.tools.shards import Shard, ShardWriter

_OBJECT_STORE = 200 * 2**20  # bytes, of a cluster that is started here: lists of paths pass through it


@contextmanager
def connected(address: str | None = None, workers: int | None = None, *, gpu: bool = False) -> Iterator[None]:
    """Be connected to a Ray cluster in the block.

    Ray reports its use to its makers unless RAY_USAGE_STATS_ENABLED is 0, and so that is set if it has no
    value yet.

    Args:
        address: of the cluster, HOST:PORT, or "auto" for that of this machine. By default RAY_ADDRESS, or
            else a cluster of this machine alone, which is stopped at the end.
        workers: CPUs of the latter; by default all.
        gpu: the cluster has to have a GPU.

    Raises:
        SpeaqError: ray is not installed, there is no cluster at the address, or it has no GPU.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of 40 seconds each, to reach a cluster
    try:
        import ray.data  # type: ignore[import-not-found]
    except ImportError as error:
        raise SpeaqError('--engine ray needs the package ray: pip install "speaq[ray]"') from error
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    try:
        if address not in ("auto", "local"):  # Ray itself takes longer to notice
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address, **options)
    except (OSError, ValueError, OverflowError, RuntimeError, ray.exceptions.RayError) as error:
        raise SpeaqError(
            f"--address {address}: cannot connect to this Ray cluster ({error}); expected the HOST:PORT of "
            "its head node, or auto on one of its machines, and the RAY_AUTH_MODE with which it was started"
        ) from error
    try:
        if gpu and not ray.cluster_resources().get("GPU"):
            raise SpeaqError("the Ray cluster has no GPU; add a node with one, or choose --device cpu")
        yield
    finally:
        ray.shutdown()


class _Worker:
    """An actor: loads the model with its first shard, and writes shards.

    Paths are relative to the folder in which the command was started.
    """

    def __init__(self, load: Callable[[], Predictor], writer: ShardWriter, folder: Path):
        self.load, self.writer = load, writer
        self.network: Predictor | None = None
        with suppress(OSError):  # absolute paths do not need it
            os.chdir(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        error = ""
        try:
            self.network = self.network or self.load()
            self.writer.write(self.network, pickle.loads(row["shard"]))
        except SpeaqError as found:  # as a value: an exception would come with the traceback of the actor
            error = str(found)
        return {"number": row["number"], "error": error}


def predict_on_ray(
    load: Callable[[], Predictor],
    writer: ShardWriter,
    shards: Sequence[Shard],
    *,
    workers: int | None = None,
    gpu: bool = False,
) -> Iterator[Shard]:
    """Predict shards on the cluster to which this process is `connected`, in any order.

    A shard is started again if its actor or node dies. Actors are started on nodes that join the cluster.

    Args:
        load: loads the model, in each actor.
        writer: writes the shards, to a folder that all nodes share.
        shards: to be written.
        workers: number of actors; by default as many as the cluster has room for.
        gpu: give each actor a GPU instead of a CPU.

    Yields:
        Each shard when it is written.

    Raises:
        SpeaqError: the model cannot be loaded, a shard cannot be written, or the cluster fails.
    """
    import ray.data  # type: ignore[import-not-found]

    if not shards:
        return
    room = int(ray.cluster_resources().get("GPU" if gpu else "CPU", 0))
    most = len(shards)
    pool = {"min_size": 1, "max_size": most, "initial_size": min(max(room, 1), most)}
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.autoscaling_config.actor_pool_util_upscaling_threshold = 1.0  # as an actor has one task at a time
    by_number = {shard.number: shard for shard in shards}
    try:
        items = [{"number": shard.number, "shard": pickle.dumps(shard)} for shard in shards]
        done = ray.data.from_items(items, override_num_blocks=len(items)).map(
            _Worker,
            fn_constructor_args=(load, writer, Path.cwd()),
            compute=ray.data.ActorPoolStrategy(
                **({"size": min(workers, most)} if workers else pool), max_tasks_in_flight_per_actor=1
            ),
            **({"num_gpus": 1} if gpu else {"num_cpus": 1}),
        )
        for batch in done.iter_batches(batch_size=1, prefetch_batches=0):  # iter_rows holds one row back
            (number,), (error,) = batch["number"].tolist(), batch["error"].tolist()
            if error:
                raise SpeaqError(error)
            if writer.graphs(number) not in writer.folder.iterdir():
                raise SpeaqError(
                    f"{writer.graphs(number)}: was written on another machine, and is not here; choose an "
                    "output folder that all machines of the cluster share"
                )
            yield by_number[number]
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise SpeaqError(f"the Ray cluster failed ({reason}); continue with --resume") from error
