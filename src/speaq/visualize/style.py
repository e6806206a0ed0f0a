"""A scene graph as it is drawn: names, colours and marks, the same on the photo and in the diagram."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from speaq.graph.colours import GREEN, GREY, PALETTE, VERMILLION, Box, Colour, line_colour
from speaq.graph.data import GraphData
from speaq.visualize.text import clean


@dataclass(frozen=True, slots=True)
class Mark:
    """How a relation is marked: a sign before its name, and the style of its line."""

    sign: str
    colour: Colour
    dashed: bool


HIT = Mark("✓", GREEN, dashed=False)
MISS = Mark("✗", VERMILLION, dashed=True)
EXTRA = Mark("", GREY, dashed=True)


@dataclass(frozen=True, slots=True)
class Node:
    """An entity, whose outline is dashed if the graph that it is compared with lacks it.

    ``number`` is the end of its name, such as " 1", if several entities have the name, and "" otherwise.
    ``index`` is its place in the diagram.
    """

    index: int
    name: str
    number: str
    colour: Colour
    box: Box
    score: float
    dashed: bool = False

    def label(self, fit: Callable[[str, int], str], length: int) -> str:
        """Its name as fitted by ``fit(name, length)``, and its number, which is never cut."""
        return fit(self.name, length - len(self.number)) + self.number


@dataclass(frozen=True, slots=True)
class Edge:
    """A relation; ``index`` is its place in the diagram."""

    index: int
    subject: Node
    object: Node
    predicate: str
    score: float
    mark: Mark


@dataclass(frozen=True, slots=True)
class StyledGraph:
    """The entities and relations to draw, on an image of this height and width; with scores, or without."""

    nodes: list[Node]
    edges: list[Edge]
    image_size: tuple[int, int]
    scored: bool


def style_graph(graph: GraphData) -> StyledGraph:
    """Choose names and colours; lines are darker versions of the colours of their subjects."""
    names = [clean(entity.name) for entity in graph.entities]
    total, seen = Counter(names), Counter[str]()
    nodes, edges = [], []
    for index, (name, entity) in enumerate(zip(names, graph.entities, strict=True)):
        seen[name] += 1
        number = f" {seen[name]}" if total[name] > 1 else ""
        nodes.append(Node(index, name, number, PALETTE[index % len(PALETTE)], entity.box, entity.score))
    for index, triplet in enumerate(graph.triplets):
        subject, object_ = nodes[triplet.subject_index], nodes[triplet.object_index]
        mark = Mark("", line_colour(subject.colour), dashed=False)
        edges.append(Edge(index, subject, object_, clean(triplet.predicate), triplet.score, mark))
    return StyledGraph(nodes, edges, graph.image_size, has_scores(graph))


def has_scores(graph: GraphData) -> bool:
    """Whether a score is below 1; in ground truth, none is."""
    return bool((graph.scores < 1).any() or (graph.triplet_scores < 1).any())


def emphasis(score: float) -> float:
    """Visual weight in 0..1: the square root of the score, since most triplet scores are low."""
    return min(max(score, 0.0), 1.0) ** 0.5
