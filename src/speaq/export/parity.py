"""Compare an exported file with the model, on random images of several sizes and batch sizes.

Shape letters: see `speaq.structures`; V are the values of an output.
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
"""Runs an exported file: images (B, 3, H, W) to outputs by name."""

TOLERANCE = 1e-3
"""Largest absolute difference of any output that a float32 file may have."""

BATCHES = (1, 3)
CELLS = ((4, 6), (7.2, 4.9), (9.5, 12.4))  # height and width in multiples of the stride, whole ones or not


@dataclass(frozen=True, slots=True)
class Case:
    """The comparison of one batch.

    Attributes:
        shape: B, H, W.
        differences: absolute differences (V,) float64 by name of output. For class indices, of the
            probabilities of the two classes.
        agreement: (V,) bool by name of the outputs that are class indices: whether the two are equal.
    """

    shape: tuple[int, int, int]
    differences: dict[str, np.ndarray]
    agreement: dict[str, np.ndarray]

    @property
    def worst(self) -> float:
        """The largest difference of all outputs; NaN if any output is NaN."""
        return float(np.max([values.max() for values in self.differences.values()]))


def compare(network: ExportNetwork, run: Run, pixels: str) -> list[Case]:
    """Compare a file with the model on noise, in three image sizes and two batch sizes.

    Args:
        network: the exported network.
        run: the file.
        pixels: dtype of the images.
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
    network: ExportNetwork, images: np.ndarray, outputs: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """See ``Case``."""
    raw = network.model(torch.from_numpy(images), all_layers=False)
    if network.num_rel is None:
        return {name: _distance(getattr(raw, name)[-1], outputs[name]) for name in RAW}, {}
    expected = reduce_output(raw, network.num_rel)
    # Equally likely classes may be exchanged, so probabilities are compared instead of indices.
    logits = torch.stack((raw.subject_logits[-1], raw.object_logits[-1]), dim=1)
    labels, predicates = (torch.from_numpy(outputs[name]) for name in ("labels", "predicates"))
    label_probs = logits.softmax(-1).gather(-1, labels[..., None])[..., 0]
    expected_probs, found_probs = (
        expected.predicate_probs.gather(-1, index) for index in (expected.predicates, predicates)
    )
    differences = {
        "scores": _distance(expected.scores, outputs["scores"]),
        "labels": _distance(expected.scores, label_probs.numpy()),
        "boxes": _distance(expected.boxes, outputs["boxes"]),
        "predicate_probs": _distance(expected.predicate_probs, outputs["predicate_probs"]),
        "predicates": _distance(expected_probs, found_probs.numpy()),
    }
    agreement = {
        "labels": (expected.labels == labels).numpy().ravel(),
        "predicates": (expected.predicates == predicates).numpy().ravel(),
    }
    return differences, agreement


def _distance(expected: Tensor, found: np.ndarray) -> np.ndarray:
    return np.abs(expected.numpy().astype(np.float64) - found).ravel()


def require_parity(cases: Sequence[Case], file: str) -> None:
    """Check that no output differs by more than ``TOLERANCE``.

    Raises:
        SpeaqError: an output differs by more, or is NaN.
    """
    for case in cases:
        if not case.worst <= TOLERANCE:
            batch, height, width = case.shape
            largest = {name: values.max() for name, values in case.differences.items()}
            name = max(largest, key=lambda name: np.nan_to_num(largest[name], nan=np.inf))
            raise SpeaqError(
                f"{file}: {name} differs from the output of the model by {largest[name]:.2g} for {batch} "
                f"images of {width}x{height}, expected at most {TOLERANCE:g}; the file was not written. "
                "Use --no-check to write it anyway"
            )


def parity_table(cases: Sequence[Case]) -> Table:
    """The largest difference of each output, with a row per image size and batch size."""
    table = Table(title="Largest difference from the model", title_justify="left", box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True  # six outputs fit 80 columns
    for name in ("images", "size", *cases[0].differences):
        table.add_column(name.replace("_", "\n", 1), justify="right")
    for case in cases:
        batch, height, width = case.shape
        largest = [f"{values.max():.1e}" for values in case.differences.values()]
        table.add_row(str(batch), f"{width}x{height}", *largest)
    return table


def quantization_table(cases: Sequence[Case]) -> Table:
    """Largest and mean difference of each output of an 8-bit file, and how often the class is the same."""
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
