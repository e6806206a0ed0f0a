"""How time and memory grow with images, queries, relations and pixels: a figure of docs/performance.md.

    python benchmarks/growth.py docs/growth.png

Every point is measured in a process of its own with one thread: its CPU time, the shortest of several calls,
and how much its calls add to the peak memory of the process. The exponent of a power law, fitted to the upper
half of the points, stands in the legend.
"""

import argparse
import json
import math
from collections.abc import Callable

from measuring import in_process, peak_memory, resnet50_model, shortest, start_torch

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

    model = resnet50_model().eval()
    image = torch.randint(0, 256, (1, 3, side, side), dtype=torch.uint8)

    def call() -> None:
        with torch.inference_mode():
            model(image)

    return call


def measure(quantity: str, value: int) -> dict[str, float]:
    """Milliseconds of a call and MB that it adds to the peak memory."""
    start_torch(threads=1)
    names = {"images B": "images", "queries Q": "queries", "relations of an image M": "relations"}
    call = matching_and_loss(**{names[quantity]: value}) if quantity in names else network(value)
    before = peak_memory()
    duration = shortest(call, 5, threads=1)
    return {"ms": duration, "MB": (peak_memory() - before) / 1e6}


def exponent(x: tuple[int, ...], y: list[float]) -> float:
    """Slope of the logarithms over the last three points."""
    return math.log(y[-1] / y[-3]) / math.log(x[-1] / x[-3])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
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
            points.append(in_process(__file__, "--measure", quantity, str(value)))
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
