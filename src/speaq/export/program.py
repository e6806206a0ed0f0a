"""Write models as torch.export programs (.pt2), which run in Python or C++ without the model code."""

from pathlib import Path

import torch

from speaq.export.network import ExportNetwork, Pixels, silenced, trace
from speaq.export.parity import Case, Run, compare, require_parity
from speaq.files import replacing
from speaq.pretrained import Speaq


def export_program(
    model: Speaq, path: str | Path, *, num_rel: int | None = 1, pixels: Pixels = "uint8", check: bool = True
) -> list[Case]:
    """Write a model as a torch.export program, with the metadata as extra files.

    ``torch.export.load(path).module()`` takes images (B, 3, H, W) of any batch size and image size.

    Args:
        model: the trained model.
        path: the file, written atomically; torch expects the suffix .pt2.
        num_rel: predicates kept per query; the outputs are the fields of `Reduced`. None for the raw outputs.
        pixels: dtype of the images.
        check: compare the file with the model before it is written.

    Returns:
        The comparison; empty without ``check``.

    Raises:
        SpeaqError: the model cannot be traced, or the outputs of the file differ from those of the model.
    """
    network = ExportNetwork(model, num_rel=num_rel)
    program = trace(network, pixels)
    cases = []
    with replacing(path) as temporary, silenced():
        torch.export.save(program, temporary, extra_files=dict(network.describe().to_properties()))
        if check:
            cases = compare(network, load_program(temporary, network.output_names), pixels)
            require_parity(cases, str(path))
    return cases


def load_program(path: Path, names: tuple[str, ...]) -> Run:
    """Load a program.

    Args:
        path: the file.
        names: names of its outputs.
    """
    module = torch.export.load(path).module()
    return lambda images: dict(
        zip(names, (tensor.numpy() for tensor in module(torch.from_numpy(images))), strict=True)
    )
