import numpy as np

from scene_graphs import small_graph
from speaq.graph.colours import PALETTE
from speaq.structures import Vocabulary
from speaq.visualize.style import style_graph
from speaq.visualize.text import shortened


def crowd(labels):
    """A graph of entities without relations."""
    count = len(labels)
    return small_graph(
        boxes=np.zeros((count, 4)),
        labels=labels,
        scores=np.ones(count),
        pairs=[],
        predicates=[],
        predicate_probs=np.zeros((0, 3)),
        vocabulary=Vocabulary(("person", "umbrella " * 8), ("on", "near")),
    )


def test_style_graph_numbers_names_that_repeat():
    nodes = style_graph(crowd([0, 1] * 20 + [0])).nodes
    assert [node.number for node in nodes if node.name == "person"] == [f" {i}" for i in range(1, 22)]
    assert [node.colour for node in nodes[:12]] == list(PALETTE)
    assert nodes[3].label(shortened, 12) == "umbrella… 2"
    (alone,) = style_graph(crowd([1])).nodes
    assert alone.name + alone.number == ("umbrella " * 8).strip()


def test_style_graph_connects_edges_and_nodes():
    styled = style_graph(small_graph())
    assert [(edge.subject.name, edge.predicate, edge.object.name) for edge in styled.edges] == [
        ("cup", "on", "table"),
        ("person", "near", "table"),
        ("cup", "near", "person"),
    ]
    assert styled.edges[1].object is styled.nodes[1]
    assert styled.scored
    assert not style_graph(crowd([0])).scored
