"""The evaluation report: read back as a browser would parse it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speaq.errors import SpeaqError
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.ground_truth import PredictedImages, score
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.evaluation.prediction_writer import PredictionWriter
from speaq.evaluation.predictions import Predictions
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Vocabulary
from speaq.tools.report import EvaluatedSet, Report, choose_examples, write_report
from speaq.tools.report.charts import Heatmap
from speaq.tools.report.page import environment

TINY = Path(__file__).parents[2] / "golden" / "vg_tiny"
NASTY = ("</script><script>alert(1)</script>", '<b>on & "under"</b>', "$x_1$ $body", "옆에 있는", "p" * 60)
VOCABULARY = Vocabulary(("<img src=x onerror=alert(2)>", "cup", "ø"), NASTY)
COUNTS = (1000, 50, 500, 5, 20)
VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """Elements of a page with their text; every element must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        made = {"tag": tag, "attrs": dict(attrs), "text": "", "inside": [e["tag"] for e in self.open]}
        self.elements.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for made in self.open:
            made["text"] += data

    def find(self, tag, **attrs):
        return [e for e in self.elements if e["tag"] == tag and attrs.items() <= e["attrs"].items()]


def scene(index, rng, path):
    """Boxes of a 320 x 240 image, and a prediction that is right about two of three relations."""
    corners = rng.uniform(0, 120, (4, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(40, 100, (4, 2))), axis=1).astype(np.float32)
    labels, true = rng.integers(0, 3, 4), rng.integers(0, [4, 4, 5], (5, 3))
    predicted = np.where(rng.random(5) < 2 / 3, true[:, 2], rng.choice(5, 5)) % 4  # never the last predicate
    probs = np.full((5, 6), 0.02)
    probs[np.arange(5), predicted] = np.linspace(0.9, 0.5, 5)
    annotation = Annotation(
        image_id=index, path=path, width=320, height=240, boxes=boxes, labels=labels, relations=true,
        source="real" if index % 2 else "synthetic",
    )  # fmt: skip
    graph = SceneGraph(
        boxes=boxes + 2, labels=labels, scores=np.ones(4), pairs=true[:, :2], predicates=predicted,
        predicate_probs=probs, image_size=(240, 320), queries=rng.permutation(8)[:5], vocabulary=VOCABULARY,
    )  # fmt: skip
    return graph, annotation


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """30 images, whose examples have no picture on disk but one."""
    folder, rng = tmp_path_factory.mktemp("report"), np.random.default_rng(0)
    pairs = [scene(index, rng, TINY / "images" / "nowhere.jpg") for index in range(30)]
    with PredictionWriter(folder / "a.h5", vocabulary=VOCABULARY, dataset="VG_test") as writer:
        for graph, annotation in pairs:
            writer.add(graph, image_id=annotation.image_id, source=annotation.source)
    predictions, truth = Predictions(folder / "a.h5"), [annotation for _, annotation in pairs]
    metrics = SceneGraphMetrics(num_predicates=5, ks=(2, 5), predicate_counts=np.array(COUNTS))
    images = PredictedImages(predictions, truth)
    results = score(images, [metrics, DetectionAP(num_objects=3)])
    analysis = metrics.analyze(images)
    best, worst = choose_examples(analysis, images, count=2)
    best[0] = replace(best[0], truth=replace(best[0].truth, image=TINY / "images" / "1.jpg"))
    return EvaluatedSet(
        name="VG_<test>", vocabulary=VOCABULARY, results=results, analysis=analysis, predicate_counts=COUNTS,
        best=best, worst=worst,
    )  # fmt: skip


@pytest.fixture(scope="module")
def report(evaluated):
    history = pd.DataFrame({"layer1": [1, 1.5, 2], "layer2": [1, np.nan, 3]}, index=[0, 10, 20])
    return Report(
        title="Report <1>", facts={"Backbone": "ResNet & more"}, sets=[evaluated],
        group_of_query=[0] * 3 + [1] * 5, group_of_predicate=[0, 1, 0, 1, 1], assignment=history,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "report.html"
    write_report(path, report)
    assert path.stat().st_size < 600_000
    return Page(path.read_text(encoding="utf-8"))


def row_of(page, name):
    """Numbers behind the row of the sortable table whose heading is ``name``."""
    place = next(
        i
        for i, e in enumerate(page.elements)
        if e["tag"] == "th" and e["text"] == name and "tbody" in e["inside"]
    )
    cells = []
    for made in page.elements[place + 1 :]:
        if made["tag"] == "tr":
            break
        cells.append(made)
    return cells


def test_page_needs_no_other_file_and_runs_one_script(page):
    assert len(page.find("script")) == 1
    assert not page.find("link")
    for made in page.elements:
        for name, value in made["attrs"].items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert value.startswith(("data:image/jpeg;base64,", "#"))
    assert not re.search(
        r"https?://|url\(|@import", page.find("style")[0]["text"] + page.find("script")[0]["text"]
    )
    targets = {e["attrs"]["id"] for e in page.find("section")}
    assert {link["attrs"]["href"].removeprefix("#") for link in page.find("a")} == targets


def test_page_escapes_names(page):
    assert page.find("title")[0]["text"] == page.find("h1")[0]["text"] == "Report <1>"
    assert [e["text"] for e in page.find("h2")][:2] == ["By source of the images", "VG_<test>"]
    rows = [e["text"] for e in page.find("th", scope="row") if e["text"] in NASTY]
    assert set(rows) == set(NASTY)
    assert page.find("dd")[0]["text"] == "ResNet & more"
    assert [e["text"] for e in page.find("th", scope="row") if e["text"] in VOCABULARY.objects] == list(
        VOCABULARY.objects
    )


def test_page_escapes_ids_and_control_characters(report, evaluated, tmp_path):
    names = ('"><script>alert(3)</script>\x1b[31m', "cup", "\x00")
    best = [replace(evaluated.best[0], image_id='"><script>\x1b]0;title\x07')]
    sets = [replace(evaluated, best=best, vocabulary=Vocabulary(names, VOCABULARY.predicates), name=names[0])]
    write_report(tmp_path / "a.html", replace(report, title=names[0], sets=sets))
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    page = Page(text)
    assert len(page.find("script")) == 1
    assert page.find("h1")[0]["text"] == '"><script>alert(3)</script>\\x1b[31m'
    assert 'Image "><script>\\x1b]0;title\\x07' in "".join(e["text"] for e in page.find("figcaption"))


def test_page_shows_the_values_of_the_metrics(page, evaluated):
    results = evaluated.results
    figures = [e["text"] for e in page.find("span", **{"class": "figure"})]
    assert figures == [f"{100 * results[name]:.2f}" for name in ("R@5", "mR@5", "F@5", "AP50")]
    cells = row_of(page, NASTY[2])
    assert cells[0]["text"] == "body"
    values = [float(cell["attrs"]["data-value"]) for cell in cells[1:]]
    analysis = evaluated.analysis
    relations = (analysis.predicates == 2).sum()
    localised = ((analysis.predicates == 2) & (analysis.predicted_predicates < 5)).sum()
    assert values == pytest.approx(
        [
            500,
            relations,
            results["per_predicate_images"][2].item(),
            *results["per_predicate"][2].tolist(),
            localised / relations,
            analysis.num_correct[2] / analysis.num_localized[2],
        ],
        abs=1e-4,
    )
    never_predicted = row_of(page, NASTY[4])
    assert never_predicted[-1]["text"] == "–" and never_predicted[-1]["attrs"]["data-value"] == "-1"


def test_page_has_heatmaps_of_confusions_and_query_groups(page, evaluated):
    analysis = evaluated.analysis
    order = np.argsort(-np.array(COUNTS))
    counts = analysis.confusion[np.ix_(order, order)]
    all_tips = [e["attrs"]["data-tip"] for e in page.find("i") if "data-tip" in e["attrs"]]
    tips = [tip for tip in all_tips if tip.startswith("annotated ")]
    assert len(tips) == np.count_nonzero(counts)
    assert tips[0] == (
        f"annotated {NASTY[0]}, predicted {NASTY[0]}: {counts[0, 0]} of {counts[0].sum()} "
        f"({counts[0, 0] / counts[0].sum():.1%})"
    )
    uses = analysis.query_uses
    first = next(tip for tip in all_tips if " from group 1: " in tip)
    assert first.startswith(f"{NASTY[0]} from group 1: {uses[:3, 0].sum()} of {uses[:, 0].sum()} ")


def test_page_has_examples_with_images_and_captions(page, evaluated):
    assert len(page.find("figure")) == 4
    pictures = page.find("img")
    assert len(pictures) == 1
    assert pictures[0]["attrs"]["alt"].startswith("Ground truth: ")
    missing = [e["text"] for e in page.find("p", **{"class": "missing"})]
    assert len(missing) == 3 and all("nowhere.jpg" in text for text in missing)
    recalls = evaluated.analysis.image_recalls()[0, -1]
    assert [example.recalls[-1] for example in evaluated.best] == sorted(recalls)[::-1][:2]
    assert [example.recalls[-1] for example in evaluated.worst] == sorted(recalls)[:2]
    assert f"R@5 {100 * evaluated.worst[0].recalls[-1]:.2f}" in page.find("figcaption")[2]["text"]


def test_page_of_several_datasets_without_optional_contents(evaluated, tmp_path):
    """No boxes, no counts, no groups, no images: what is missing is left out."""
    results = {k: v for k, v in evaluated.results.items() if not re.match("AP|(ng-)?mR-[hbt]", k)}
    bare = replace(
        evaluated, name="bare", results=results, predicate_counts=None, best=(), worst=(),
        analysis=replace(evaluated.analysis, groups={}),
    )  # fmt: skip
    metrics = SceneGraphMetrics(num_predicates=5, ks=(2, 5))
    metrics.update([], [])
    empty = replace(bare, name="empty", results=metrics.compute(), analysis=metrics.analyze([]))
    write_report(tmp_path / "a.html", Report(title="t", facts={}, sets=[bare, empty]))
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    heads = [e["text"] for e in page.find("h2")]
    assert heads[:3] == ["Data sets side by side", "bare", "Predicates, bare"]
    assert "Queries, empty" not in heads and "Queries, bare" in heads
    rows = [e["text"] for e in page.find("th", scope="row")][:4]
    assert rows == ["bare", "bare, real images", "bare, synthetic images", "empty"]
    write_report(tmp_path / "b.html", Report(title="t", facts={}, sets=[bare, empty]))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    (tmp_path / "file").touch()
    with pytest.raises(SpeaqError, match="cannot write this file"):
        write_report(tmp_path / "file" / "a.html", Report(title="t", facts={}, sets=[bare]))


def test_heatmap_template_has_a_cell_per_nonzero_count():
    heatmap = Heatmap(
        counts=np.array([[4, 0, 1], [2, 2, 0]]), axis=0, rows=["a", "b" * 40], columns=["c", "d", "e"],
        titles=("r", "c"), tip="{row} {column}", label="l", correct=np.eye(2, 3, dtype=bool),
        kinds=("correct", "confused"),
    )  # fmt: skip
    drawing = Page(str(environment().get_template("charts.html").module.heatmap(heatmap)))
    cells = [e["attrs"] for e in drawing.find("i") if "td" in e["inside"]]
    assert [(cell["data-tip"], cell["class"], cell["style"]) for cell in cells] == [
        ("a c: 4 of 6 (66.7%)", "right", "opacity:0.83"),
        ("a e: 1 of 1 (100.0%)", "wrong", "opacity:1.0"),
        ("b" * 40 + " c: 2 of 6 (33.3%)", "wrong", "opacity:0.6"),
        ("b" * 40 + " d: 2 of 2 (100.0%)", "right", "opacity:1.0"),
    ]
    assert len(drawing.find("td")) == 1 + 2 * 3
    names = drawing.find("th", scope="row")
    assert [e["text"] for e in names] == [e["attrs"]["title"] for e in names] == ["a", "b" * 40]
    kinds = [e["text"] for e in drawing.find("span", **{"class": "kind"})]
    assert kinds == ["correct", "confused"]
