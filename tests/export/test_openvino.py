"""Prediction in OpenVINO equals that of the model."""

import inspect
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speaq.cli import app, run
from speaq.errors import SpeaqError
from speaq.export import OnnxPredictor, OpenVinoPredictor
from speaq.inference.postprocess import PostProcessor
from speaq.scene_graph import SceneGraph

SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def predictor(onnx_file):
    pytest.importorskip("openvino")
    return OpenVinoPredictor(onnx_file, threads=1)


def assert_equal(found, desired):
    assert len(found) == len(desired) > 0
    for name in ("labels", "pairs", "predicates", "queries"):
        np.testing.assert_array_equal(getattr(found, name), getattr(desired, name))
    for name in ("scores", "predicate_probs", "triplet_scores"):
        np.testing.assert_allclose(getattr(found, name), getattr(desired, name), atol=1e-4)
    np.testing.assert_allclose(found.boxes, desired.boxes, atol=1e-2)
    assert found.vocabulary == desired.vocabulary


def test_graphs_are_those_of_the_model(small_model, predictor, photos):
    postprocess = PostProcessor(num_rel=predictor.description.num_rel, nms_threshold=0.4)
    graphs = predictor.predict(photos, batch_size=2, device="cpu")
    for found, desired in zip(graphs, small_model.predict(photos, postprocess=postprocess), strict=True):
        assert_equal(found, desired)
    options = {"boxes": [[5, 5, 40, 50], [10, 0, 70, 30]], "labels": [3, None]}
    found = predictor.predict(photos / "a.png", **options)
    assert_equal(found, small_model.predict(photos / "a.png", postprocess=postprocess, **options))


def test_bfloat16_changes_the_outputs_slightly(predictor):
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 96), dtype=np.uint8)
    exact, rounded = predictor.run(images), predictor.run(images, "bfloat16")
    # In which precision a processor without bfloat16 computes is up to OpenVINO.
    np.testing.assert_allclose(rounded["scores"], exact["scores"], atol=0.05)
    np.testing.assert_allclose(rounded["predicate_probs"], exact["predicate_probs"], atol=0.05)


def test_arguments_are_those_of_the_other_engines(predictor, photos):
    names = [list(inspect.signature(kind.predict).parameters) for kind in (OnnxPredictor, OpenVinoPredictor)]
    assert names[0] == names[1]
    with pytest.raises(SpeaqError, match=r"takes no postprocess; .* OpenVinoPredictor.postprocess"):
        predictor.predict(photos, postprocess=PostProcessor())
    with pytest.raises(SpeaqError, match=r"cannot be set to cuda$"):
        predictor.predict(photos, device="cuda")
    with pytest.raises(SpeaqError, match="computed in float32 or bfloat16, found dtype float16"):
        predictor.predict(photos, dtype="float16")


def test_other_files_are_refused(predictor, tmp_path):
    with pytest.raises(SpeaqError, match=r"gone.onnx: no such ONNX file"):
        OpenVinoPredictor(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("not a graph")
    with pytest.raises(SpeaqError, match=r"text.onnx: OpenVINO cannot use this file"):
        OpenVinoPredictor(tmp_path / "text.onnx")
    onnx = pytest.importorskip("onnx")
    model = onnx.load(predictor.path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(SpeaqError, match=r"foreign.onnx: not written by this version of speaq export"):
        OpenVinoPredictor(tmp_path / "foreign.onnx")


def test_openvino_does_not_report_its_use(onnx_file):
    pytest.importorskip("openvino")
    code = (
        "import sys; from speaq.export import OpenVinoPredictor; OpenVinoPredictor(sys.argv[1]); "
        "assert 'openvino_telemetry.main' not in sys.modules and 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    subprocess.run([sys.executable, "-c", code, str(onnx_file)], check=True, env=environment)


def test_the_extra_is_named(monkeypatch, onnx_file):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(SpeaqError, match=r'^openvino is not installed: pip install "speaq\[openvino\]"$'):
        OpenVinoPredictor(onnx_file)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_command_exports_a_folder_once(engine, small_model, exported, monkeypatch, photos, tmp_path, capsys):
    pytest.importorskip("openvino" if engine == "openvino" else "onnxruntime")
    from speaq.export import files

    monkeypatch.setattr(files, "compare", lambda *_: [])  # the file that is copied keeps two predicates
    folder, output = tmp_path / "model", tmp_path / "graphs"
    small_model.save_pretrained(folder)
    words = ["predict", str(photos / "a.png"), "--model", str(folder), "--engine", engine]
    words += ["--output-dir", str(output), "--no-draw"]
    run(app, words)
    file = folder / "exported.onnx"
    first = file.stat().st_ino
    run(app, words)
    assert file.stat().st_ino == first
    os.utime(folder / "model.safetensors", (0, 0))  # other weights, with an earlier time
    os.utime(folder / "config.json", (0, 0))
    run(app, words)
    assert file.stat().st_ino != first
    found, other = SceneGraph.from_json(output / "a.json"), OnnxPredictor(file).predict(photos / "a.png")
    np.testing.assert_array_equal(found.pairs, other.pairs)
    shutil.rmtree(output)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        run(app, [*words, "--device", "cuda"])
    assert stop.value.code == 2
    assert "an ONNX file is computed on the cpu in float32" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "engine", "message"),
    [
        ("model.onnx", "torch", "model.onnx: an ONNX file cannot be computed with --engine torch"),
        ("owner/name", "onnx", "owner/name: a model on the hub; write an ONNX file first with `speaq export"),
    ],
)
def test_command_refuses_what_an_engine_cannot_load(model, engine, message, photos, tmp_path, capsys):
    words = ["predict", str(photos), "--model", model, "--engine", engine, "--output-dir", str(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        run(app, words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
