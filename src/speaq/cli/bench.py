"""``speaq bench``."""

from pathlib import Path
from typing import Literal

from cyclopts.types import PositiveInt

from speaq.errors import SpeaqError


def bench(
    model: str | None = None,
    *,
    config_file: Path | None = None,
    size: tuple[PositiveInt, PositiveInt] = (600, 800),
    batch: PositiveInt = 1,
    runs: PositiveInt = 5,
    device: str = "cpu",
    dtype: Literal["float32", "bfloat16"] = "float32",
    threads: PositiveInt | None = None,
    objects: PositiveInt = 150,
    predicates: PositiveInt = 50,
) -> None:
    """Measure the parameters, computation, time and memory of a model.

    Args:
        model: folder of a saved model, output folder of a training, or a model id on the hub.
        config_file: a YAML configuration instead of a model; the weights are random.
        size: height and width of the images in pixels.
        batch: images per forward pass.
        runs: number of timed runs, after two for warm-up; times are medians.
        device: cpu, cuda, cuda:1, ...
        dtype: bfloat16 is faster on a GPU and slightly less accurate.
        threads: number of CPU threads; by default that of PyTorch.
        objects: with config_file, number of object classes.
        predicates: with config_file, number of predicate classes.
    """
    if (model is None) == (config_file is None):
        found = "neither" if model is None else "both"
        raise SpeaqError(f"expected a model or --config-file FILE, found {found}; name one of them")

    import torch
    from rich.table import Table
    from rich.text import Text

    from speaq.console import PlainConsole
    from speaq.devices import find_device
    from speaq.pretrained import Speaq
    from speaq.tools.bench import build_model, measure

    if threads is not None:
        torch.set_num_threads(threads)
    place = find_device(device)
    if config_file is not None:
        network = build_model(config_file, objects=objects, predicates=predicates).to(place)
    else:
        network = Speaq.from_pretrained(str(model), device=place)
    cost = measure(network, size=size, batch=batch, runs=runs, dtype=dtype)

    where = f"cpu, {_count(torch.get_num_threads(), 'thread')}"
    if place.type == "cuda":
        where = torch.cuda.get_device_name(place)
    title = f"{config_file or model}: {_count(batch, 'image')} of {size[0]}x{size[1]}, {dtype}, {where}"
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("parameters", f"{cost.parameters / 1e6:.2f} M")
    table.add_row("computation", f"{cost.gflops:.1f} GFLOPs")
    table.add_row("forward", f"{cost.forward_ms:,.1f} ms")
    table.add_row("post-processing", f"{cost.postprocess_ms:,.1f} ms")
    table.add_row("predict, whole", f"{cost.predict_ms:,.1f} ms")
    table.add_row("peak memory", "unknown" if cost.memory_mb is None else f"{cost.memory_mb:,.0f} MB")
    console = PlainConsole()
    console.print(Text(title), soft_wrap=True)
    console.print(table)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
