import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.comparison import align
from speaq.visualize.style import EXTRA, HIT, MISS


def make_graph(boxes, labels, relations, num_predicates=2):
    pairs, predicates = [row[:2] for row in relations], [row[2] for row in relations]
    return SceneGraph(
        boxes=boxes,
        labels=labels,
        scores=np.full(len(labels), 0.9),
        pairs=pairs,
        predicates=predicates,
        predicate_probs=np.full((len(pairs), num_predicates + 1), 0.3),
        image_size=(100, 100),
        vocabulary=Vocabulary(("person", "cup"), ("on", "near")[:num_predicates]),
    )


def indices(items):
    return [item.index for item in items]


def marks(part):
    return [edge.mark for edge in part.edges]


def dashed(part):
    return [node.dashed for node in part.nodes]


BOXES = [[0, 0, 20, 20], [50, 50, 90, 90], [0, 60, 20, 80]]
TRUTH = make_graph(BOXES, [0, 1, 0], [(0, 1, 0), (1, 2, 1), (2, 0, 1)])


def test_align_merges_common_entities_and_relations():
    # Another order; the first person is elsewhere, and the last relation has another predicate.
    prediction = make_graph(
        [[52, 50, 92, 90], [0, 62, 20, 82], [60, 0, 80, 20]], [1, 0, 0], [(0, 1, 1), (2, 0, 0), (1, 0, 0)]
    )
    union, left, right = align(TRUTH, prediction)
    assert len(union.nodes) == 4
    assert union.nodes[3].box == (60, 0, 80, 20)
    assert indices(left.nodes) == indices(left.edges) == [0, 1, 2]
    assert indices(right.nodes) == [1, 2, 3]
    assert indices(right.edges) == [1, 3, 4]
    pairs = [(edge.subject.index, edge.object.index) for edge in union.edges]
    assert pairs == [(0, 1), (1, 2), (2, 0), (3, 1), (2, 1)]
    assert marks(left) == [MISS, HIT, MISS]
    assert marks(right) == [HIT, EXTRA, EXTRA]
    assert dashed(left) == [True, False, False]
    assert dashed(right) == [False, False, True]
    assert [node.name + node.number for node in union.nodes] == ["person 1", "cup", "person 2", "person 3"]
    # Each part has its own boxes and scores.
    assert [node.box for node in right.nodes] == [tuple(box) for box in prediction.boxes.tolist()]
    assert right.edges[0].subject is right.nodes[0]


def test_align_matches_a_graph_with_itself():
    union, left, right = align(TRUTH, TRUTH)
    assert len(union.edges) == 3
    assert marks(left) == marks(right) == [HIT] * 3
    assert not any(dashed(left) + dashed(right))
    assert indices(right.edges) == [0, 1, 2]


def test_a_hit_needs_both_boxes_and_all_three_labels():
    for change in ({"boxes": [[0, 0, 9.9, 20], *BOXES[1:]]}, {"labels": [1, 1, 0]}):
        prediction = make_graph(**{"boxes": BOXES, "labels": [0, 1, 0], "relations": [(0, 1, 0)]} | change)
        assert marks(align(TRUTH, prediction)[2]) == [EXTRA]
    prediction = make_graph([[0, 0, 10, 20], *BOXES[1:]], [0, 1, 0], [(0, 1, 0), (0, 1, 1)])
    assert marks(align(TRUTH, prediction)[2]) == [HIT, EXTRA]


def test_the_better_of_two_predicted_entities_is_merged():
    prediction = make_graph([BOXES[1], [0, 0, 20, 16], BOXES[0]], [1, 0, 0], [(1, 0, 0), (2, 0, 0)])
    _, left, right = align(TRUTH, prediction)
    assert indices(right.nodes) == [1, 3, 0]  # the better box is the entity
    assert marks(right) == [HIT, HIT]
    assert indices(right.edges) == [3, 0]
    assert marks(left) == [HIT, MISS, MISS]


def test_align_with_an_empty_graph():
    empty = TRUTH.filter(top=0)
    for truth, prediction, expected in ((TRUTH, empty, ([MISS] * 3, [])), (empty, TRUTH, ([], [EXTRA] * 3))):
        union, left, right = align(truth, prediction)
        assert (len(union.edges), marks(left), marks(right)) == (3, *expected)


def test_align_refuses_other_numbers_of_classes():
    with pytest.raises(SpeaqError, match="2 predicate classes and the prediction 1"):
        align(TRUTH, make_graph(BOXES, [0, 1, 0], [(0, 1, 0)], num_predicates=1))
