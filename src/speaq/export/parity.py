"""Compare an exported file with the model, on random images of several sizes and batch sizes.

Shape letters: see `speaq.structures`; V are the values of an output.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from rich import box
from rich.table import Table

from speaq.errors import SpeaqError
from speaq.export.network import RAW, ExportNetwork
from speaq.inference.postprocess import reduce_output

Run = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""Runs an exported file: images (B, 3, H, W) to outputs by name."""

TOLERANCE = 1e-3
"""Largest absolute difference of any output that a float32 file may have."""

BATCHES = (1, 3)
CELLS = ((4, 6), (7.2, 4.9), (9.5, 12.4))  # height and width in multiples of the stride, whole ones or not


class Case(NamedTuple):
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


class Report(NamedTuple):
    """The comparisons of an exported file with the model.

    Attributes:
        parity: those of the float32 file; empty without ``check``.
        quantization: those of the 8-bit file; empty without ``int8``.
    """

    parity: list[Case]
    quantization: list[Case]

    def tables(self) -> list[Table]:
        """The tables of the comparisons that were made."""
        tables = [parity_table(self.parity)] if self.parity else []
        return tables + ([quantization_table(self.quantization)] if self.quantization else [])


def compare(network: ExportNetwork, run: Run, pixels: str) -> list[Case]:
    """Compare a file with the model on noise of dtype ``pixels``, in three sizes and two batch sizes."""
    rng = np.random.default_rng(0)
    stride = network.model.backbone.stride
    cases = []
    for rows, columns in CELLS:
        height, width = round(rows * stride), round(columns * stride)
        for batch in BATCHES:
            images = rng.integers(0, 256, (batch, 3, height, width)).astype(pixels)
            cases.append(_compare_batch(network, images, run(images)))
    return cases


@torch.no_grad()
def _compare_batch(network: ExportNetwork, images: np.ndarray, outputs: Mapping[str, np.ndarray]) -> Case:
    raw = network.model(torch.from_numpy(images), all_layers=False)
    if network.num_rel is None:
        expected, probs = {name: getattr(raw, name)[-1] for name in RAW}, {}
    else:
        expected = reduce_output(raw, network.num_rel)._asdict()
        logits = torch.stack((raw.subject_logits[-1], raw.object_logits[-1]), dim=1)
        probs = {"labels": logits.softmax(-1), "predicates": expected["predicate_probs"]}
    differences, agreement = {}, {}
    for name, tensor in expected.items():
        found = torch.from_numpy(outputs[name])
        if name in probs:  # equally likely classes may be exchanged, so their probabilities are compared
            agreement[name] = (tensor == found).numpy().ravel()
            shape = (*probs[name].shape[:-1], -1)
            tensor, found = (probs[name].gather(-1, index.reshape(shape)) for index in (tensor, found))
        differences[name] = (tensor.double() - found.double()).abs().numpy().ravel()
    return Case((len(images), *images.shape[2:]), differences, agreement)


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
