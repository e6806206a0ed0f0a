"""Relations of boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.tools.scenes.kinds import KINDS, SUBJECT_ORDER
from speaq.tools.scenes.relations import UnclearError, find_relations, pair_relation

BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.mark.parametrize(
    ("first", "a", "second", "b", "expected"),
    [
        ("cup", (0.3, 0.3, 0.5, 0.5), "table", (0.2, 0.47, 0.7, 0.8), ("on", False)),
        ("cat", (0.3, 0.58, 0.5, 0.79), "table", (0.2, 0.47, 0.7, 0.8), ("under", False)),
        ("person", (0.1, 0.4, 0.3, 0.85), "house", (0.4, 0.45, 0.9, 0.85), ("left of", False)),
        ("ball", (0.75, 0.65, 0.95, 0.85), "basket", (0.3, 0.6, 0.65, 0.85), ("right of", False)),
        ("cat", (0.3, 0.62, 0.5, 0.85), "kite", (0.3, 0.2, 0.5, 0.5), ("above", True)),
        ("cat", (0.3, 0.7, 0.5, 0.92), "tree", (0.2, 0.3, 0.6, 0.85), ("in front of", False)),
        ("cat", (0.15, 0.6, 0.3, 0.79), "tree", (0.2, 0.3, 0.6, 0.85), ("behind", False)),
        ("cat", (0.3, 0.38, 0.5, 0.55), "tree", (0.2, 0.3, 0.6, 0.85), ("in", False)),
        ("person", (0.1, 0.4, 0.4, 0.85), "kite", (0.3, 0.3, 0.5, 0.56), ("holding", False)),
        ("person", (0.1, 0.4, 0.4, 0.85), "hat", (0.15, 0.3, 0.35, 0.42), ("wearing", False)),
        ("person", (0.1, 0.4, 0.4, 0.85), "cup", (0.15, 0.2, 0.35, 0.42), ("carrying", False)),
        ("person", (0.2, 0.3, 0.4, 0.7), "horse", (0.1, 0.42, 0.6, 0.85), ("riding", False)),
        ("cat", (0.1, 0.2, 0.3, 0.4), "house", (0.6, 0.45, 0.9, 0.85), None),
        ("cat", (0.0, 0.65, 0.2, 0.85), "house", (0.5, 0.45, 0.9, 0.85), None),
    ],
)
def test_pair_relation_gives_the_expected_predicate(first, a, second, b, expected):
    assert pair_relation(BY_NAME[first], np.array(a), BY_NAME[second], np.array(b)) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((0.1, 0.6, 0.3, 0.85), (0.32, 0.45, 0.9, 0.85)),  # nearly touching
        ((0.1, 0.6, 0.3, 0.73), (0.4, 0.45, 0.9, 0.85)),  # nearly level
        ((0.0, 0.6, 0.2, 0.85), (0.42, 0.45, 0.9, 0.85)),  # nearly a neighbour
        ((0.4, 0.6, 0.6, 0.86), (0.3, 0.45, 0.9, 0.85)),  # neither before nor behind
    ],
)
def test_pair_relation_raises_within_the_margins(a, b):
    with pytest.raises(UnclearError):
        pair_relation(BY_NAME["cat"], np.array(a), BY_NAME["house"], np.array(b))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_pair_relation_of_a_mirrored_pair_swaps_left_and_right(data):
    kinds = sorted(
        data.draw(st.lists(st.sampled_from(KINDS), min_size=2, max_size=2, unique=True)),
        key=lambda kind: SUBJECT_ORDER.index(kind.name),
    )
    # In 128ths, which a mirror keeps exactly.
    corner, side = st.integers(0, 78), st.integers(20, 64)
    boxes = [np.array(data.draw(st.tuples(corner, corner, side, side))) / 128 for _ in kinds]
    boxes = [np.concatenate((box[:2], box[:2] + box[2:])) for box in boxes]
    mirrored = [np.array((2 - box[2], box[1], 2 - box[0], box[3])) for box in boxes]

    def found(a, b):
        try:
            return pair_relation(kinds[0], a, kinds[1], b)
        except UnclearError:
            return "unclear"

    swap = {"left of": "right of", "right of": "left of"}
    relation = found(*boxes)
    if isinstance(relation, tuple):
        relation = (swap.get(relation[0], relation[0]), relation[1])
    assert found(*mirrored) == relation


def test_find_relations_of_a_whole_scene():
    kinds = [BY_NAME[name] for name in ("table", "cup", "tree", "kite")]
    boxes = np.array(
        [(0.05, 0.55, 0.5, 0.87), (0.2, 0.38, 0.4, 0.58), (0.58, 0.3, 0.98, 0.86), (0.22, 0.02, 0.42, 0.28)]
    )
    assert find_relations(kinds, boxes) == [(1, "on", 0), (0, "left of", 2), (3, "above", 1)]
