from pathlib import Path

import numpy as np
import pytest

from scene_graphs import VOCABULARY, small_graph
from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation


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
        ({"predicates": [0, 1, 2]}, "predicates must be in 0..1, found 2"),
        ({"labels": [0, 0.5, 1]}, "expected whole numbers as labels, found array"),
        ({"scores": None}, "scores has 0 rows, expected 3"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(SpeaqError, match=message):
        small_graph(**changes)


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
