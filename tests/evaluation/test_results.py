import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.results import (
    classic_lines,
    copypaste_lines,
    predicate_table,
    results_dict,
    results_table,
)
from speaq.structures import Vocabulary

GOLDEN = Path(__file__).parents[1] / "golden"
VOCABULARY = Vocabulary(
    objects=tuple(f"object {i}" for i in range(150)), predicates=tuple(f"predicate {i}" for i in range(50))
)
SMALL = Vocabulary(objects=("a", "b"), predicates=("on", "in", "near"))
COUNTS = np.arange(50)


@pytest.fixture(scope="module")
def results(golden):
    metrics = (
        SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot, predicate_counts=COUNTS),
        DetectionAP(num_objects=150),
    )
    for metric in metrics:
        metric.update(golden.graphs, golden.annotations)
    return metrics[0].compute() | metrics[1].compute()


def test_classic_lines(golden, results):
    lines = classic_lines(results, VOCABULARY.predicates)
    assert lines[:3] == [
        "SGG eval:     R @ 20: 0.1667;     R @ 50: 0.2150;     R @ 100: 0.2782;  "
        "for mode=sgdet, type=Recall(Main).",
        "SGG eval:  ng-R @ 20: 0.1606;  ng-R @ 50: 0.2072;  ng-R @ 100: 0.2480;  "
        "for mode=sgdet, type=No Graph Constraint Recall(Main).",
        "SGG eval:    zR @ 20: 0.0877;    zR @ 50: 0.1930;    zR @ 100: 0.2456;  "
        "for mode=sgdet, type=Zero Shot Recall.",
    ]
    mean = lines.index(
        "SGG eval:    mR @ 20: 0.1558;    mR @ 50: 0.2208;    mR @ 100: 0.2712;  "
        "for mode=sgdet, type=Mean Recall."
    )
    assert lines[mean + 1] == "----------------------- Details ------------------------"
    found = re.findall(r"\((.+?):(\d\.\d{4})\)", lines[mean + 2])
    assert found == [
        (name, f"{value:.4f}")
        for name, value in zip(
            VOCABULARY.predicates, golden.expected["sgdet_mean_recall_list@100"], strict=True
        )
    ]
    assert [line[10:15] for line in lines if line.startswith("SGG eval: ")] == [
        "    R",
        " ng-R",
        "   zR",
        "ng-zR",
        "   mR",
        "ng-mR",
        "    F",
    ]


def test_classic_lines_of_other_settings(make):
    boxes = [[0, 0, 100, 100], [200, 0, 300, 100]]
    metric = SceneGraphMetrics(num_predicates=3, ks=(1, 5), zero_shot_triplets=np.array([[9, 9, 2]]))
    metric.update([make.graph(boxes, [0, 1], [[0, 1, 2]])], [make.annotation(boxes, [0, 1], [[0, 1, 2]])])
    lines = classic_lines(metric.compute(), SMALL.predicates)
    assert lines[0] == "SGG eval:     R @ 1: 1.0000;     R @ 5: 1.0000;  for mode=sgdet, type=Recall(Main)."
    assert "SGG eval:    zR @ 1: nan;    zR @ 5: nan;  for mode=sgdet, type=Zero Shot Recall." in lines
    assert "(on:0.0000) (in:0.0000) (near:1.0000)" in lines


def test_copypaste_lines_have_the_form_of_detectron2(results):
    published = [
        line[line.index("copypaste") :]
        for line in (GOLDEN / "detectron2_log.txt").read_text().splitlines()
        if "copypaste" in line
    ][:6]
    lines = copypaste_lines(results)
    assert [re.sub(r"\d+\.\d+", "0.0000", line) for line in lines] == published
    values = [float(value) for value in lines[2].removeprefix("copypaste: ").split(",")]
    expected = [100 * results[name] for name in ("AP", "AP50", "AP75", "APs", "APm", "APl")]
    assert values == pytest.approx(expected, abs=5e-5)
    assert lines[5] == "copypaste: 0.1558,0.2208,0.2712,0.1667,0.2150,0.2782"


def test_copypaste_lines_without_boxes(golden):
    metric = SceneGraphMetrics(num_predicates=50)
    metric.update(golden.graphs[:1], golden.annotations[:1])
    assert copypaste_lines(metric.compute())[0] == "copypaste: Task: SG"


def shown(renderable):
    console = Console(width=120, file=io.StringIO())
    console.print(renderable)
    return console.file.getvalue()


def test_tables(results):
    text = shown(results_table(results))
    assert "Images: 80, with relations: 78" in text
    assert "Head, body, tail: thirds (16, 17, 17 predicates)" in text
    assert re.search(r"Recall +│ +16\.67 │ +21\.50 │ +27\.82", text)
    assert re.search(r"Zero-shot recall +│ +8\.77 │ +19\.30 │ +24\.56", text)
    for name in ("Mean recall, tail", "Harmonic mean of R and mR", "AP50", f"{100 * results['AP']:.2f}"):
        assert name in text


def test_predicate_table(results):
    text = shown(predicate_table(results, VOCABULARY.predicates, predicate_counts=COUNTS))
    names = re.findall(r"predicate \d+", text)
    assert names == [f"predicate {i}" for i in range(49, -1, -1)]
    images = results["per_predicate_images"][0].item()
    assert re.search(rf"predicate 0 +│ +0 │ +{images} │ +11\.49 │ +14\.12 │ +18\.65", text)
    assert shown(predicate_table(results, VOCABULARY.predicates)).index("predicate 0 ") > 0


def test_absent_figures_read_not_available(make):
    metric = SceneGraphMetrics(num_predicates=3, zero_shot_triplets=np.array([[9, 9, 2]]))
    boxes = [[0, 0, 100, 100], [200, 0, 300, 100]]
    metric.update([make.graph(boxes, [0, 1], [[0, 1, 2]])], [make.annotation(boxes, [0, 1], [[0, 1, 2]])])
    results = metric.compute()
    assert re.search(r"Zero-shot recall +│ +n/a │ +n/a │ +n/a", shown(results_table(results)))
    assert re.search(r"on +│ +0 │ +n/a", shown(predicate_table(results, SMALL.predicates)))
    content = results_dict(results, SMALL)
    assert content["scene_graph"]["zR@20"] is None and content["predicates"]["on"]["R@20"] is None


def test_results_dict_is_plain_and_complete(golden, results):
    content = results_dict(results, VOCABULARY)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["images"] == 80 and content["images_with_relations"] == 78
    assert content["scene_graph"]["R@100"] == pytest.approx(golden.expected["sgdet_recall@100"], abs=1e-9)
    assert content["scene_graph"]["mR-tail@50"] == results["mR-tail@50"]
    expected = golden.expected["sgdet_mean_recall_list@50"][0]
    assert content["predicates"]["predicate 0"]["R@50"] == pytest.approx(expected, abs=1e-9)
    assert set(content["predicates"]["predicate 0"]) == {
        "images",
        *(f"{prefix}R@{k}" for prefix in ("", "ng-") for k in (20, 50, 100)),
    }
    assert content["long_tail"]["split"] == "thirds"
    assert content["long_tail"]["head"] == [f"predicate {i}" for i in range(49, 33, -1)]
    assert content["boxes"]["AP50"] == results["AP50"]
    assert len(content["objects"]) == 150
