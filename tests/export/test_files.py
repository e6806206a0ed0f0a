"""Exported files agree with the model, in every way they can be written."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch

from speaq.errors import SpeaqError
from speaq.export import files, parity
from speaq.export.files import export_model, load_onnx
from speaq.export.network import RAW, ExportNetwork
from speaq.export.parity import compare
from speaq.model.backbone import resnet_config
from speaq.pretrained import Speaq
from tiny_model import tiny_config


def test_onnx_file_agrees_with_the_model(network, onnx_file):
    cases = compare(network, load_onnx(onnx_file, network.output_names), "uint8")
    assert len({case.shape[1:] for case in cases}) == 3
    assert {case.shape[0] for case in cases} == {1, 3}
    assert any(height % 4 or width % 4 for _, height, width in (case.shape for case in cases))
    for case in cases:
        assert set(case.differences) == set(network.output_names)
        assert 0 < case.worst < 2e-5
        assert case.agreement["labels"].all()
        assert case.agreement["predicates"].all()


def test_onnx_file_accepts_small_and_elongated_images(network, onnx_file):
    run = load_onnx(onnx_file, network.output_names)
    for shape in ((1, 3, 4, 4), (2, 3, 5, 160), (5, 3, 40, 4)):
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        with torch.no_grad():
            expected = network(images)
        for name, tensor in zip(network.output_names, expected, strict=True):
            np.testing.assert_allclose(run(images.numpy())[name], tensor.numpy(), atol=1e-5)


def test_onnx_file_names_inputs_outputs_and_axes(onnx_file):
    graph = pytest.importorskip("onnx").load(onnx_file).graph

    def axes(value):
        return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

    assert {value.name: axes(value) for value in (*graph.input, *graph.output)} == {
        "images": ["batch", 3, "height", "width"],
        "scores": ["batch", 2, 4],
        "labels": ["batch", 2, 4],
        "boxes": ["batch", 2, 4, 4],
        "predicate_probs": ["batch", 8, 51],
        "predicates": ["batch", 8, 2],
        "object_probs": ["batch", 2, 4, 150],
    }
    assert [path.name for path in onnx_file.parent.iterdir()] == ["small.onnx"]  # weights are inside
    assert b"/speaq/" not in onnx_file.read_bytes()  # and no path of the machine that wrote it


def test_quantized_file_stays_close_to_the_model(network, onnx_file, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    path = tmp_path / "small8.onnx"
    shutil.copy(onnx_file, path)
    files._quantize(path)
    assert path.stat().st_size < onnx_file.stat().st_size
    cases = compare(network, load_onnx(path, network.output_names), "uint8")
    assert 1e-4 < max(case.worst for case in cases) < 0.2
    assert np.concatenate([case.agreement["labels"] for case in cases]).mean() > 0.8
    sessions = (runtime.InferenceSession(file) for file in (path, onnx_file))
    objects = [session.get_modelmeta().custom_metadata_map["speaq.objects"] for session in sessions]
    assert objects[0] == objects[1]
    table = parity.quantization_table(cases)
    assert [column.header for column in table.columns] == ["output", "largest", "mean", "same class"]
    assert table.row_count == 6


def test_quantized_weights_cannot_saturate_16_bit_sums(onnx_file, tmp_path):
    library = pytest.importorskip("onnx")
    path = tmp_path / "small8.onnx"
    shutil.copy(onnx_file, path)
    files._quantize(path)
    arrays = [library.numpy_helper.to_array(tensor) for tensor in library.load(path).graph.initializer]
    weights = [array for array in arrays if array.dtype == np.int8 and array.ndim == 2]
    assert len(weights) > 10
    assert 2 * 255 * max(np.abs(array.astype(int)).max() for array in weights) < 2**15


@pytest.mark.usefixtures("exported")
def test_export_model_does_not_write_a_file_that_differs(monkeypatch, small_model, tmp_path):
    monkeypatch.setattr(parity, "TOLERANCE", 1e-9)
    with pytest.raises(SpeaqError, match="expected at most 1e-09"):
        export_model(small_model, tmp_path / "x.onnx", num_rel=2)
    assert list(tmp_path.iterdir()) == []
    export_model(small_model, tmp_path / "x.onnx", num_rel=2, check=False)
    assert (tmp_path / "x.onnx").is_file()


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_export_model_names_the_extra_of_a_library(monkeypatch, small_model, onnx_file, tmp_path, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(SpeaqError, match=rf'{library} is not installed: pip install "speaq\[onnx\]"'):
        export_model(small_model, tmp_path / "x.onnx")


@pytest.mark.parametrize("opset", [9, 99])
def test_export_model_rejects_unsupported_opsets(small_model, onnx_file, tmp_path, opset):
    with pytest.raises(SpeaqError, match=rf"opset {opset}: expected 18 to \d+"):
        export_model(small_model, tmp_path / "x.onnx", opset=opset)


def test_program_agrees_with_the_model(tmp_path):
    torch.manual_seed(0)
    backbone = resnet_config(depth=18, num_stages=1, stem_width=4, width=4)
    model = Speaq(tiny_config(backbone=backbone, decoder_layers=1))
    path = tmp_path / "small.pt2"
    report = export_model(model, path, format_="torch", num_rel=None, pixels="float32", check=False)
    assert report.tables() == []
    assert [file.name for file in tmp_path.iterdir()] == ["small.pt2"]

    properties = {"speaq.objects": "", "speaq.num_rel": ""}
    program = torch.export.load(path, extra_files=properties).module()
    assert json.loads(properties["speaq.objects"]) == list(model.config.objects)
    assert json.loads(properties["speaq.num_rel"]) is None

    def run(images):
        outputs = program(torch.from_numpy(images))
        return {name: tensor.numpy() for name, tensor in zip(RAW, outputs, strict=True)}

    cases = compare(ExportNetwork(model, num_rel=None), run, "float32")
    assert {case.shape[0] for case in cases} == {1, 3}
    assert len(cases) == 6
    assert all(tuple(case.differences) == RAW for case in cases)
    assert max(case.worst for case in cases) < 1e-5
