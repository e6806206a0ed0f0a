"""Saved predictions, scoring them again without the model, and the report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speaq.cli import app, run
from speaq.config import load_config
from speaq.evaluation.build import load_evaluation_sets
from speaq.evaluation.predictions import Predictions
from speaq.tools.report.rescore import rescore
from speaq.tools.report.run import evaluate_with_report
from speaq.training.cluster import Cluster
from speaq.training.launch import evaluate, train

pytestmark = pytest.mark.usefixtures("few_examples")

CPU = Cluster(num_gpus=0)
TWO_PROCESSES = """
import sys
from functools import partial
from speaq.config import load_config
from speaq.tools.report import run
from speaq.training.cluster import Cluster

file, *overrides = sys.argv[1:]
run.choose_examples = partial(run.choose_examples, count=1)
run.evaluate_with_report(load_config(file, overrides), cluster=Cluster(num_gpus=0, cpu_processes=2))
"""


@pytest.fixture(scope="module")
def trained(config_file, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("reported")
    options = ["OUTPUT_DIR", str(output), "SOLVER.MAX_ITER", "3"]
    train(load_config(config_file, options), cluster=CPU)
    run(app, ["evaluate", str(output), "--report", "--num-gpus", "0"])
    return output


def test_evaluate_report_writes_page_and_predictions(trained):
    page = (trained / "report.html").read_text()
    assert "VG_val" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "Multi-assignment" in page  # k over the training, from metrics.json
    assert "Query groups" in page
    assert (trained / "predictions" / "VG_val.h5").is_file()


def test_evaluation_of_a_copied_training_is_written_to_the_copy(trained, tmp_path):
    copy, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(trained, copy)
    (copy / "results.json").unlink()
    before = (trained / "results.json").stat().st_mtime_ns
    run(app, ["evaluate", str(copy), "--num-gpus", "0"])
    assert (copy / "results.json").is_file()
    run(app, ["evaluate", str(copy), "--num-gpus", "0", "OUTPUT_DIR", str(other)])
    assert (other / "results.json").is_file()
    assert (trained / "results.json").stat().st_mtime_ns == before


def test_rescore_gives_the_metrics_of_the_evaluation(trained, capsys):
    config = load_config(trained / "config.yaml", ["MODEL.WEIGHTS", str(trained / "best")])
    file = trained / "predictions" / "VG_val.h5"
    with Predictions(file) as predictions:
        assert (predictions.dataset, len(predictions)) == ("VG_val", 10)
    direct = evaluate(config, cluster=CPU).module.results[0]
    again = rescore(config, [file])[0]
    assert direct.keys() == again.keys()
    assert again.pop("mode") == direct.pop("mode") == "sgdet"
    assert again.pop("convention") == direct.pop("convention") == "speaq"
    assert again.pop("long_tail") == direct.pop("long_tail")
    for name in direct:
        np.testing.assert_allclose(again[name], direct[name], rtol=1e-9, atol=1e-12, err_msg=name)
    printed = capsys.readouterr()
    assert "VG_val" in printed.out and "VG_val.h5" not in printed.out
    written = json.loads((file.parent / "results.json").read_text())["VG_val"]
    evaluated = json.loads((trained / "results.json").read_text())["VG_val"]
    assert written["scene_graph"] == pytest.approx(evaluated["scene_graph"], abs=1e-9)
    assert (written["mode"], written["predictions"]) == ("sgdet", "VG_val.h5")


def test_models_are_given_the_true_boxes(trained, tmp_path, capsys):
    recalls, before = [], (trained / "results.json").read_text()
    for mode in ("sgcls", "predcls"):
        words = ["evaluate", str(trained), "--num-gpus", "0", "TEST.MODE", mode]
        run(app, [*words, "--report"] if mode == "predcls" else words)
        results = json.loads((trained / f"results_{mode}.json").read_text())["VG_val"]
        recalls.append(results["scene_graph"]["ng-R@100"])
        assert (results["mode"], results["images"]) == (mode, 10)
    assert "Scene graphs (predcls, %)" in capsys.readouterr().out
    assert recalls[0] < recalls[1]
    assert results["boxes"]["AP"] == pytest.approx(1)
    assert "predcls" in (trained / "report_predcls.html").read_text()
    assert (trained / "results.json").read_text() == before
    files = [trained / "predictions" / f"VG_val{suffix}.h5" for suffix in ("_predcls", "")]
    dataset = load_evaluation_sets(load_config(trained / "config.yaml"), None).datasets[0].dataset
    with Predictions(files[0]) as predictions:
        assert predictions.mode == "predcls"
        for index, graph in enumerate(predictions):
            annotation = dataset.annotation(index)
            np.testing.assert_array_equal(graph.boxes, annotation.boxes)
            np.testing.assert_array_equal(graph.labels, annotation.labels)
    options = ["--config-file", str(trained / "config.yaml"), "OUTPUT_DIR", str(tmp_path)]
    run(app, ["evaluate", *options, "--predictions", str(files[0])])
    again = json.loads((tmp_path / "results.json").read_text())["VG_val"]
    assert again["mode"] == "predcls"
    assert again["scene_graph"]["R@100"] == pytest.approx(results["scene_graph"]["R@100"], abs=1e-9)
    run(app, ["evaluate", *options, "--predictions", *map(str, files)])
    content = json.loads((tmp_path / "results.json").read_text())
    assert [content[file.name]["mode"] for file in files] == ["predcls", "sgdet"]
    assert "VG_val, predcls, sgdet, 10 images" in capsys.readouterr().out


def test_evaluate_scores_saved_predictions_without_a_model(trained, tmp_path):
    folder = tmp_path / "elsewhere" / "predictions"
    shutil.copytree(trained / "predictions", folder)
    shutil.copy(trained / "config.yaml", folder.parent)
    run(
        app,
        [
            "evaluate",
            "TEST.RELATION.IOU_THRESHOLD",
            "0.1",
            "--report",
            "--predictions",
            str(folder / "VG_val.h5"),
        ],
    )
    assert (folder / "VG_val.html").stat().st_size > 10_000
    assert (folder / "results.json").is_file()
    output = tmp_path / "chosen"
    values = ["TEST.MODE", "phrdet", "OUTPUT_DIR", str(output)]
    run(app, ["evaluate", "--report", "--predictions", str(folder / "VG_val.h5"), *values])
    assert {path.name for path in output.iterdir()} == {"VG_val.html", "results.json"}
    assert json.loads((output / "results.json").read_text())["VG_val"]["mode"] == "phrdet"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate"),
        (["--predictions", "nowhere/predictions/VG_val.h5"], "config.yaml: no such file"),
        (["nowhere"], "nowhere"),
    ],
)
def test_evaluate_refuses_missing_files(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        run(app, ["evaluate", *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_evaluate_refuses_predictions_of_other_images(trained, capsys):
    options = ["--config-file", str(trained / "config.yaml"), "--predictions", str(trained / "metrics.json")]
    with pytest.raises(SystemExit):
        run(app, ["evaluate", *options])
    assert "expected predictions saved by an evaluation" in capsys.readouterr().err
    file = trained / "predictions" / "VG_val.h5"
    fewer = ["DATASETS.VISUAL_GENOME.NUMBER_OF_VALIDATION_IMAGES", "7"]
    with pytest.raises(SystemExit):
        run(app, ["evaluate", *fewer, "--predictions", str(file)])
    assert "predictions and ground truth must be of the same images" in capsys.readouterr().err


def test_two_processes_write_one_prediction_file(trained, tmp_path):
    options = ["MODEL.WEIGHTS", str(trained / "best"), "OUTPUT_DIR", str(tmp_path)]
    results = json.loads((trained / "results.json").read_text())["VG_val"]
    script = tmp_path / "run.py"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, str(script), str(trained / "config.yaml"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    two = json.loads((tmp_path / "results.json").read_text())["VG_val"]
    assert two["scene_graph"]["R@20"] == pytest.approx(results["scene_graph"]["R@20"], abs=1e-9)
    with (
        Predictions(trained / "predictions" / "VG_val.h5") as one,
        Predictions(tmp_path / "predictions" / "VG_val.h5") as other,
    ):
        assert one.image_ids == other.image_ids
        for first, second in zip(one, other, strict=True):
            np.testing.assert_allclose(first.scores, second.scores, atol=1e-6)
    assert {path.name for path in (tmp_path / "predictions").iterdir()} == {"VG_val.h5"}
    assert (tmp_path / "report.html").is_file()


def test_evaluate_with_report_of_two_datasets_and_worker_processes(trained, tmp_path):
    options = ["MODEL.WEIGHTS", str(trained / "best"), "OUTPUT_DIR", str(tmp_path)]
    options += ["DATASETS.TEST", "('VG_val', 'VG_test')", "DATALOADER.NUM_WORKERS", "1"]
    evaluate_with_report(load_config(trained / "config.yaml", options), cluster=CPU)
    assert {path.name for path in (tmp_path / "predictions").iterdir()} == {"VG_val.h5", "VG_test.h5"}
    assert "Data sets side by side" in (tmp_path / "report.html").read_text()
