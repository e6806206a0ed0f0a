import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.export import parity
from speaq.export.files import load_onnx
from speaq.export.parity import compare, require_parity


def test_parity_detects_exchanged_channels(network, onnx_file):
    """The check would see it if channels were exchanged or normalisation forgotten."""
    run = load_onnx(onnx_file, network.output_names)
    cases = compare(network, lambda images: run(np.ascontiguousarray(images[:, ::-1])), "uint8")
    assert min(case.worst for case in cases) > parity.TOLERANCE
    with pytest.raises(SpeaqError, match=r"x.onnx: \w+ differs from the output of .* not written"):
        require_parity(cases, "x.onnx")


def test_parity_detects_nan(network, onnx_file):
    run = load_onnx(onnx_file, network.output_names)
    cases = compare(
        network, lambda images: {**run(images), "boxes": np.full_like(run(images)["boxes"], np.nan)}, "uint8"
    )
    with pytest.raises(SpeaqError, match="boxes differs from the output of the model by nan"):
        require_parity(cases, "x.onnx")
