"""Predictions of several programs, read and compared on one data set."""

import json
from pathlib import Path

import numpy as np
import pytest

from golden_dataset import TINY
from speaq.cli import app, run
from speaq.config import load_config
from speaq.evaluation.build import load_evaluation_sets
from speaq.evaluation.prediction_writer import PredictionWriter
from speaq.scene_graph import SceneGraph

NAMES = ("R", "mR", "F")


@pytest.fixture(scope="module")
def dataset(config_file):
    return load_evaluation_sets(load_config(config_file), None).datasets[0].dataset


def prediction(dataset, index, seed):
    """The ground truth of an image with predicates that are right in about 60 % of the relations."""
    annotation = dataset.annotation(index)
    graph = SceneGraph.from_annotation(annotation, dataset.vocabulary)
    rng, count = np.random.default_rng((seed, index)), len(dataset.vocabulary.predicates)
    probs = rng.dirichlet(np.full(count + 1, 0.3), len(graph))
    right = rng.random(len(graph)) < 0.6
    probs[right] = (probs[right] + np.eye(count + 1)[graph.predicates[right]]) / 2
    predicates = probs[:, :-1].argmax(axis=1)
    order = np.argsort(-probs[np.arange(len(graph)), predicates], kind="stable")
    return annotation, SceneGraph(
        boxes=graph.boxes, labels=graph.labels, scores=graph.scores, pairs=graph.pairs[order],
        predicates=predicates[order], predicate_probs=probs[order], image_size=graph.image_size,
        vocabulary=dataset.vocabulary,
    )  # fmt: skip


def corners(box, scale=(1, 1)):
    return (np.array(box, float) * np.tile(scale, 2)).tolist()


@pytest.fixture(scope="module")
def files(dataset, tmp_path_factory) -> Path:
    """Two models; the first one's predictions in every format."""
    folder, names = tmp_path_factory.mktemp("predictions"), dataset.vocabulary
    first = [prediction(dataset, index, 0) for index in range(len(dataset))]
    second = [prediction(dataset, index, 1) for index in range(len(dataset))]
    for name, pairs in (("a.h5", first), ("b.h5", second[::-1])):
        with PredictionWriter(folder / name, vocabulary=names, dataset="VG_val") as writer:
            for annotation, graph in pairs:
                writer.add(graph, image_id=annotation.image_id, source=annotation.source)
    detections, relations, triplets = [], [], []
    for annotation, graph in first:
        number, start = annotation.image_id, len(detections)
        for (x1, y1, x2, y2), label, score in zip(
            graph.boxes.tolist(), graph.labels, graph.scores, strict=True
        ):
            box = [x1, y1, x2 - x1, y2 - y1]
            detections.append(
                {"image_id": number, "category_id": int(label) + 1, "bbox": box, "score": float(score)}
            )
        of_image = []
        scale = (1000 / annotation.width, 1000 / annotation.height)
        columns = zip(
            graph.pairs.tolist(), graph.predicates.tolist(), graph.predicate_probs.tolist(), strict=True
        )
        for (s, o), predicate, probs in columns:
            relations.append(
                {"image_id": number, "subject": start + s, "object": start + o, "predicate_id": predicate + 1}
                | {"score": probs[predicate], "predicate_scores": probs[:-1]}
            )
            of_image.append(
                {
                    "subject": names.objects[graph.labels[s]].upper(),
                    "subject_box": corners(graph.boxes[s], scale),
                    "predicate": [names.predicates[predicate], "no such predicate"],
                    "object": names.objects[graph.labels[o]],
                    "object_box": corners(graph.boxes[o], scale),
                    "score": [probs[predicate], 0.1],
                }
            )
        triplets.append({"image_id": str(number), "triplets": of_image})
    lines = [graph.to_dict() | {"image_id": annotation.image_id} for annotation, graph in first]
    (folder / "graphs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "triplets.jsonl").write_text("".join(json.dumps(line) + "\n" for line in triplets))
    (folder / "coco.json").write_text(json.dumps({"detections": detections, "relations": relations}))
    return folder


def evaluated(config_file, folder, output, *arguments):
    paths = [str(folder / item) if (folder / item).is_file() else item for item in arguments]
    options = ["--config-file", str(config_file), "--predictions", *paths, "OUTPUT_DIR", str(output)]
    run(app, ["evaluate", *options])
    return json.loads((output / "results.json").read_text())


@pytest.mark.parametrize("name", ["graphs.jsonl", "coco.json", "triplets.jsonl"])
def test_formats_give_the_recalls_of_the_saved_predictions(config_file, files, tmp_path, name, capsys):
    results = evaluated(config_file, files, tmp_path, "a.h5", name)
    one, other = results["a.h5"]["scene_graph"], results[name]["scene_graph"]
    for key in (f"{kind}@{k}" for kind in NAMES for k in (20, 50, 100)):
        assert other[key] == pytest.approx(one[key], abs=1e-12)
    if name != "triplets.jsonl":
        assert other["ng-R@50"] == pytest.approx(one["ng-R@50"], abs=1e-12)
        assert "notes" not in results[name]
    else:
        unit, unknown = results[name]["notes"]
        assert "taken to be in 0..1000" in unit
        assert "'no such predicate' (" in unknown and "are left out" in unknown
    assert "Comparison (%)" in capsys.readouterr().out


def test_comparison_of_two_models(config_file, files, tmp_path):
    results = evaluated(config_file, files, tmp_path, "a.h5", "b.h5", "--report", "TEST.METRICS", "pooled")
    assert results["comparison"]["baseline"] == "a.h5"
    found = results["comparison"]["differences"]["b.h5"]["R@20"]
    change = results["b.h5"]["scene_graph"]["R@20"] - results["a.h5"]["scene_graph"]["R@20"]
    assert found["difference"] == pytest.approx(change, abs=1e-12)
    assert found["low"] < found["difference"] < found["high"]
    page = (tmp_path / "comparison.html").read_text()
    assert f"{100 * results['b.h5']['additional']['pooled-R@20']:.2f}" in page
    assert "Comparison of the predictions" in page and f"{100 * change:+.2f}" in page


def test_adjustment_of_saved_predictions(config_file, files, tmp_path, capsys):
    plain = evaluated(config_file, files, tmp_path / "plain", "a.h5")["VG_val"]
    found = evaluated(config_file, files, tmp_path, "a.h5", "--adjust", "0.6", "--report")["VG_val"]
    curve = {point["tau"]: point for point in found["adjustment"]}
    assert list(curve) == [0, 0.25, 0.5, 0.6, 0.75, 1]
    assert curve[0]["R@20"] == plain["scene_graph"]["R@20"]
    assert curve[0.6]["mR@50"] == found["scene_graph"]["mR@50"] != plain["scene_graph"]["mR@50"]
    assert "tau 0.6: R@20" in capsys.readouterr().out
    page = (tmp_path / "a.html").read_text()
    assert "Logit adjustment" in page
    assert "Recall, no graph constraint, each relation once" in page  # beside the published ranking
    assert "Predicates are split by: thirds (16, 17, 17 predicates)" in page
    with pytest.raises(SystemExit) as end:
        evaluated(config_file, files, tmp_path, "triplets.jsonl", "--adjust", "0.6")
    assert end.value.code == 2
    assert "with the score of one predicate" in capsys.readouterr().err


def test_frequency_bias_of_saved_predictions(config_file, files, tmp_path, capsys):
    plain = evaluated(config_file, files, tmp_path / "plain", "a.h5")["VG_val"]
    found = evaluated(config_file, files, tmp_path, "a.h5", "--frequency-bias", "0.6", "--report")["VG_val"]
    curve = {point["alpha"]: point for point in found["frequency_bias"]}
    assert list(curve) == [0, 0.25, 0.5, 0.6, 0.75, 1]
    assert curve[0]["R@20"] == plain["scene_graph"]["R@20"]
    assert curve[0.6]["mR@50"] == found["scene_graph"]["mR@50"] != plain["scene_graph"]["mR@50"]
    assert "adjustment" not in found
    assert "alpha 0.6: R@20" in capsys.readouterr().out
    page = (tmp_path / "a.html").read_text()
    assert "Frequency bias" in page and "Recalls by alpha" in page and "Logit adjustment" not in page


def test_data_set_in_a_folder(tmp_path, capsys):
    overrides = [f"DATASETS.VISUAL_GENOME.{key}" for key in ("IMAGES", "IMAGE_DATA", "MAPPING_DICTIONARY")]
    paths = [TINY / "images", TINY / "image_data.json", TINY / "dicts.json"]
    pairs = [str(item) for pair in zip(overrides, paths, strict=True) for item in pair]
    pairs += ["DATASETS.VISUAL_GENOME.VG_ATTRIBUTE_H5", str(TINY / "VG.h5"), "DATASETS.TEST", "('VG_test',)"]
    test_set = load_evaluation_sets(load_config(None, pairs), None).datasets[0].dataset
    lines = [json.dumps({"image_id": image_id, "triplets": []}) for image_id in test_set.image_ids]
    (tmp_path / "nothing.jsonl").write_text("\n".join(lines))
    run(app, ["evaluate", "--data", str(TINY), "--predictions", str(tmp_path / "nothing.jsonl")])
    results = json.loads((tmp_path / "results.json").read_text())["VG_test"]
    assert results["images"] == len(test_set)
    assert results["scene_graph"]["R@100"] == 0
    (tmp_path / "nothing.jsonl").write_text("\n".join(lines[1:]))
    with pytest.raises(SystemExit):
        run(app, ["evaluate", "--data", str(TINY), "--predictions", str(tmp_path / "nothing.jsonl")])
    assert "nothing.jsonl lacks 1 of the" in capsys.readouterr().err


def test_frequencies_of_a_folder_are_those_of_all_training_relations(monkeypatch):
    configs = []
    monkeypatch.setattr(
        "speaq.tools.report.rescore.rescore", lambda config, files, **_: configs.append(config)
    )
    run(app, ["evaluate", "--data", str(TINY), "--predictions", "a.h5"])
    assert configs[0].datasets.visual_genome.filter_non_overlap is False


def test_true_boxes_are_scored_as_predcls(config_file, files, tmp_path):
    assert (
        evaluated(config_file, files, tmp_path, "a.h5", "TEST.MODE", "predcls")["VG_val"]["mode"] == "predcls"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--predictions", "A", "--config-file", "CONFIG", "--adjust", "nan"],
            "expected a number in 0..20, found nan",
        ),
        (
            ["--predictions", "A", "--config-file", "CONFIG", "--frequency-bias", "-1"],
            "--frequency-bias: exp",
        ),
        (["--predictions", "A", "--adjust", "1", "--frequency-bias", "1", "--config-file", "CONFIG"], "both"),
        (["--adjust", "1", "somewhere"], "belong to --predictions"),
        (["--frequency-bias", "1", "somewhere"], "belong to --predictions"),
        (["--predictions", "TEST.MODE", "sgdet"], "expected one or more files"),
        (["--predictions", "nowhere.json", "--config-file", "CONFIG"], "nowhere.json: cannot read"),
        (["--predictions", "A", "A", "--config-file", "CONFIG"], "expected different files"),
        (["--predictions", "A", "--config-file", "CONFIG", "TEST.MOED", "sgdet"], "TEST.MOED"),
    ],
)
def test_mistakes_end_with_a_message(config_file, files, capsys, arguments, message):
    names = {"CONFIG": str(config_file), "A": str(files / "a.h5")}
    with pytest.raises(SystemExit) as end:
        run(app, ["evaluate", *(names.get(argument, argument) for argument in arguments)])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
