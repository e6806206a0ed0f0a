"""``speaq predict`` in shards, in this process or on a Ray cluster."""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from speaq.cli.progress import print_summary, progress_bar
from speaq.errors import printable
from speaq.inference.pipeline import Predictor
from speaq.tools.shards import Shard, ShardWriter, list_items


def predict_shards(
    load: Callable[..., Predictor],
    writer: ShardWriter,
    sources: Sequence[str | Path],
    size: int,
    *,
    on_ray: bool,
    address: str | None,
    workers: int | None,
    gpu: bool,
    resume: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Predict shards of ``size`` images; end the program with exit code 1 if images could not be read.

    Args:
        load: loads the model; its argument ``threads`` is the number of CPU threads.
        writer: writes the shards.
        sources: as `list_items` takes them.
        size: images per shard.
        on_ray: on a Ray cluster instead of in this process.
        address: of the cluster, see `speaq.tools.ray_predict.connected`.
        workers: likewise.
        gpu: likewise.
        resume: write only the missing shards.
        quiet: print no names of files.
        options: others on which the graphs depend, such as the model.
    """
    items = list_items(sources, writer.folder)
    start = partial(writer.start, items, size, resume=resume, **options)
    report = partial(_report, writer, len(items), quiet=quiet)
    if not on_ray:
        network = load()  # before the shards of an earlier run are deleted
        todo = start()
        report(todo, writer.write_all(network, todo))
        return
    from speaq.tools.ray_predict import connected, predict_on_ray

    with connected(address, workers, gpu=gpu):
        todo = start()
        report(todo, predict_on_ray(partial(_load_on_worker, load), writer, todo, workers=workers, gpu=gpu))


def _load_on_worker(load: Callable[..., Predictor]) -> Predictor:
    """Load the model in a process that was not started by ``run``, and has one CPU."""
    from speaq.cli import _keep_freed_memory

    _keep_freed_memory()
    return load(threads=1)


def _report(
    writer: ShardWriter, total: int, todo: Sequence[Shard], written: Iterable[Shard], *, quiet: bool
) -> None:
    """Write shards with a progress bar."""
    started = sum(len(shard.items) for shard in todo)
    with progress_bar() as progress:
        task = progress.add_task("predicting", total=started)
        for shard in written:
            if not quiet:
                sys.stdout.write(printable(f"{writer.graphs(shard.number)}: {len(shard.items)} images\n"))
            progress.advance(task, len(shard.items))
    unreadable = writer.finish()
    print_summary(total, started, unreadable, writer.folder)
    if unreadable:
        number = f"{len(unreadable)} image{'s' if len(unreadable) > 1 else ''}"
        sys.stderr.write(
            printable(f"speaq: {number} could not be read, see {writer.folder}/failed-*.jsonl\n")
        )
        raise SystemExit(1)
