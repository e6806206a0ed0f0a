from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.visualize.graph_layout import layout_graph


def laid_out(pairs, count=None, heights=None, aspect=1.0, nodes=(80, 30), labels=(50, 20)):
    pairs = np.array(pairs, np.int64).reshape(-1, 2)
    count = pairs.max() + 1 if count is None else count
    heights = np.arange(count) if heights is None else np.array(heights)
    sizes = np.tile(np.array(nodes, float), (count, 1)), np.tile(np.array(labels, float), (len(pairs), 1))
    return layout_graph(*sizes, pairs, heights, aspect), *sizes


def boxes(centres, sizes):
    return np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)


def overlaps(a, b):
    return (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) > 1e-6).all()


def test_a_chain_reads_from_left_to_right():
    graph, _, _ = laid_out([[0, 1], [1, 2]])
    assert np.diff(graph.nodes[:, 0]).min() > 100
    np.testing.assert_allclose(graph.nodes[:, 1], 15)
    np.testing.assert_allclose(graph.labels[:, 0], (graph.nodes[1:, 0] + graph.nodes[:-1, 0]) / 2)
    assert graph.routes[0][0] == pytest.approx((80, 15))
    assert graph.routes[0][-1] == pytest.approx((graph.nodes[1, 0] - 40, 15))
    assert (graph.width, graph.height) == pytest.approx((graph.nodes[2, 0] + 40, 30))


def test_an_edge_that_would_close_a_cycle_points_to_the_left():
    graph, _, _ = laid_out([[0, 1], [1, 0]])
    assert graph.nodes[0, 0] < graph.nodes[1, 0]
    assert graph.routes[1][0][0] == pytest.approx(graph.nodes[1, 0] - 40)
    assert graph.routes[1][-1][0] == pytest.approx(graph.nodes[0, 0] + 40)
    assert graph.labels[0, 1] < graph.labels[1, 1]


def test_a_self_loop_starts_and_ends_at_its_node():
    graph, _, _ = laid_out([[0, 0]])
    assert graph.routes[0][0][0] == graph.routes[0][-1][0] == 80
    assert graph.routes[0][0][1] < graph.routes[0][-1][1]
    assert graph.labels[0, 0] > 100


def test_preferred_heights_decide_where_edges_leave_a_choice():
    graph, _, _ = laid_out([[0, 1], [0, 2], [0, 3]], heights=[0, 30, 10, 20])
    assert graph.nodes[:, 1].argsort(kind="stable").tolist() == [2, 0, 3, 1]


def test_unconnected_parts_are_packed_by_aspect():
    wide, _, _ = laid_out([], count=12, aspect=4)
    narrow, _, _ = laid_out([], count=12, aspect=0.5)
    assert wide.width / wide.height > 2.5 > 0.8 > narrow.width / narrow.height
    assert len(set(wide.nodes[:, 1])) < len(set(narrow.nodes[:, 1]))


def test_empty_graph():
    graph, _, _ = laid_out([], count=0)
    assert (graph.width, graph.height, graph.nodes.shape, graph.labels.shape) == (0, 0, (0, 2), (0, 2))


def test_stretched_moves_nodes_without_resizing_them():
    graph, nodes, _ = laid_out([[0, 1], [0, 2]])
    tall = graph.stretched(1.5)
    np.testing.assert_allclose(tall.nodes, graph.nodes * (1, 1.5))
    assert tall.height == graph.height * 1.5
    assert tall.routes[0][0] == pytest.approx((graph.routes[0][0][0], graph.routes[0][0][1] * 1.5))
    assert nodes[0].tolist() == [80, 30]


@given(
    seed=st.integers(0, 10**6), count=st.integers(1, 25), edges=st.integers(0, 40), aspect=st.floats(0.3, 3)
)
@settings(max_examples=40, deadline=None)
def test_nodes_labels_and_edges_do_not_overlap(seed, count, edges, aspect):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, count, (edges, 2))
    nodes, labels = rng.uniform((20, 20), (200, 60), (count, 2)), rng.uniform((20, 15), (150, 40), (edges, 2))
    graph = layout_graph(nodes, labels, pairs, rng.random(count), aspect)
    everything = np.concatenate((boxes(graph.nodes, nodes), boxes(graph.labels, labels)))
    assert everything.min() >= -1e-6
    assert (everything.max(axis=0)[2:] <= (graph.width + 1e-6, graph.height + 1e-6)).all()
    for a, b in combinations(range(len(everything)), 2):
        assert not overlaps(everything[a], everything[b])
    for edge, route in enumerate(graph.routes):
        # The level stretches run beside all nodes, and through no label but the edge's own.
        assert len(route) % 2 == 0
        others = np.delete(everything, count + edge, axis=0)
        for (x1, y1), (x2, y2) in zip(route[::2], route[1::2], strict=True):
            assert y1 == y2
            line = np.array([min(x1, x2), y1 - 0.01, max(x1, x2), y1 + 0.01])
            assert not any(overlaps(line, other) for other in others)
        for end, node in ((route[0], pairs[edge, 0]), (route[-1], pairs[edge, 1])):
            assert abs(abs(end[0] - graph.nodes[node, 0]) - nodes[node, 0] / 2) < 1e-6
            assert abs(end[1] - graph.nodes[node, 1]) < nodes[node, 1] / 2
    first, second = (layout_graph(nodes, labels, pairs, np.zeros(count), aspect) for _ in range(2))
    for one, other in zip(first.routes, second.routes, strict=True):
        np.testing.assert_array_equal(one, other)
