"""The recall of a file compared with that of the model, on images of a data set."""

import numpy as np
import pytest

from speaq.cli import app, run
from speaq.config import load_config
from speaq.data.sources import load_sources
from speaq.errors import SpeaqError
from speaq.export.recall import recalls
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary


@pytest.mark.usefixtures("exported")
def test_export_int8_prints_recalls(capsys, tmp_path, small_model, onnx_file, config_file):
    small_model.save_pretrained(tmp_path / "model")
    output = tmp_path / "new" / "small.onnx"
    arguments = [str(tmp_path / "model"), str(output), "INPUT.MAX_SIZE_TEST", "48", "--num-rel", "2"]
    run(app, ["export", *arguments, "--int8", "--config-file", str(config_file)])
    printed = capsys.readouterr().out
    headings = (
        "Largest difference from",
        "Difference of the 8-bit file",
        "Recall (%) on VG_val, sgdet",
    )
    assert [printed.count(heading) for heading in headings] == [1, 1, 1]
    assert [printed.count(size) for size in ("24x16", "20x29", "50x38")] == [2, 2, 2]
    assert [printed.count(name) for name in (" R@20 ", " mR@100 ")] == [1, 1]
    assert f"written to {output} (" in printed
    assert [path.name for path in output.parent.iterdir()] == ["small.onnx"]
    assert output.stat().st_size < onnx_file.stat().st_size


def test_recalls_of_the_ground_truth_are_perfect(config_file):
    config = load_config(config_file, [])
    dataset = load_sources(config, "VG_val")[0].dataset
    truth = [
        SceneGraph.from_annotation(dataset.annotation(i), dataset.vocabulary) for i in range(len(dataset))
    ]
    graphs = iter(truth)
    perfect = recalls(config, lambda image: next(graphs), dataset.vocabulary)
    assert len(truth) == 5
    assert perfect["R@100"] == 1.0
    assert set(perfect) == {f"{kind}@{k}" for kind in ("R", "mR") for k in (20, 50, 100)}
    graphs = iter(truth)
    empty = recalls(config, lambda image: next(graphs).filter(top=0), dataset.vocabulary)
    assert set(empty.values()) == {0.0}


@pytest.mark.parametrize(("mode", "names"), [("sgcls", {"boxes"}), ("predcls", {"boxes", "labels"})])
def test_recalls_of_given_boxes(config_file, mode, names):
    config = load_config(config_file, ["TEST.MODE", mode])
    dataset = load_sources(config, "VG_val")[0].dataset
    annotations = iter([dataset.annotation(i) for i in range(len(dataset))])

    def predict(image, **given):
        annotation = next(annotations)
        assert set(given) == names
        for name, values in given.items():
            np.testing.assert_array_equal(values, getattr(annotation, name))
        return SceneGraph.from_annotation(annotation, dataset.vocabulary)

    assert recalls(config, predict, dataset.vocabulary)["R@100"] == 1.0


def test_recalls_reject_other_classes_and_no_data(config_file):
    with pytest.raises(SpeaqError, match="VG_val: expected the classes of the model"):
        recalls(load_config(config_file, []), no_prediction, Vocabulary(("cup",), ("on",)))
    with pytest.raises(SpeaqError, match=r"DATASETS.TEST is empty"):
        recalls(load_config(config_file, ["DATASETS.TEST", "()"]), no_prediction, Vocabulary((), ()))


def no_prediction(image) -> SceneGraph:
    raise AssertionError("the check comes before the first prediction")
