from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.canvas import Canvas
from speaq.visualize.label_placement import distance
from speaq.visualize.overlay import TEXT_SIZES, Overlay
from speaq.visualize.style import style_graph

VOCABULARY = Vocabulary(("person", "table", "umbrella " * 8), ("on", "standing in front of"))


def random_graph(seed, entities, relations, size=(480, 640)):
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(-0.1, 1.1, (entities, 2, 2)), axis=1)
    return SceneGraph(
        boxes=(corners * size[::-1]).reshape(-1, 4),
        labels=rng.integers(0, 3, entities),
        scores=rng.random(entities),
        pairs=rng.integers(0, entities, (relations, 2)),
        predicates=rng.integers(0, 2, relations),
        predicate_probs=rng.dirichlet((1, 1, 1), relations),
        image_size=size,
        vocabulary=VOCABULARY,
    )


def overlay(graph, size, arrows=False):
    return Overlay(style_graph(graph), size, arrows=arrows)


def overlaps(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-6


@given(
    seed=st.integers(0, 10**6),
    entities=st.integers(1, 60),
    relations=st.integers(0, 20),
    size=st.sampled_from([(800, 600), (800, 800), (400, 800), (1600, 160), (220, 1600)]),
)
@settings(max_examples=15, deadline=None)
def test_labels_do_not_overlap_and_stay_inside(seed, entities, relations, size):
    drawn = overlay(random_graph(seed, entities, relations), size, arrows=entities < 15)
    labels = [*drawn.tags.values(), *drawn.labels.values()]
    for x1, y1, x2, y2 in labels:
        assert 0 <= x1 < x2 <= size[0] + 1e-6
        assert 0 <= y1 < y2 <= size[1] + 1e-6
    assert not any(overlaps(a, b) for a, b in combinations(labels, 2))
    assert drawn.num_hidden == len(drawn.boxes) + len(drawn.arcs) - len(labels)


def test_sixty_names_have_room_on_a_photo():
    for seed in range(3):
        drawn = overlay(random_graph(seed, 60, 0), (800, 600))
        assert drawn.num_hidden == 0
        away = [distance(tag, drawn.boxes[index]) for index, tag in drawn.tags.items()]
        assert np.mean(np.array(away) < 1) > 0.9


def test_text_size_depends_on_the_room():
    assert overlay(random_graph(0, 3, 0), (800, 600)).text_size == TEXT_SIZES[0]
    crowded = random_graph(0, 30, 0)
    crowded.boxes[:] = [300, 200, 320, 215]
    drawn = overlay(crowded, (800, 600))
    assert drawn.text_size < TEXT_SIZES[1]
    assert drawn.num_hidden == 0
    tiny = overlay(crowded, (100, 30))
    assert tiny.num_hidden > 20


def test_boxes_are_scaled_and_stay_inside():
    graph = random_graph(0, 2, 0, size=(100, 200))
    graph.boxes[:] = [[-20, 10, 300, 50], [150, 90, 150, 90]]
    boxes = overlay(graph, (800, 400)).boxes
    assert boxes[0] == (2, 40, 798, 200)
    assert boxes[1] == (600, 360, 600, 360)


def test_relations_of_one_pair_share_an_arrow():
    graph = random_graph(0, 3, 0)
    graph = replace(
        graph,
        pairs=[[0, 1], [0, 1], [1, 0], [2, 2]],
        predicates=[0, 1, 0, 0],
        predicate_probs=np.full((4, 3), 0.3),
        queries=np.arange(4),
        pair_scores=np.full((4, 2), 0.9),
    )
    drawn = overlay(graph, (800, 600), arrows=True)
    assert list(drawn.labels) == [(0, 1), (1, 0), (2, 2)]
    drawn.draw(Canvas(800, 600).panel(0, 0, 800, 600))
