import builtins
import json
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


def test_types_and_defaults():
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


def test_the_scores_of_a_relations_own_query_count():
    graph = small_graph(pair_scores=[[0.5, 0.5], [0.1, 0.1], [1, 1]])
    np.testing.assert_allclose(graph.triplet_scores, [0.125, 0.004, 0.3], rtol=1e-6)


def test_words():
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


def test_long_graphs_are_printed_in_part():
    graph = small_graph(
        pairs=[[0, 1]] * 13, predicates=[0] * 13, predicate_probs=np.linspace(0.1, 0.9, 39).reshape(13, 3)
    )
    lines = str(graph).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  ... and 3 more"


def test_filter():
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


def test_filter_takes_the_best_whatever_the_order():
    graph = small_graph(pair_scores=[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]])
    assert graph.filter(top=2).queries.tolist() == [1, 2]


def test_unknown_names_are_explained():
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
def test_parts_that_do_not_fit(changes, message):
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


def test_a_graph_of_nothing_survives_json():
    empty = small_graph().filter(top=0)
    again = SceneGraph.from_json(empty.to_json())
    assert_same(again, empty)
    assert again.predicate_probs.shape == (0, 3)


def test_json_file(tmp_path):
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
        ('{"format": "other"}', "format is 'other', expected 'speaq-scene-graph'"),
        ('{"format": "speaq-scene-graph"}', "'relations' is missing"),
    ],
)
def test_files_that_are_no_graph(tmp_path, text, message):
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(SpeaqError, match=message):
        SceneGraph.from_json(path)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(SpeaqError, match=r"nothing.json: cannot read this scene graph"):
        SceneGraph.from_json(tmp_path / "nothing.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match=r"graph.json: cannot write"):
        small_graph().to_json(tmp_path / "file" / "graph.json")


def test_networkx_is_optional(monkeypatch):
    real_import = builtins.__import__

    def without_networkx(name, *args, **kwargs):
        if name == "networkx":
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_networkx)
    with pytest.raises(SpeaqError, match=r"pip install 'speaq\[graph\]'"):
        small_graph().to_networkx()


def test_ground_truth_as_a_graph():
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
