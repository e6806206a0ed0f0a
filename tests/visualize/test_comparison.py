import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.comparison import align
from speaq.visualize.style import EXTRA, HIT, MISS, Style


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


BOXES = [[0, 0, 20, 20], [50, 50, 90, 90], [0, 60, 20, 80]]
TRUTH = make_graph(BOXES, [0, 1, 0], [(0, 1, 0), (1, 2, 1), (2, 0, 1)])


def test_align_merges_common_entities_and_relations():
    # Another order; the first person is elsewhere, and the last relation has another predicate.
    prediction = make_graph(
        [[52, 50, 92, 90], [0, 62, 20, 82], [60, 0, 80, 20]], [1, 0, 0], [(0, 1, 1), (2, 0, 0), (1, 0, 0)]
    )
    union, left, right = align(TRUTH, prediction)
    assert len(union.boxes) == 4
    assert union.boxes[3].tolist() == [60, 0, 80, 20]
    assert right.entities.tolist() == [1, 2, 3]
    assert right.relations.tolist() == [1, 3, 4]
    assert union.pairs.tolist() == [[0, 1], [1, 2], [2, 0], [3, 1], [2, 1]]
    assert left.marks == (MISS, HIT, MISS)
    assert right.marks == (HIT, EXTRA, EXTRA)
    assert left.unmatched.tolist() == [True, False, False]
    assert right.unmatched.tolist() == [False, False, True]
    assert Style.of(union).names == ["person 1", "cup", "person 2", "person 3"]


def test_align_matches_a_graph_with_itself():
    union, left, right = align(TRUTH, TRUTH)
    assert len(union) == 3
    assert left.marks == right.marks == (HIT,) * 3
    assert not left.unmatched.any() and not right.unmatched.any()
    assert right.relations.tolist() == [0, 1, 2]


def test_a_hit_needs_both_boxes_and_all_three_labels():
    for change in ({"boxes": [[0, 0, 9.9, 20], *BOXES[1:]]}, {"labels": [1, 1, 0]}):
        prediction = make_graph(**{"boxes": BOXES, "labels": [0, 1, 0], "relations": [(0, 1, 0)]} | change)
        assert align(TRUTH, prediction)[2].marks == (EXTRA,)
    prediction = make_graph([[0, 0, 10, 20], *BOXES[1:]], [0, 1, 0], [(0, 1, 0), (0, 1, 1)])
    assert align(TRUTH, prediction)[2].marks == (HIT, EXTRA)


def test_the_better_of_two_predicted_entities_is_merged():
    prediction = make_graph([BOXES[1], [0, 0, 20, 16], BOXES[0]], [1, 0, 0], [(1, 0, 0), (2, 0, 0)])
    _, left, right = align(TRUTH, prediction)
    assert right.entities.tolist() == [1, 3, 0]  # the better box is the entity
    assert right.marks == (HIT, HIT)
    assert right.relations.tolist() == [3, 0]
    assert left.marks == (HIT, MISS, MISS)


def test_align_with_an_empty_graph():
    empty = TRUTH.filter(top=0)
    union, left, right = align(TRUTH, empty)
    assert (len(union), left.marks, right.marks) == (3, (MISS,) * 3, ())
    union, left, right = align(empty, TRUTH)
    assert (len(union), left.marks, right.marks) == (3, (), (EXTRA,) * 3)


def test_align_refuses_other_numbers_of_classes():
    with pytest.raises(SpeaqError, match="2 predicate classes and the prediction 1"):
        align(TRUTH, make_graph(BOXES, [0, 1, 0], [(0, 1, 0)], num_predicates=1))
