"""Models as torch.export programs (.pt2), which run in Python or C++ without the code of the model."""

from pathlib import Path

import torch

from speaq.export.check import Case, Run, compare, require_parity
from speaq.export.network import ExportNetwork, Pixels, quietly, trace
from speaq.files import replacing
from speaq.pretrained import Speaq


def export_program(
    model: Speaq, path: str | Path, *, num_rel: int | None = 1, pixels: Pixels = "uint8", check: bool = True
) -> list[Case]:
    """Write a model as a torch.export program, with its description as extra files.

    ``torch.export.load(path).module()`` takes images (batch, 3, height, width), any number of any one size.

    Args:
        model: the trained one.
        path: the file, written whole or not at all; torch wants its name to end in .pt2.
        num_rel: K, predicates kept per query, for outputs that are ready to be pooled (see ``Reduced``); None
            for the raw outputs.
        pixels: type of the images.
        check: compare the file with the model before it is written.

    Returns:
        The comparison; empty without ``check``.

    Raises:
        SpeaqError: the model cannot be traced, or the file says something else than the model.
    """
    network = ExportNetwork(model, num_rel=num_rel)
    program = trace(network, pixels)
    cases = []
    with replacing(path) as temporary, quietly():
        torch.export.save(program, temporary, extra_files=dict(network.describe().to_properties()))
        if check:
            cases = compare(network, load_program(temporary, network.output_names), pixels)
            require_parity(cases, str(path))
    return cases


def load_program(path: Path, names: tuple[str, ...]) -> Run:
    """The network of a file, ready to run.

    Args:
        path: the file.
        names: of its outputs.
    """
    module = torch.export.load(path).module()
    return lambda images: dict(
        zip(names, (tensor.numpy() for tensor in module(torch.from_numpy(images))), strict=True)
    )
