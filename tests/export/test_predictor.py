"""Prediction from an ONNX file equals that of the model, and needs no torch."""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from speaq.cli import app, run
from speaq.errors import SpeaqError
from speaq.export import OnnxPredictor
from speaq.inference.postprocess import PostProcessor
from speaq.pretrained import Speaq
from speaq.scene_graph import SceneGraph

SRC = Path(__file__).parents[2] / "src"
NUM_REL = 2  # of the exported file


@pytest.fixture(scope="module")
def predictor(onnx_file):
    return OnnxPredictor(onnx_file, threads=1)


def expected(model, source, **options):
    postprocess = PostProcessor(num_rel=NUM_REL, nms_threshold=model.config.nms_threshold)
    return model.predict(source, postprocess=postprocess, **options)


def assert_equal(found, desired):
    assert len(found) == len(desired) > 0
    for name in ("labels", "pairs", "predicates", "queries"):
        np.testing.assert_array_equal(getattr(found, name), getattr(desired, name))
    for name in ("scores", "predicate_probs", "pair_scores", "triplet_scores"):
        np.testing.assert_allclose(getattr(found, name), getattr(desired, name), atol=1e-4)
    np.testing.assert_allclose(found.boxes, desired.boxes, atol=1e-2)  # pixels: 1e-4 of the image's size
    assert found.image_size == desired.image_size
    assert found.vocabulary == desired.vocabulary
    assert [str(triplet) for triplet in found.triplets] == [str(triplet) for triplet in desired.triplets]


def test_predictor_accepts_every_kind_of_image(small_model, predictor, photos):
    path = photos / "b.png"
    image = Image.open(path).convert("RGB")
    array = np.asarray(image)
    for source in (path, str(path), path.read_bytes(), image, array, torch.tensor(array).permute(2, 0, 1)):
        assert_equal(predictor.predict(source), expected(small_model, source))
    assert predictor.predict(path).image == path
    assert predictor.predict(path.read_bytes()).image.size == (50, 90)


def test_predictor_accepts_folders_and_lists(small_model, predictor, photos):
    found, desired = predictor.predict(photos), expected(small_model, photos)
    assert [graph.image.name for graph in found] == ["a.png", "b.png", "c.png", "d.png"]
    for one, other in zip(found, desired, strict=True):
        assert_equal(one, other)
    found = predictor.predict([photos / "d.png", photos / "a.png"], min_size=64, max_size=96)
    desired = expected(small_model, [photos / "d.png", photos / "a.png"], min_size=64, max_size=96)
    for one, other in zip(found, desired, strict=True):
        assert_equal(one, other)
    assert predictor.predict([]) == []


def test_predict_each_yields_sources_and_graphs(predictor, photos):
    pairs = predictor.predict_each(photos)
    source, graph = next(pairs)
    assert source == photos / "a.png"
    assert graph.image_size == (60, 80)


def test_predict_has_the_arguments_of_the_model(small_model, predictor, photos):
    names = [list(inspect.signature(kind.predict).parameters) for kind in (OnnxPredictor, Speaq)]
    assert names[0] == names[1]
    options: dict[str, Any] = {"batch_size": 3, "device": "cpu", "dtype": "float32", "postprocess": None}
    for one, other in zip(predictor.predict(photos, **options), predictor.predict(photos), strict=True):
        assert_equal(one, other)
    best = predictor.predict(photos / "a.png", top=2, score=1e-6)
    assert_equal(best, predictor.predict(photos / "a.png").filter(top=2, score=1e-6))
    assert len(best) == 2
    unreadable = []
    pairs = predictor.predict_each(
        [photos / "gone.png", photos / "a.png"], on_unreadable=lambda image, error: unreadable.append(image)
    )
    assert [source.name for source, _ in pairs] == ["a.png"]
    assert unreadable == [photos / "gone.png"]


def test_given_boxes_have_the_relations_of_the_model(small_model, predictor, photos, monkeypatch):
    boxes, names = [[5, 5, 40, 50], [10, 0, 70, 30], [0, 30, 80, 60]], small_model.vocabulary.objects
    for labels in (None, [names[3], None, 7]):
        options = {"boxes": boxes, "labels": labels}
        found = predictor.predict(photos / "a.png", **options)
        assert_equal(found, expected(small_model, photos / "a.png", **options))
        assert found.boxes.tolist() == boxes
    outputs = [item for item in predictor.session.get_outputs() if item.name != "object_probs"]
    monkeypatch.setattr(predictor.session, "get_outputs", lambda: outputs)  # a file of an earlier version
    assert len(predictor.predict(photos / "a.png")) > 0
    with pytest.raises(SpeaqError, match=r"exported by an earlier version.*export the model again"):
        predictor.predict(photos / "a.png", boxes=boxes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size: expected a whole number from 1 to 2147483647, found 0"),
        ({"postprocess": PostProcessor()}, "takes no postprocess; change the attributes"),
        ({"device": "cuda"}, "cannot be set to cuda; choose it with"),
        ({"dtype": "bfloat16"}, "is computed in float32, found dtype bfloat16"),
    ],
)
def test_predict_refuses_arguments_that_an_onnx_file_cannot_use(predictor, photos, options, message):
    with pytest.raises(SpeaqError, match=message):
        predictor.predict(photos, **options)


def test_command_predicts_with_an_onnx_file(small_model, predictor, onnx_file, photos, tmp_path, capsys):
    words = ["predict", str(photos), "--model", str(onnx_file), "--output-dir", str(tmp_path), "--no-draw"]
    run(app, words)
    assert "4 of 4 images" in capsys.readouterr().out
    for name in ("a", "d"):
        found = SceneGraph.from_json(tmp_path / f"{name}.json")
        np.testing.assert_array_equal(found.pairs, predictor.predict(photos / f"{name}.png").pairs)
    frames = [Image.open(photos / f"{name}.png") for name in ("a", "c")]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=1000)
    words[1] = str(tmp_path / "in.gif")
    words[5] = str(tmp_path / "out")
    run(app, [*words, "--every", "1"])
    assert len((tmp_path / "out" / "in.jsonl").read_text().splitlines()) == 2
    for option in (("--device", "cuda"), ("--dtype", "bfloat16")):
        with pytest.raises(SystemExit) as stop:
            run(app, [*words, *option])
        assert stop.value.code == 2
        assert "small.onnx: an ONNX file is computed on the cpu in float32" in capsys.readouterr().err


def test_postprocess_attributes_can_be_changed(small_model, onnx_file, photos):
    predictor = OnnxPredictor(onnx_file, threads=1)
    predictor.postprocess.pnms = predictor.postprocess.clip_boxes = True
    predictor.postprocess.drop_self_relations = True
    options = {"pnms": True, "clip_boxes": True, "drop_self_relations": True}
    postprocess = PostProcessor(num_rel=NUM_REL, nms_threshold=0.4, **options)
    desired = small_model.predict(photos / "a.png", postprocess=postprocess)
    assert_equal(predictor.predict(photos / "a.png"), desired)
    assert desired.boxes.max() == 80 < expected(small_model, photos / "a.png").boxes.max()


def test_description_holds_the_model_configuration(small_model, predictor):
    description = predictor.description
    assert description.objects == small_model.config.objects
    assert description.predicates == small_model.config.predicates
    assert (description.min_size, description.max_size, description.nms_threshold) == (48, 80, 0.4)
    assert description.num_rel == NUM_REL
    assert description.version.count(".") == 2


def test_predictor_needs_the_named_packages_only(onnx_file, photos, tmp_path):
    script = """
import sys

class Allow:
    def __init__(self, *packages):
        self.packages = {*sys.stdlib_module_names, *packages}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.packages and not name.startswith("_sysconfigdata"):
            raise ModuleNotFoundError(name)

file, photo, output = sys.argv[1:]
assert "torch" not in sys.modules
runtime = ("onnxruntime", "flatbuffers", "google", "packaging")  # with its dependencies
pydantic = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
sys.meta_path.insert(0, Allow("speaq", "numpy", "PIL", *pydantic, *runtime))
from speaq.export import OnnxPredictor
graph = OnnxPredictor(file, threads=1).predict(photo)
print(graph.filter(top=1).triplets[0])
assert graph.from_json(graph.to_json(output + ".json")).triplets == graph.triplets
sys.meta_path.pop(0)
for name in ("torch", "transformers", "lightning", "torchmetrics", "h5py", "yaml", "rich"):
    sys.modules[name] = None  # importing it is an error
graph.draw(output + ".png")
"""
    command = [sys.executable, "-c", script, str(onnx_file), str(photos / "a.png"), str(tmp_path / "graph")]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    graph = OnnxPredictor(onnx_file).predict(photos / "a.png")
    assert result.stdout.strip() == str(graph.triplets[0])
    assert {path.name for path in tmp_path.iterdir()} == {"graph.json", "graph.png"}


def test_predictor_rejects_other_files(onnx_file, tmp_path):
    onnx = pytest.importorskip("onnx")
    with pytest.raises(SpeaqError, match=r"gone.onnx: no such ONNX file"):
        OnnxPredictor(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("not a graph")
    with pytest.raises(SpeaqError, match=r"text.onnx: onnxruntime cannot use this file"):
        OnnxPredictor(tmp_path / "text.onnx")
    model = onnx.load(onnx_file)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    for changes, message in (
        ({"speaq.num_rel": "null"}, "exported with --no-postprocess"),
        ({"speaq.format": "99"}, "its format is 99"),
        ({"speaq.objects": "cup"}, "not written by this version"),
    ):
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, properties | changes)
        onnx.save(model, tmp_path / "changed.onnx")
        with pytest.raises(SpeaqError, match=message):
            OnnxPredictor(tmp_path / "changed.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(SpeaqError, match=r"foreign.onnx: not written by this version of speaq export"):
        OnnxPredictor(tmp_path / "foreign.onnx")


def test_predictor_names_the_extra_of_onnxruntime(monkeypatch, onnx_file):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SpeaqError, match=r'onnxruntime is not installed: pip install "speaq\[onnx\]"'):
        OnnxPredictor(onnx_file)
