"""Models as ONNX files, for onnxruntime and everything else that reads them."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch.export import ExportedProgram

from speaq.errors import SpeaqError
from speaq.export.check import Case, Run, compare, require_parity
from speaq.export.network import ExportNetwork, Pixels, image_axes, quietly, trace
from speaq.export.predictor import open_session, require
from speaq.files import replacing
from speaq.pretrained import Speaq

_OLDEST_OPSET = 18  # of torch's exporter


@dataclass(frozen=True, slots=True)
class OnnxReport:
    """What became of an export.

    Attributes:
        parity: the float32 file compared with the model.
        loss: the file with 8-bit weights compared with the model, where there is one.
    """

    parity: list[Case] = field(default_factory=list)
    loss: list[Case] = field(default_factory=list)


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

    The input is "images" (batch, 3, height, width), RGB in 0..255: any number of images of any one size. What
    the model needs besides (class names, sizes, threshold) is in the metadata of the file.

    Args:
        model: the trained one.
        path: the file, written whole or not at all.
        num_rel: K, predicates kept per query, for outputs that are ready to be pooled (see ``Reduced``); None
            for the raw outputs. Pooling itself is left to ``OnnxPredictor``: the operator of ONNX says which
            boxes non-maximum suppression keeps, but not which of those each other box belongs to.
        pixels: type of the images.
        opset: version of the ONNX operators; by default the one that torch prefers.
        int8: write matrices as 8-bit integers, and measure what that costs.
        check: compare the file with the model, with onnxruntime, before it is written.

    Raises:
        SpeaqError: a library is not installed, the model cannot be traced or written with this opset, or the
            file says something else than the model.
    """
    for library in ("onnx", "onnxscript", "onnxruntime"):
        require(library)
    newest = require("onnx").defs.onnx_opset_version()
    if opset is not None and not _OLDEST_OPSET <= opset <= newest:
        raise SpeaqError(f"opset {opset}: expected {_OLDEST_OPSET} to {newest}, which this onnx can write")
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
            report.loss.extend(compare(network, load_onnx(temporary), pixels))
    return report


def _write(program: ExportedProgram, network: ExportNetwork, path: Path, opset: int | None) -> None:
    onnx = require("onnx")
    try:
        with quietly():
            written = torch.onnx.export(
                program,
                dynamic_shapes={"images": image_axes(network)},  # their names
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
    proto = written.model_proto  # made anew whenever it is asked for
    for part in (*proto.graph.node, *proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del part.metadata_props[:]  # where in our source it comes from, with paths of this machine
    onnx.helper.set_model_props(proto, network.describe().to_properties())
    onnx.save(proto, path)


def _quantize(path: Path) -> None:
    """Quantize the weights of matrix products to 8-bit integers; their inputs are quantized at run time.

    Weights are unsigned like the inputs: onnxruntime's products of unsigned and signed 8-bit integers
    saturate at 16 bits on x86 processors without VNNI. Convolutions stay in float32: the CPU has only a slow
    integer one.
    """
    onnx, quantization = require("onnx"), require("onnxruntime.quantization")
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    with quietly():
        quantization.quantize_dynamic(
            path,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=quantization.QuantType.QUInt8,
        )
    proto = onnx.load(path)
    onnx.helper.set_model_props(proto, properties)  # a key that is there already is an error
    onnx.save(proto, path)


def load_onnx(path: Path) -> Run:
    """The network of a file, ready to run."""
    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))
