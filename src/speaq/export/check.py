"""Whether an exported file says what the model says: differences on images of several sizes and batches.

B: images, H, W: their size, N: values of an output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rich import box
from rich.table import Table
from torch import Tensor

from speaq.errors import SpeaqError
from speaq.export.network import RAW, ExportNetwork
from speaq.inference.postprocess import reduce_output

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""An exported file at work: outputs by name of images (B, 3, H, W)."""

TOLERANCE = 1e-3
"""The largest difference of any output at which a file counts as faithful."""

BATCHES = (1, 3)
CELLS = ((4, 6), (7.2, 4.9), (9.5, 12.4))  # height and width in cells of the feature map, whole ones or not


@dataclass(frozen=True, slots=True)
class Case:
    """What a file said of a batch of images.

    Attributes:
        shape: B, H, W.
        differences: (N,) float64 by name of output, of what the file and what the model say; where the output
            is the index of a class, of the probabilities of the two classes.
        agreement: (N,) bool by name of the outputs that are indices: where they are equal.
    """

    shape: tuple[int, int, int]
    differences: dict[str, np.ndarray]
    agreement: dict[str, np.ndarray]

    @property
    def worst(self) -> float:
        """The largest difference of all outputs; NaN where one is not a number."""
        return float(np.max([values.max() for values in self.differences.values()]))


def compare(network: ExportNetwork, run: Run, pixels: str) -> list[Case]:
    """Run a file and the model on noise, in three sizes and two batch sizes.

    Args:
        network: what was exported.
        run: the file.
        pixels: type of the images.
    """
    rng = np.random.default_rng(0)
    stride = network.model.backbone.stride
    cases = []
    for height, width in ((round(rows * stride), round(columns * stride)) for rows, columns in CELLS):
        for batch in BATCHES:
            images = rng.integers(0, 256, (batch, 3, height, width)).astype(pixels)
            differences, agreement = _differences(network, images, run(images))
            cases.append(Case((batch, height, width), differences, agreement))
    return cases


@torch.no_grad()
def _differences(
    network: ExportNetwork, images: np.ndarray, found: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """See ``Case``."""
    output = network.model(torch.from_numpy(images), all_layers=False)
    if network.num_rel is None:
        return {name: _distance(getattr(output, name)[-1], found[name]) for name in RAW}, {}
    expected = reduce_output(output, network.num_rel)
    # Where two classes are equally likely either is right: what counts is how likely the chosen one is.
    logits = torch.stack((output.subject_logits[-1], output.object_logits[-1]), dim=1)
    labels = torch.from_numpy(found["labels"])
    predicates = torch.from_numpy(found["predicates"])
    label_probs = logits.softmax(-1).gather(-1, labels[..., None])[..., 0]
    wanted, chosen = (
        expected.predicate_probs.gather(-1, index) for index in (expected.predicates, predicates)
    )
    differences = {
        "scores": _distance(expected.scores, found["scores"]),
        "labels": _distance(expected.scores, label_probs.numpy()),
        "boxes": _distance(expected.boxes, found["boxes"]),
        "predicate_probs": _distance(expected.predicate_probs, found["predicate_probs"]),
        "predicates": _distance(wanted, chosen.numpy()),
    }
    agreement = {
        "labels": (expected.labels == labels).numpy().ravel(),
        "predicates": (expected.predicates == predicates).numpy().ravel(),
    }
    return differences, agreement


def _distance(expected: Tensor, found: np.ndarray) -> np.ndarray:
    return np.abs(expected.numpy().astype(np.float64) - found).ravel()


def require_parity(cases: Sequence[Case], what: str) -> None:
    """See that no output differs by more than ``TOLERANCE``.

    Raises:
        SpeaqError: one does, or is not a number.
    """
    for case in cases:
        if not case.worst <= TOLERANCE:
            batch, height, width = case.shape
            largest = {name: values.max() for name, values in case.differences.items()}
            name = max(largest, key=lambda name: np.nan_to_num(largest[name], nan=np.inf))
            raise SpeaqError(
                f"{what}: {name} differs from the model's by {largest[name]:.2g} for {batch} "
                f"images of {width}x{height}, expected at most {TOLERANCE:g}; nothing was written. "
                "--no-check writes it all the same"
            )


def parity_table(cases: Sequence[Case]) -> Table:
    """The largest difference of every output, a row per size and batch size."""
    table = Table(title="Largest difference from the model", title_justify="left", box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True  # six outputs fit 80 columns
    for name in ("images", "size", *cases[0].differences):
        table.add_column(name.replace("_", "\n", 1), justify="right")
    for case in cases:
        batch, height, width = case.shape
        figures = [f"{values.max():.1e}" for values in case.differences.values()]
        table.add_row(str(batch), f"{width}x{height}", *figures)
    return table


def loss_table(cases: Sequence[Case]) -> Table:
    """Largest and mean difference of every output over all cases, and how often the same class is chosen."""
    title = "Difference of the 8-bit file from the model"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("output")
    for name in ("largest", "mean", "same class"):
        table.add_column(name, justify="right")
    for name in cases[0].differences:
        values = np.concatenate([case.differences[name] for case in cases])
        same = np.concatenate([case.agreement.get(name, np.zeros(0)) for case in cases])
        share = f"{100 * same.mean():.1f} %" if len(same) else ""
        table.add_row(name, f"{values.max():.4f}", f"{values.mean():.5f}", share)
    return table
