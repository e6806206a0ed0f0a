"""`speaq predict --engine ray` on a cluster of two nodes on this machine."""

import os
import socket
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.cli import app, run
from speaq.pretrained import Speaq
from speaq.tools.ray_predict import connected, predict_on_ray
from speaq.tools.shards import Item, ShardWriter
from tiny_model import tiny_config
from waiting_model import WaitingModel

pytest.importorskip("ray.data")
NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
NAMES = ["free-0.png", "free-1.png", *(f"{index}.png" for index in range(10))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a model and images, one of which is damaged, and the shards that one machine writes."""
    folder = tmp_path_factory.mktemp("ray")
    torch.manual_seed(0)
    Speaq(tiny_config(num_queries=6, min_size=64, max_size=96)).save_pretrained(folder / "model")
    (folder / "in").mkdir()
    for index, name in enumerate(NAMES):
        pixels = np.random.default_rng(index).integers(0, 256, (60, 80 + index % 2, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "in" / name)
    (folder / "in" / "7.png").write_bytes(b"no image")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the workers
    predict(folder, "alone", code=1)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        tests = Path(__file__).parents[1]
        patch.setenv("PYTHONPATH", os.pathsep.join([str(tests.parent / "src"), str(tests)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        soon = {f"health_check_{key}_ms": 500 for key in ("initial_delay", "period", "timeout")}
        system = {"_system_config": {**soon, "health_check_failure_threshold": 3}}
        cluster = Cluster(initialize_head=True, head_node_args=NODE | system)
        yield cluster
        cluster.shutdown()


def predict(folder: Path, output: str, *options: object, model: str = "model", code: int = 0) -> None:
    words = ["predict", *(folder / "in" / name for name in NAMES), "--model", folder / model]
    words += ["--output-dir", folder / output, "--batch-size", 2, "--shard-size", 2, *options]
    with pytest.raises(SystemExit) as stop:
        run(app, [*map(str, words)])
        raise SystemExit(0)
    assert stop.value.code == code


def shards(folder: Path) -> dict[str, bytes]:
    assert not [*folder.glob(".writing-*")]
    return {path.name: path.read_bytes() for path in folder.glob("*-*.jsonl")}


def test_wrong_addresses_are_reported(folder, capsys):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for address in (f"127.0.0.1:{unused.getsockname()[1]}", "somewhere"):
            predict(folder, "none", "--engine", "ray", "--address", address, code=2)
            err = capsys.readouterr().err
            assert f"--address {address}: cannot connect" in err and len(err.splitlines()) == 1
    assert not (folder / "none").exists()


def test_a_node_is_added_and_killed(folder, cluster):
    items = [Item(str(folder / "in" / name)) for name in NAMES]
    writer = ShardWriter(folder=folder / "killed", max_pixels=10**8, batch_size=2)
    load = partial(WaitingModel.load, folder / "model", folder)
    with connected(cluster.address):
        todo = writer.start(items, 2, resume=False, model="")
        written = predict_on_ray(load, writer, todo, workers=2)  # with room for one
        done = [next(written).number]
        node = cluster.add_node(**NODE)
        started = folder / f"started-{node.node_id}"
        end = time.monotonic() + 60
        while not started.exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        (folder / "go").touch()
        done += [shard.number for shard in written]
        writer.finish()
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    assert shards(folder / "killed") == shards(folder / "alone")


def test_two_nodes_write_what_one_machine_writes(folder, cluster, capsys):
    node = cluster.add_node(**NODE)
    options = ("--engine", "ray", "--address", cluster.address, "--workers", 2)
    predict(folder, "two", *options, code=1)
    cluster.remove_node(node)
    assert shards(folder / "two") == shards(folder / "alone")
    assert "1 image could not be read" in capsys.readouterr().err
    predict(folder, "two", *options, "--resume", code=1)
    assert "(12 had results already)" in capsys.readouterr().out
    predict(folder, "wrong", *options, model="in", code=2)
    err = capsys.readouterr().err
    assert f"speaq: {folder / 'in'}: " in err and "Traceback" not in err
