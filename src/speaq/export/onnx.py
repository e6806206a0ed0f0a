"""Write models as ONNX files."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.export import ExportedProgram

from speaq.errors import SpeaqError
from speaq.export.network import ExportNetwork, Pixels, image_axes, silenced, trace
from speaq.export.parity import Case, Run, compare, require_parity
from speaq.export.predictor import open_session, require
from speaq.files import replacing
from speaq.pretrained import Speaq

_MIN_OPSET = 18  # of torch.onnx.export with dynamo


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """The comparisons of an exported file with the model.

    Attributes:
        parity: comparison of the float32 file; empty without ``check``.
        quantization: comparison of the 8-bit file; empty without ``int8``.
    """

    parity: list[Case] = field(default_factory=list)
    quantization: list[Case] = field(default_factory=list)


def export_onnx(
    model: Speaq,
    path: str | Path,
    *,
    num_rel: int | None = 1,
    pixels: Pixels = "uint8",
    opset: int | None = None,
    int8: bool = False,
    check: bool = True,
) -> OnnxReport:
    """Write a model as one ONNX file.

    The input is "images" (B, 3, H, W), RGB in 0..255, of any batch size and image size. Class names, image
    sizes and the NMS threshold are in the metadata of the file.

    Args:
        model: the trained model.
        path: the file, written atomically.
        num_rel: predicates kept per query; the outputs are the fields of `Reduced`. None for the raw outputs.
            NMS is left to ``OnnxPredictor``: the NonMaxSuppression operator of ONNX does not return which
            kept box a suppressed box is assigned to.
        pixels: dtype of the images.
        opset: version of the ONNX operators; by default that of torch.onnx.export.
        int8: quantize the weight matrices to 8-bit integers, and compare that file with the model, too.
        check: compare the float32 file, run by onnxruntime, with the model before it is written.

    Raises:
        SpeaqError: a library is not installed, the model cannot be traced or written with this opset, or the
            outputs of the file differ from those of the model.
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        require(library)
    newest = require("onnx").defs.onnx_opset_version()
    if opset is not None and not _MIN_OPSET <= opset <= newest:
        raise SpeaqError(
            f"opset {opset}: expected {_MIN_OPSET} to {newest}, the latest of the installed onnx"
        )
    network = ExportNetwork(model, num_rel=num_rel)
    program = trace(network, pixels)
    report = OnnxReport()
    with replacing(path) as temporary:
        _write(program, network, temporary, opset)
        if check:
            report.parity.extend(compare(network, load_onnx(temporary), pixels))
            require_parity(report.parity, str(path))
        if int8:
            _quantize(temporary)
            report.quantization.extend(compare(network, load_onnx(temporary), pixels))
    return report


def _write(program: ExportedProgram, network: ExportNetwork, path: Path, opset: int | None) -> None:
    onnx = require("onnx")
    try:
        with silenced():
            written = torch.onnx.export(
                program,
                dynamic_shapes={"images": image_axes(network)},  # for the names of the axes
                input_names=["images"],
                output_names=list(network.output_names),
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise SpeaqError(
            f"the model cannot be written as ONNX, opset {opset or 'by default'} ({reason})"
        ) from error
    assert written is not None
    proto = written.model_proto  # a property that serializes the graph at each access
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del part.metadata_props[:]  # stack traces with local paths
    onnx.helper.set_model_props(proto, network.describe().to_properties())
    onnx.save(proto, path)


def _quantize(path: Path) -> None:
    """Quantize the weight matrices of a file to 8-bit integers, per channel; activations at run time.

    Weights use 7 of the 8 bits (``reduce_range``). On x86 processors without VNNI, onnxruntime multiplies
    unsigned by signed 8-bit integers with VPMADDUBSW, which adds two products in a signed 16-bit integer and
    saturates: 2 * 255 * 127 does not fit, 2 * 255 * 64 does. Unsigned weights would not saturate either, but
    run on a slower kernel. See "When to use reduce-range" in
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

    Convolutions stay in float32: onnxruntime has only a slow integer convolution for the CPU.
    """
    quantization = require("onnxruntime.quantization")
    with silenced():
        quantization.quantize_dynamic(
            path, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True
        )


def load_onnx(path: Path) -> Run:
    """Open a file with onnxruntime."""
    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))
