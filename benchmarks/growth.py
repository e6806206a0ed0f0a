"""How time and memory grow with images, queries, relations and pixels: a figure of docs/performance.md.

    python benchmarks/growth.py docs/growth.png

Every point is measured in a process of its own with one thread: its CPU time, the shortest of several calls,
and how much its calls add to the peak memory of the process. The exponent of a power law, fitted to the upper
half of the points, stands in the legend.
"""

import argparse
import contextlib
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

QUANTITIES = {
    "images B": (1, 2, 5, 10, 20),
    "queries Q": (100, 200, 300, 600, 1200),
    "relations of an image M": (2, 5, 11, 20, 40),
    "pixels of an image": (320, 480, 640, 800, 1066),
}


def matching_and_loss(images: int = 5, queries: int = 300, relations: int = 11) -> Callable[[], object]:
    """Matching and loss, forward and backward, with the published settings."""
    from matching_and_loss import criterion_and_groups, random_batch

    output, targets = random_batch(images, relations, queries)
    criterion, _, _ = criterion_and_groups(queries)
    for logits in (output.subject_logits, output.object_logits, output.predicate_logits):
        logits.requires_grad_(True)
    return lambda: criterion(output, targets).total.backward()


def network(side: int) -> Callable[[], object]:
    """The network of the paper with a ResNet-50, for a square image."""
    import torch

    import speaq
    from speaq.model.backbone import resnet_config

    config = speaq.ModelConfig(
        objects=tuple(map(str, range(150))),
        predicates=tuple(map(str, range(50))),
        backbone=resnet_config(depth=50),
        query_multiplier=2,
    )
    model = speaq.Speaq(config).eval()
    image = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)

    def call() -> None:
        with torch.inference_mode():
            model(image)

    return call


def measure(quantity: str, value: int) -> dict[str, float]:
    """Milliseconds of a call and MB that it adds to the peak memory."""
    import torch

    with contextlib.suppress(ImportError):
        from speaq.cli import _keep_freed_memory

        _keep_freed_memory()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = {"images B": "images", "queries Q": "queries", "relations of an image M": "relations"}
    call = matching_and_loss(**{names[quantity]: value}) if quantity in names else network(value)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    durations = []
    for _ in range(6):
        start = time.process_time()
        call()
        durations.append(time.process_time() - start)
    unit = 1 if sys.platform == "darwin" else 1024
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit
    return {"ms": 1e3 * min(durations), "MB": memory / 1e6}


def exponent(x: tuple[int, ...], y: list[float]) -> float:
    """Slope of the logarithms over the last three points."""
    return math.log(y[-1] / y[-3]) / math.log(x[-1] / x[-3])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", nargs="?")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure[0], int(arguments.measure[1]))))
        return

    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, all_axes = pyplot.subplots(1, len(QUANTITIES), figsize=(15, 3.6), layout="constrained")
    for axes, (quantity, values) in zip(all_axes, QUANTITIES.items(), strict=True):
        points = []
        for value in values:
            command = [sys.executable, __file__, "--measure", quantity, str(value)]
            run = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
            points.append(json.loads(run.stdout.splitlines()[-1]))
            print(f"{quantity:26}{value:6}{points[-1]['ms']:10.1f} ms{points[-1]['MB']:8.0f} MB")
        x = tuple(value**2 for value in values) if quantity.startswith("pixels") else values
        for unit, colour in (("ms", "tab:blue"), ("MB", "tab:orange")):
            y = [max(point[unit], 0.1) for point in points]
            label = f"{unit}, exponent {exponent(x, y):.2f}"
            axes.loglog(x, y, "o-", color=colour, label=label)
            print(f"{quantity:26}{label}")
        part = "network, inference" if quantity.startswith("pixels") else "matching and loss"
        axes.set(title=part, xlabel=quantity)
        axes.set_xticks(x, [f"{value}²" if quantity.startswith("pixels") else str(value) for value in values])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(which="both", alpha=0.3)
        axes.legend()
    if arguments.figure:
        figure.savefig(arguments.figure, dpi=100)


if __name__ == "__main__":
    main()
