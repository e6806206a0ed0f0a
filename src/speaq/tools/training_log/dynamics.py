"""How the training itself runs: learning rate, speed, assignment, skipped steps."""

import re
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from speaq.tools.training_log.history import Series, TrainingHistory
from speaq.tools.training_log.losses import scalar_panel
from speaq.tools.training_log.page import Page
from speaq.tools.training_log.panels import (
    BLUE,
    DARK,
    GREEN,
    ORANGE,
    PART_COLOURS,
    PURPLE,
    VERMILLION,
    Curve,
    Panel,
    layer_shades,
)
from speaq.visualize.charts import Rgb

_MEAN_K = re.compile(r"k_log_layer(\d+)")


def draw_dynamics(histories: Sequence[TrainingHistory], *, smooth: int | None = None) -> Figure | None:
    """Learning rate, seconds per step, images per second, mean k, class errors, skipped steps, memory."""

    def curves(*named: tuple[str, str, Rgb]) -> list[Curve]:
        return [
            Curve.of(label, colour, histories, lambda history, name=name: history.series(name))
            for label, name, colour in named
        ]

    found = [_MEAN_K.fullmatch(name) for history in histories for name in history.names()]
    layers = sorted({int(match[1]) for match in found if match})
    mean_k = [
        (f"layer {layer}", f"k_log_layer{layer}", shade)
        for layer, shade in zip(layers, layer_shades(len(layers)), strict=True)
    ]
    panels = [
        scalar_panel("learning rate", histories, "lr", colour=PURPLE, smoothed=False),
        Panel(
            "seconds per iteration",
            curves(("whole step", "time", DARK), ("waiting for data", "data_time", ORANGE)),
            from_zero=True,
        ),
        Panel("images per second", [Curve.of("images", BLUE, histories, _throughput)], from_zero=True),
        Panel("mean k (queries per relation)", curves(*mean_k)),
        Panel(
            "class error of matched queries (%)",
            curves(*((part, f"class_error_{part}", PART_COLOURS[part]) for part in ("subject", "object"))),
        ),
        Panel(
            "steps skipped so far",
            curves(("skipped", "skipped_steps", VERMILLION)),
            smoothed=False,
            from_zero=True,
        ),
        scalar_panel("GPU memory, MiB", histories, "max_mem", colour=GREEN, smoothed=False),
    ]
    return Page("Training dynamics", histories, smooth=smooth).draw(panels, columns=3)


def _throughput(history: TrainingHistory) -> Series:
    """Images per second, from the images seen between two logged lines."""
    counts = [name for name in history.names() if name.startswith("samples_")]
    iterations, table = history.table("time", *counts)
    seen = table[:, 1:].sum(axis=1)
    if not counts or len(iterations) < 2:
        return history.series()
    with np.errstate(divide="ignore", invalid="ignore"):
        return iterations[1:], np.diff(seen) / np.diff(iterations) / table[1:, 0]
