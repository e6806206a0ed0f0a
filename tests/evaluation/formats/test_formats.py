"""Predictions of other programs: what is read, and the messages about mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scene_graphs import VOCABULARY, small_graph
from speaq.errors import SpeaqError
from speaq.evaluation.formats.read import read_predictions
from speaq.evaluation.formats.target import Target
from speaq.structures import Annotation


def image(number, width=200, height=100):
    return Annotation(
        image_id=number, path=Path(f"{number}.jpg"), width=width, height=height,
        boxes=np.zeros((0, 4), np.float32), labels=np.zeros(0, int), relations=np.zeros((0, 3), int),
    )  # fmt: skip


@pytest.fixture
def target():
    return Target("VG_test", VOCABULARY, [image(1), image(2), image("scene", 50, 30)])


def read(tmp_path, target, *documents, text=None, **options):
    file = tmp_path / "found.json"
    file.write_text("\n".join(map(json.dumps, documents)) if text is None else text)
    return read_predictions(file, target, **options)


def triplet(**changes):
    boxes = {"subject_box": [10, 20, 30, 40], "object_box": [50, 20, 150, 90]}
    return {"subject": "cup", "predicate": "on", "object": "table", **boxes} | changes


def detections(**changes):
    boxes = [
        {"image_id": 2, "category_id": 1, "bbox": [10, 20, 20, 20], "score": 0.5},
        {"image_id": 2, "category_id": 3, "bbox": [50, 20, 100, 70], "score": 0.8},
    ]
    relation = {"image_id": 2, "subject": 1, "object": 0, "predicate_id": 2, "score": 0.25}
    return {"detections": boxes, "relations": [relation]} | changes


def test_coco_lists(tmp_path, target):
    found = read(tmp_path, target, detections())
    assert found.image_ids == [1, 2, "scene"]
    assert found.notes == ["2 of 3 images have no detection"]
    graph = found[1]
    assert graph.boxes.tolist() == [[10, 20, 30, 40], [50, 20, 150, 90]]
    assert (graph.labels.tolist(), graph.pairs.tolist(), graph.predicates.tolist()) == ([0, 2], [[1, 0]], [1])
    assert graph.predicate_probs[0].tolist() == [0, 0.25, 0.75]
    assert graph.triplet_scores.tolist() == pytest.approx([0.5 * 0.8 * 0.25])


def test_coco_numbers_by_name(tmp_path, target):
    numbers = [{"id": 3, "name": "Person"}, {"id": 1, "name": "table"}]
    found = read(tmp_path, target, detections(categories=numbers))
    assert found[1].labels.tolist() == [1, 2]


def test_triplets_share_entities_and_a_pair_has_all_its_predicates(tmp_path, target):
    several = triplet(predicate=["on", "near"], score=[0.2, 0.7])
    again = triplet(subject="PERSON", predicate="near", score=0.5)
    found = read(tmp_path, target, {"image_id": "1", "triplets": [several, again]})
    graph = found[0]
    assert len(graph.boxes) == 3
    assert graph.predicates.tolist() == [1, 1, 0]  # best first
    assert graph.predicate_probs[0] == pytest.approx([0.2, 0.7, 0.1])
    assert graph.predicate_probs[2] == pytest.approx([0.2, 0.7, 0.1])
    assert found.distinct
    assert "pixels" in found.notes[0]


@pytest.mark.parametrize(
    ("box", "options", "expected"),
    [
        ([0.1, 0.2, 0.5, 1], {}, [20, 20, 100, 100]),
        ([100, 200, 500, 1000], {}, [20, 20, 100, 100]),
        ([20, 20, 100, 100], {}, [20, 20, 100, 100]),
        ([10, 20, 50, 100], {"box_scale": "1000"}, [2, 2, 10, 10]),
        ([0, 0, 1, 1], {"box_scale": "pixels"}, [0, 0, 1, 1]),
    ],
)
def test_units_of_boxes(tmp_path, target, box, options, expected):
    record = {"image_id": 1, "triplets": [triplet(subject_box=box, object_box=box, object="person")]}
    assert read(tmp_path, target, record, **options)[0].boxes[0].tolist() == pytest.approx(expected)


def test_names_without_a_class_are_left_out_with_a_note(tmp_path, target):
    triplets = [triplet(subject="mug"), triplet(predicate="hovers_over"), triplet(predicate="Near")]
    found = read(tmp_path, target, {"image_id": 1, "triplets": triplets})
    assert found[0].predicates.tolist() == [1]
    assert found.notes[1] == (
        "2 names are not classes of VG_test, and their triplets are left out: 'mug' (1), 'hovers_over' (1)"
    )


def test_scene_graphs_by_id_or_file_name(tmp_path, target):
    one = small_graph(image_size=(100, 200)).to_dict() | {"image_id": 2}
    two = small_graph(image_size=(30, 50), image=Path("photos/scene.jpg")).to_dict()
    found = read(tmp_path, target, one, two)
    assert found.image_ids == [2, "scene"]
    assert found[1].predicate_probs.tolist() == small_graph().predicate_probs.tolist()
    assert not found.distinct


GRAPH = small_graph(image_size=(100, 200)).to_dict() | {"image_id": 2}
TRIPLETS = {"image_id": 1, "triplets": [triplet()]}


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([{"image_id": 1}], "found an object with the keys 'image_id'"),
        ([TRIPLETS, {"image_id": 9, "triplets": []}], "line 2: image_id: expected the id of .* found 9"),
        ([TRIPLETS, TRIPLETS], "line 2: expected each image once, found image 1 again"),
        ([TRIPLETS, {"image_id": 2, "triplets": [{}]}], r"line 2: triplets\[0\].subject: is missing"),
        (
            [{"image_id": 1, "triplets": [triplet(object_box=[1, 2, 3])]}],
            r"line 1: triplets\[0\].object_box: expected at least 4 numbers, found an array of 3",
        ),
        (
            [{"image_id": 1, "triplets": [triplet(object_box=[5, 2, 3, 9])]}],
            r"triplets\[0\].object_box: expected \[x1, y1, x2, y2\]",
        ),
        (
            [{"image_id": 1, "triplets": [triplet(predicate=["on"], score=[1, 1])]}],
            r"triplets\[0\].score: expected one number, found 2",
        ),
        ([{"image_id": 1, "triplets": [triplet(object_box=[0, 0, 5, 4000])]}], "found a corner at .*4000"),
        ([{"image_id": None, "triplets": []}], "line 1: image_id: expected a number or a text, found null"),
        (
            [{"image_id": 1, "triplets": [triplet(predicate=[3])]}],
            r"triplets\[0\].predicate\[0\]: expected a string, found 3",
        ),
        (
            [{"image_id": 1, "triplets": [triplet(score="high")]}],
            r"triplets\[0\].score\[0\]: expected a number, found \"high\"",
        ),
        ([detections(relations=[{}])], r"relations\[0\].image_id: is missing"),
        (
            [detections(detections=[{"image_id": 1, "category_id": 0, "bbox": [0, 0, 1, 1], "score": 1}])],
            r"detections\[0\].category_id: expected a number in 1..3, found 0; add categories",
        ),
        (
            [
                detections(
                    relations=[{"image_id": 1, "subject": 0, "object": 1, "predicate_id": 1, "score": 1}]
                )
            ],
            r"relations\[0\].subject: expected the position in detections of a box of image 1, found 0",
        ),
        (
            [detections(categories=[{"id": 1, "name": "tables"}])],
            r"categories\[0\].name: .* found 'tables'; did you mean 'table'\?",
        ),
        ([GRAPH, GRAPH], "line 2: expected each image once"),
        ([GRAPH, GRAPH | {"width": 7, "image_id": 1}], "line 2: width, height: expected 200 x 100"),
        ([GRAPH, GRAPH | {"relations": 3, "image_id": 1}], "line 2: relations: expected an array, found 3"),
        ([GRAPH | {"image_id": None}], "image_id: expected a number or a text, found null"),
    ],
)
def test_mistakes_are_located(tmp_path, target, documents, message):
    with pytest.raises(SpeaqError, match=rf"found.json.*{message}"):
        read(tmp_path, target, *documents)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON or JSON lines"),
        ('{"image_id": 1, "triplets": []}\n{"image_id"', "line 2: expected one JSON object per line"),
        ("[]", "found none"),
        ('[{"image_id": 1, "triplets": []}, {"image_id": 9, "triplets": []}]', r"\[1\]: image_id"),
    ],
)
def test_damaged_text(tmp_path, target, text, message):
    with pytest.raises(SpeaqError, match=rf"found.json.*{message}"):
        read(tmp_path, target, text=text)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({}, None),
        ({"subject_box": [20, 10, 40, 30], "object_box": [20, 50, 70, 90]}, "only 0 of 40 annotated boxes"),
        ({"subject": "table", "object": "cup"}, "only 0 of 40 boxes near annotated ones have their class"),
        ({"predicate": "near"}, "only 0 of 20 relations of the right boxes have the annotated predicate"),
    ],
)
def test_predictions_that_nothing_agrees_with_are_noted(tmp_path, changes, note):
    truth = {
        "boxes": np.array([[10, 20, 30, 40], [50, 20, 150, 90]], np.float32),
        "labels": np.array([VOCABULARY.objects.index(name) for name in ("cup", "table")]),
        "relations": np.array([[0, 1, VOCABULARY.predicates.index("on")]]),
    }
    target = Target("VG_test", VOCABULARY, [replace(image(number), **truth) for number in range(20)])
    documents = [{"image_id": number, "triplets": [triplet(**changes)]} for number in range(20)]
    notes = read(tmp_path, target, *documents, box_scale="pixels").notes
    assert len(notes) == (note is not None)
    assert all(note in each for each in notes)
