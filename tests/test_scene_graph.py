import json
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Vocabulary

VOCABULARY = Vocabulary(("cup", "table", "person"), ("on", "near"))


def small_graph(**changes):
    values = {
        "boxes": [[0, 0, 10, 10], [5, 5, 40, 20], [1, 2, 3, 4]],
        "labels": [0, 1, 2],
        "scores": [0.9, 0.8, 0.7],
        "pairs": [[0, 1], [2, 1], [0, 2]],
        "predicates": [0, 1, 1],
        "predicate_probs": [[0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.2, 0.3, 0.5]],
        "image_size": (30, 50),
        "vocabulary": VOCABULARY,
        "image": Path("photos/kitchen.jpg"),
    }
    return SceneGraph(**values | changes)


def assert_same(a, b):
    for field in fields(SceneGraph):
        mine, theirs = getattr(a, field.name), getattr(b, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, field.name
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        else:
            assert mine == theirs, field.name


def test_arrays_have_their_types_and_defaults():
    graph = small_graph()
    assert graph.boxes.dtype == graph.scores.dtype == graph.predicate_probs.dtype == np.float32
    assert (
        graph.labels.dtype == graph.pairs.dtype == graph.predicates.dtype == graph.queries.dtype == np.int64
    )
    assert len(graph) == 3
    np.testing.assert_allclose(graph.predicate_scores, [0.5, 0.4, 0.3])
    np.testing.assert_allclose(
        graph.triplet_scores, [0.9 * 0.8 * 0.5, 0.7 * 0.8 * 0.4, 0.9 * 0.7 * 0.3], rtol=1e-6
    )


def test_triplet_scores_use_pair_scores():
    graph = small_graph(pair_scores=[[0.5, 0.5], [0.1, 0.1], [1, 1]])
    np.testing.assert_allclose(graph.triplet_scores, [0.125, 0.004, 0.3], rtol=1e-6)


def test_triplets_and_entities_have_names():
    graph = small_graph()
    triplet = graph.triplets[0]
    assert (triplet.subject, triplet.predicate, triplet.object) == ("cup", "on", "table")
    assert triplet.object_box == (5, 5, 40, 20)
    assert str(triplet) == "cup on table (0.36)"
    assert str(graph.entities[2]) == "person (0.70)"
    assert repr(graph) == "SceneGraph(3 entities, 3 relations, 50x30, kitchen.jpg)"
    assert str(graph).splitlines()[1:] == [
        "  cup on table (0.36)",
        "  person near table (0.22)",
        "  cup near person (0.19)",
    ]
    assert str(small_graph(vocabulary=None).triplets[1]) == "object 2 predicate 1 object 1 (0.22)"


def test_str_shows_the_first_relations():
    graph = small_graph(
        pairs=[[0, 1]] * 13, predicates=[0] * 13, predicate_probs=np.linspace(0.1, 0.9, 39).reshape(13, 3)
    )
    lines = str(graph).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  ... and 3 more"


def test_filter_combines_conditions():
    graph = small_graph()
    assert [str(t) for t in graph.filter(score=0.2).triplets] == [
        "cup on table (0.36)",
        "person near table (0.22)",
    ]
    assert [str(t) for t in graph.filter(top=1).triplets] == ["cup on table (0.36)"]
    assert len(graph.filter(top=0)) == len(graph.filter(top=0).boxes) == 0
    near = graph.filter(predicates="near")
    assert near.predicates.tolist() == [1, 1]
    assert near.queries.tolist() == [1, 2]
    assert [str(t) for t in graph.filter(objects=["cup"], predicates=[1]).triplets] == [
        "cup near person (0.19)"
    ]
    assert graph.filter(objects=[2], top=1).pairs.tolist() == [[1, 0]]  # table and person are left


def test_filter_keeps_the_entities_that_take_part():
    graph = small_graph().filter(objects="person", predicates="near", top=1)
    assert graph.labels.tolist() == [1, 2]
    assert graph.pairs.tolist() == [[1, 0]]
    assert graph.boxes.tolist() == [[5, 5, 40, 20], [1, 2, 3, 4]]
    np.testing.assert_allclose(graph.pair_scores, [[0.7, 0.8]])


def test_filter_keeps_the_best_in_any_order():
    graph = small_graph(pair_scores=[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    assert graph.filter(top=2).queries.tolist() == [1, 2]


def test_index_gives_a_triplet():
    graph = small_graph()
    assert graph[0] == graph.triplets[0]
    assert graph[-1] == graph[np.int64(2)] == graph[np.array(2)] == graph.triplets[2]
    assert graph[1].subject_index == 2
    for index in (3, -4):
        with pytest.raises(IndexError):
            graph[index]
    with pytest.raises(TypeError):
        graph["cup"]


def test_slices_masks_and_lists_give_graphs():
    graph = small_graph()
    assert graph[:2] == graph.filter(top=2)
    assert graph[graph.predicates == 1] == graph.filter(predicates="near")
    assert graph[[True, False, False]] == graph.filter(predicates="on")
    turned = graph[[2, 0]]
    assert isinstance(turned, SceneGraph)
    assert [str(triplet) for triplet in turned] == ["cup near person (0.19)", "cup on table (0.36)"]
    assert turned.queries.tolist() == [2, 0]
    near = graph[[1]]
    assert (near.labels.tolist(), near.pairs.tolist(), near.vocabulary) == ([1, 2], [[1, 0]], VOCABULARY)
    for empty in (graph[[]], graph[:0], graph[np.zeros(3, bool)]):
        assert (len(empty), len(empty.boxes)) == (0, 0)
    with pytest.raises(IndexError):
        graph[[True, False]]


def test_iteration_gives_triplets():
    graph = small_graph()
    assert list(graph) == graph.triplets
    assert list(reversed(graph)) == graph.triplets[::-1]
    assert graph.triplets[1] in graph


def test_equality_compares_arrays_size_and_vocabulary():
    graph = small_graph()
    assert graph == small_graph() == small_graph(image=None)
    changes = {"scores": [0.9, 0.8, 0.6], "queries": [2, 1, 0], "image_size": (30, 51), "vocabulary": None}
    for name, value in changes.items():
        assert graph != small_graph(**{name: value})
    assert graph != graph[:2]
    assert graph != "cup on table"
    with pytest.raises(TypeError, match="unhashable"):
        hash(graph)


def test_filter_refuses_unknown_names():
    with pytest.raises(SpeaqError, match="object 'tabel' is not in the vocabulary; did you mean table"):
        small_graph().filter(objects="tabel")
    with pytest.raises(SpeaqError, match=r"predicate 'xyz' is not in the vocabulary \(2 are known\)"):
        small_graph().filter(predicates=["xyz"])
    with pytest.raises(SpeaqError, match="no vocabulary"):
        small_graph(vocabulary=None).filter(objects="cup")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [[0, 1], [2, 1], [0, 3]]}, "index its 3 entities, but they range from 0 to 3"),
        ({"labels": [0, 1]}, "labels has 2 rows, expected 3"),
        ({"predicates": [0]}, "predicates has 1 rows, expected 3"),
    ],
)
def test_arrays_of_other_lengths_are_refused(changes, message):
    with pytest.raises(SpeaqError, match=message):
        small_graph(**changes)


@given(
    seed=st.integers(0, 10**6),
    entities=st.integers(1, 5),
    relations=st.integers(0, 6),
    predicates=st.integers(1, 4),
    named=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_json_round_trip_is_exact(seed, entities, relations, predicates, named):
    rng = np.random.default_rng(seed)
    names = Vocabulary(("чашка", 'a "b"'), tuple(f"p{i}" for i in range(predicates)))
    graph = SceneGraph(
        boxes=1000 * rng.standard_normal((entities, 4)),
        labels=rng.integers(0, 2, entities),
        scores=rng.random(entities) ** 20,
        pairs=rng.integers(0, entities, (relations, 2)),
        predicates=rng.integers(0, predicates, relations),
        predicate_probs=rng.random((relations, predicates + 1)),
        queries=rng.integers(0, 100, relations),
        pair_scores=rng.random((relations, 2)),
        image_size=(480, 640),
        vocabulary=names if named else None,
        image=Path("a b.jpg") if named else None,
    )
    assert_same(SceneGraph.from_json(graph.to_json()), graph)


def test_json_round_trip_of_an_empty_graph():
    empty = small_graph().filter(top=0)
    again = SceneGraph.from_json(empty.to_json())
    assert_same(again, empty)
    assert again.predicate_probs.shape == (0, 3)


def test_to_json_writes_what_from_json_reads(tmp_path):
    path = tmp_path / "new folder" / "graph.json"
    text = small_graph().to_json(path)
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == ["graph.json"]
    assert_same(SceneGraph.from_json(path), small_graph())
    assert_same(SceneGraph.from_json(str(path)), small_graph())
    content = json.loads(text)
    assert content["entities"][0] == {"name": "cup", "score": 0.9, "box": [0, 0, 10, 10], "label": 0}
    assert content["relations"][0]["text"] == "cup on table (0.36)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "g.json: not a scene graph"),
        ("[1]", "g.json: not a scene graph"),
        ('{"format": "other"}', "g.json: .*format: expected 'speaq-scene-graph', found \"other\""),
        ('{"format": "speaq-scene-graph"}', "version: is missing"),
    ],
)
def test_from_json_refuses_other_files(tmp_path, text, message):
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(SpeaqError, match=message):
        SceneGraph.from_json(path)


def changed(place, value):
    """The text of a graph with another value at a place such as ("entities", 2, "label")."""
    content = json.loads(small_graph().to_json())
    *parents, last = place
    part = content
    for key in parents:
        part = part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["width"], np.inf, r"width: expected an integer, found Infinity"),
        (["width"], 0, r"width: expected at least 1, found 0"),
        (["height"], -5, r"height: expected at least 1, found -5"),
        (["height"], 30.0, r"height: expected an integer, found 30.0"),
        (["image"], 3, r"image: expected a string or null, found 3"),
        (["version"], True, r"version: expected an integer, found true"),
        (["entities"], {}, r"entities: expected an array, found an object"),
        (["entities", 2, "label"], 1.7, r"entities\[2\].label: expected an integer, found 1.7"),
        (["entities", 2, "label"], True, r"entities\[2\].label: expected an integer, found true"),
        (["entities", 2, "label"], -5, r"entities\[2\].label: expected at least 0, found -5"),
        (["entities", 2, "label"], 3, r"entities\[2\].label: expected an index below 3, .*, found 3"),
        (["entities", 2, "label"], 10**30, r"entities\[2\].label: expected at most 2147483647, found 1000"),
        (["entities", 2, "label"], ..., r"entities\[2\].label: is missing"),
        (["entities", 2, "lable"], 1, r"entities\[2\].lable: no such key; expected name, score, box, label"),
        (["entities", 2], 7, r"entities\[2\]: expected an object, found 7"),
        (["entities", 1, "score"], 7, r"entities\[1\].score: expected at most 1.001, found 7"),
        (["entities", 1, "score"], [1, 2], r"entities\[1\].score: .*, found an array of 2"),
        (["entities", 1, "score"], None, r"entities\[1\].score: expected a number, found null"),
        (
            ["entities", 0, "box"],
            [1, 2, 3],
            r"entities\[0\].box: expected at least 4 numbers, .* of 3",
        ),
        (
            ["entities", 0, "box"],
            list("1234"),
            r'entities\[0\].box\[0\]: expected a number, found "1"',
        ),
        (["entities", 0, "box", 3], np.nan, r"entities\[0\].box\[3\]: expected a finite number, found NaN"),
        (
            ["entities", 0, "box", 3],
            1e300,
            r"entities\[0\].box\[3\]: expected at most 3.4028235e\+38, found 1e\+300",
        ),
        (["relations", 1, "subject"], 0.9, r"relations\[1\].subject: expected an integer, found 0.9"),
        (["relations", 1, "subject"], "0", r'relations\[1\].subject: expected an integer, found "0"'),
        (["relations", 1, "object"], 3, r"relations\[1\].object: expected an index below 3, .*, found 3"),
        (
            ["relations", 1, "predicate"],
            2,
            r"relations\[1\].predicate: expected an index below 2, .*, found 2",
        ),
        (["relations", 1, "predicate"], -1, r"relations\[1\].predicate: expected at least 0, found -1"),
        (["relations", 0, "pair_scores", 1], -0.1, r"relations\[0\].pair_scores\[1\]: .* found -0.1"),
        (["relations", 0, "predicate_probs"], [1], r"relations\[0\].predicate_probs: expected 3 .*found 1"),
        (
            ["relations", 0, "predicate_probs"],
            [],
            r"relations\[0\].predicate_probs: expected at least 1 numbers",
        ),
        (["vocabulary", "predicates"], ["a"] * 3, r"vocabulary.predicates: expected 2 names .*, found 3"),
        (["vocabulary", "objects"], [1, 2, 3], r"vocabulary.objects\[0\]: expected a string, found 1"),
        (["vocabulary"], "cup", r'vocabulary: expected an object or null, found "cup"'),
        (["predicate_count"], 10**12, r"predicate_count: expected at most 2147483647, found 1000000000000"),
    ],
)
def test_from_json_names_the_place_of_an_error(tmp_path, place, value, message):
    path = tmp_path / "g.json"
    path.write_text(changed(place, value))
    with pytest.raises(SpeaqError, match=f"g.json: not a scene graph written by to_json: {message}"):
        SceneGraph.from_json(path)


def test_from_json_without_a_vocabulary_or_with_too_deep_nesting(tmp_path):
    text = small_graph(vocabulary=None).to_json().replace('"predicate": 1', '"predicate": 50')
    with pytest.raises(SpeaqError, match=r"JSON text: .*relations\[1\].predicate: expected an index below 2"):
        SceneGraph.from_json(text)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(SpeaqError, match=r"deep.json: .*nested too deeply"):
        SceneGraph.from_json(tmp_path / "deep.json")
    with pytest.raises(SpeaqError, match=r"null byte"):
        SceneGraph.from_json("a\0.json")


def test_from_json_ignores_other_keys_and_missing_text():
    assert_same(SceneGraph.from_json(changed(["time"], 1.5)), small_graph())
    assert_same(SceneGraph.from_json(changed(["relations", 0, "text"], ...)), small_graph())


def test_json_round_trip_of_float32_limits():
    largest = np.finfo(np.float32).max
    graph = small_graph(
        boxes=[[-largest, largest, np.finfo(np.float32).smallest_subnormal, -0.0]] * 3,
        scores=[np.nextafter(np.float32(1), np.float32(2)), 0, 1e-45],
    )
    assert_same(SceneGraph.from_json(graph.to_json()), graph)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5, np.inf, 0.5]}, r"entities\[1\].score: expected a finite number, found Infinity"),
        ({"image_size": (0, 5)}, "height: expected at least 1, found 0"),
        ({"vocabulary": Vocabulary(("a", "b", "c"), ("d", "e", "f"))}, "vocabulary.predicates: expected 2"),
    ],
)
def test_to_json_refuses_what_from_json_would(tmp_path, changes, message):
    with pytest.raises(SpeaqError, match=f"3 entities.*: cannot be written as JSON: {message}"):
        small_graph(**changes).to_json(tmp_path / "g.json")
    assert not (tmp_path / "g.json").exists()


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(SpeaqError, match=r"nothing.json: cannot read this scene graph"):
        SceneGraph.from_json(tmp_path / "nothing.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match=r"graph.json: cannot write"):
        small_graph().to_json(tmp_path / "file" / "graph.json")


def test_to_supervision_keeps_boxes_scores_and_classes():
    graph = small_graph()
    detections = graph.to_supervision()
    np.testing.assert_array_equal(detections.xyxy, graph.boxes)
    np.testing.assert_array_equal(detections.confidence, graph.scores)
    np.testing.assert_array_equal(detections.class_id, graph.labels)
    assert detections.data["class_name"].tolist() == ["cup", "table", "person"]
    assert detections[detections.confidence > 0.75].data["class_name"].tolist() == ["cup", "table"]
    assert len(graph[:0].to_supervision()) == 0


def test_to_supervision_names_the_extra_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(SpeaqError, match=r"pip install 'speaq\[supervision\]'"):
        small_graph().to_supervision()


def test_from_annotation_gives_ground_truth():
    annotation = Annotation(
        image_id=7,
        path=Path("7.jpg"),
        width=50,
        height=30,
        boxes=np.array([[0, 0, 10, 10], [5, 5, 40, 20]], np.float32),
        labels=np.array([0, 1]),
        relations=np.array([[0, 1, 0], [1, 0, 1]]),
    )
    graph = SceneGraph.from_annotation(annotation, VOCABULARY)
    assert [str(t) for t in graph.triplets] == ["cup on table (1.00)", "table near cup (1.00)"]
    assert graph.image_size == (30, 50)
    assert graph.predicate_probs.tolist() == [[1, 0, 0], [0, 1, 0]]
