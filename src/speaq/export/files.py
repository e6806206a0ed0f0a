"""Write models as ONNX files or torch.export programs (.pt2)."""

import os
from pathlib import Path
from typing import Literal

import torch
from torch.export import ExportedProgram

from speaq.checkpoints.hub import is_hub_id
from speaq.checkpoints.saved_models import MODEL_FILES, find_model
from speaq.errors import SpeaqError
from speaq.export.network import ExportNetwork, Pixels, silenced, trace
from speaq.export.parity import Report, Run, compare, require_parity
from speaq.export.predictor import open_session, require
from speaq.files import replacing
from speaq.pretrained import Speaq

Format = Literal["onnx", "torch"]
EXPORTED_FILE = "exported.onnx"
_MIN_OPSET = 18  # of torch.onnx.export with dynamo


def export_model(
    model: Speaq,
    path: str | Path,
    *,
    format_: Format = "onnx",
    num_rel: int | None = 1,
    pixels: Pixels = "uint8",
    opset: int | None = None,
    int8: bool = False,
    check: bool = True,
) -> Report:
    """Write a model as one file, atomically, and compare it with the model.

    The input is "images" (B, 3, H, W), RGB in 0..255, of any batch size and image size. Class names, image
    sizes and the NMS threshold are in the metadata of an ONNX file and in the extra files of a program, which
    is loaded with ``torch.export.load(path).module()`` and runs in Python or C++ without the model code.

    Args:
        model: the trained model.
        path: the file; torch expects the suffix .pt2.
        format_: onnx, or torch for a program.
        num_rel: predicates kept per query; the outputs are the fields of `Reduced`. None for the raw outputs.
            NMS is left to ``OnnxPredictor``: the NonMaxSuppression operator of ONNX does not return which
            kept box a suppressed box is assigned to.
        pixels: dtype of the images.
        opset: version of the ONNX operators; by default that of torch.onnx.export.
        int8: quantize the weight matrices of an ONNX file to 8-bit integers.
        check: compare the float32 file with the model before it is written.

    Raises:
        SpeaqError: a library is not installed, the model cannot be traced or written with this opset, or the
            outputs of the file differ from those of the model.
    """
    if format_ == "onnx":
        _check_opset(opset)
    network = ExportNetwork(model, num_rel=num_rel)
    program = trace(network, pixels)
    report = Report([], [])
    with replacing(path) as temporary:
        if format_ == "onnx":
            _write_onnx(program, network, temporary, opset)
            load = load_onnx
        else:
            _write_program(program, network, temporary)
            load = load_program
        if check:
            report.parity.extend(compare(network, load(temporary, network.output_names), pixels))
            require_parity(report.parity, str(path))
        if int8:
            _quantize(temporary)
            report.quantization.extend(compare(network, load(temporary, network.output_names), pixels))
    return report


def exported_file(source: str | Path) -> Path:
    """The ONNX file of a saved model in its folder, which is written if there is none of this model.

    Its time of modification is that of the model, by which a file of former weights is recognized.

    Args:
        source: folder of a saved model, or output folder of a training.

    Raises:
        SpeaqError: there is no saved model, it is on the hub, or it cannot be exported.
    """
    if is_hub_id(source):
        raise SpeaqError(
            f"{source}: a model on the hub; write an ONNX file first with "
            f"`speaq export {source} model.onnx`, and give the file"
        )
    folder = find_model(Path(source).expanduser())
    path = folder / EXPORTED_FILE
    modified = max((folder / name).stat().st_mtime_ns for name in MODEL_FILES)
    if not path.is_file() or path.stat().st_mtime_ns != modified:
        export_model(Speaq.from_pretrained(folder), path)
        os.utime(path, ns=(modified, modified))
    return path


def _check_opset(opset: int | None) -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        require(library)
    newest = require("onnx").defs.onnx_opset_version()
    if opset is not None and not _MIN_OPSET <= opset <= newest:
        raise SpeaqError(
            f"opset {opset}: expected {_MIN_OPSET} to {newest}, the latest of the installed onnx"
        )


def _write_onnx(program: ExportedProgram, network: ExportNetwork, path: Path, opset: int | None) -> None:
    onnx = require("onnx")
    try:
        with silenced():
            written = torch.onnx.export(
                program,
                dynamic_shapes={"images": network.image_axes()},  # for the names of the axes
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


def _write_program(program: ExportedProgram, network: ExportNetwork, path: Path) -> None:
    with silenced():
        torch.export.save(program, path, extra_files=dict(network.describe().to_properties()))


def _quantize(path: Path) -> None:
    """Quantize the weight matrices of an ONNX file to 8-bit integers, per channel; activations at run time.

    Weights use 7 of the 8 bits (``reduce_range``). On x86 processors without VNNI, onnxruntime adds two
    products of unsigned and signed 8-bit integers in a signed 16-bit integer (VPMADDUBSW), which saturates:
    2 * 255 * 127 does not fit, 2 * 255 * 64 does. See "When to use reduce-range" in
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.

    Convolutions stay in float32: onnxruntime has only a slow integer convolution for the CPU.
    """
    quantization = require("onnxruntime.quantization")
    with silenced():
        quantization.quantize_dynamic(
            path, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True
        )


def load_onnx(path: Path, names: tuple[str, ...]) -> Run:
    """Open an ONNX file with onnxruntime, to run it for the outputs of these names."""
    session = open_session(path)
    return lambda images: dict(zip(names, session.run(names, {"images": images}), strict=True))


def load_program(path: Path, names: tuple[str, ...]) -> Run:
    """Load a program, whose outputs have these names, to run it."""
    with silenced():
        module = torch.export.load(path).module()
    return lambda images: dict(
        zip(names, (tensor.numpy() for tensor in module(torch.from_numpy(images))), strict=True)
    )
