"""``speaq bench``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from speaq.cli.models import Engine, Precision, default_engine, load_predictor
from speaq.errors import SpeaqError

if TYPE_CHECKING:
    from rich.table import Table

    from speaq.pretrained import Speaq
    from speaq.tools.bench import Cost


def bench(
    model: str | None = None,
    *,
    config_file: Path | None = None,
    images: str | None = None,
    limit: PositiveInt = 100,
    size: Annotated[tuple[PositiveInt, PositiveInt], Parameter(negative=())] = (600, 800),
    batch: PositiveInt = 1,
    runs: PositiveInt = 5,
    engine: Engine | None = None,
    device: str = "cpu",
    dtype: Precision = "float32",
    threads: PositiveInt | None = None,
    objects: PositiveInt = 150,
    predicates: PositiveInt = 50,
) -> None:
    """Measure parameters, GFLOPs, time and memory of a model, or with --images the time of each step.

    Args:
        model: folder of a saved model, output folder of a training run, model id on the hub, or with --images
            an ONNX file of speaq export.
        config_file: a YAML configuration instead of a model; the weights are random.
        images: an image file, a folder (searched recursively) or a pattern: measure each step of the
            prediction of these images, one image at a time; times are means over the images.
        limit: with --images, maximum number of images to measure, the first ones.
        size: without --images, height and width of the images in pixels.
        batch: without --images, images per forward pass.
        runs: without --images, number of timed runs, after two for warm-up; times are medians.
        engine: with --images, what runs the network, as in speaq predict.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is slightly less accurate; it is faster on GPUs, and in OpenVINO on CPUs that support
            it.
        threads: number of CPU threads; by default PyTorch's.
        objects: with --config-file, number of object classes.
        predicates: with --config-file, number of predicate classes.
    """
    if (model is None) == (config_file is None):
        found = "neither" if model is None else "both"
        raise SpeaqError(f"expected a model or --config-file FILE, found {found}; name one of them")
    engine = engine or default_engine(model or "")
    if engine != "torch" and (images is None or model is None):
        raise SpeaqError(
            f"the engine {engine} needs a model and --images: name images, a folder or a pattern"
        )

    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:  # torch waits for very many forever, or crashes
        raise SpeaqError(f"--threads: expected at most {cores}, the cores of this machine, found {threads}")

    import torch
    from rich.text import Text

    from speaq.console import PlainConsole
    from speaq.devices import find_device
    from speaq.tools.bench import build_model, measure, measure_stages

    if threads is not None:
        torch.set_num_threads(threads)
    place = find_device(device)
    if config_file is not None:
        network = build_model(config_file, objects=objects, predicates=predicates).to(place)
    else:
        network = load_predictor(str(model), engine, device, dtype, torch.get_num_threads())
    where = f"cpu, {_count(torch.get_num_threads(), 'thread')}"
    if place.type == "cuda":
        where = torch.cuda.get_device_name(place)
    if images is not None:
        number, stages = measure_stages(network, images, limit=limit, dtype=dtype)
        what, table = f"{_count(number, 'image')} of {images}, {engine}", _stages_table(stages)
    else:
        cost = measure(cast("Speaq", network), size=size, batch=batch, runs=runs, dtype=dtype)
        what, table = f"{_count(batch, 'image')} of {size[0]}x{size[1]}", _cost_table(cost)
    console = PlainConsole()
    console.print(Text(f"{config_file or model}: {what}, {dtype}, {where}"), soft_wrap=True)
    console.print(table)


def _cost_table(cost: "Cost") -> "Table":
    from rich.table import Table

    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("parameters", f"{cost.parameters / 1e6:.2f} M")
    table.add_row("computation", f"{cost.gflops:.1f} GFLOPs")
    table.add_row("forward", f"{cost.forward_ms:,.1f} ms")
    table.add_row("post-processing", f"{cost.postprocess_ms:,.1f} ms")
    table.add_row("predict, whole", f"{cost.predict_ms:,.1f} ms")
    table.add_row("peak memory", "unknown" if cost.memory_mb is None else f"{cost.memory_mb:,.0f} MB")
    return table


def _stages_table(stages: dict[str, float]) -> "Table":
    from rich.table import Table

    table = Table("step")
    for name in ("ms per image", "share"):
        table.add_column(name, justify="right")
    total = sum(stages.values())
    for name, value in stages.items():
        table.add_row(
            name, f"{value:,.1f}", f"{100 * value / total:.0f} %", end_section=name == [*stages][-1]
        )
    table.add_row("whole", f"{total:,.1f}", "100 %")
    return table


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
