"""What is drawn of a graph, and how it appears on the photo and in the diagram alike.

E: entities, M: relations.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from speaq.graph.colours import GREEN, GREY, PALETTE, VERMILLION, Colour, line_colour
from speaq.graph.data import GraphData
from speaq.visualize.text import clean


@dataclass(frozen=True, slots=True)
class Look:
    """Names and colours.

    Attributes:
        names: of the E entities, with a number where a name occurs more than once: cup, person 1, person 2.
        numbers: these ends of the E names, " 1" or nothing.
        colours: of the E entities.
        predicates: names of the M predicates.
        lines: colours of the M relations, relatives of those of their subjects.
    """

    names: list[str]
    numbers: list[str]
    colours: list[Colour]
    predicates: list[str]
    lines: list[Colour]

    @classmethod
    def of(cls, graph: GraphData) -> Self:
        """The look of all entities and relations of a graph."""
        names = [clean(entity.name) for entity in graph.entities]
        total, seen, numbers = Counter(names), Counter[str](), []
        for name in names:
            seen[name] += 1
            numbers.append(f" {seen[name]}" if total[name] > 1 else "")
        colours = [PALETTE[index % len(PALETTE)] for index in range(len(names))]
        return cls(
            names=[name + number for name, number in zip(names, numbers, strict=True)],
            numbers=numbers,
            colours=colours,
            predicates=[clean(graph.predicate_name(predicate)) for predicate in graph.predicates.tolist()],
            lines=[line_colour(colours[subject]) for subject in graph.pairs[:, 0].tolist()],
        )

    def fitted(self, index: int, fit: Callable[[str, int], str], length: int) -> str:
        """The name of an entity as ``fit(name, length)`` makes it; its number is kept whole."""
        number = self.numbers[index]
        return fit(self.names[index].removesuffix(number), length - len(number)) + number


@dataclass(frozen=True, slots=True)
class Mark:
    """What a relation turned out to be: a sign before its name, and the look of its line."""

    sign: str
    colour: Colour
    dashed: bool


HIT = Mark("✓", GREEN, dashed=False)
MISS = Mark("✗", VERMILLION, dashed=True)
EXTRA = Mark("", GREY, dashed=True)


@dataclass(frozen=True, slots=True)
class Part:
    """A graph as a part of what a look is of: ground truth and prediction have one look, for comparison.

    Attributes:
        graph: whose boxes and scores are drawn.
        entities: (E,) index of each of its entities in the look.
        relations: (M,) index of each of its relations in the look.
        alone: (E,) bool, entities that the other graph does not have.
        marks: of its M relations, or of none.
    """

    graph: GraphData
    entities: np.ndarray
    relations: np.ndarray
    alone: np.ndarray
    marks: tuple[Mark, ...] = ()

    @classmethod
    def whole(cls, graph: GraphData) -> Self:
        """The part that is all there is."""
        count = len(graph.boxes)
        return cls(graph, np.arange(count), np.arange(len(graph)), np.zeros(count, bool))


def is_scored(graph: GraphData) -> bool:
    """Whether a graph has scores to show; ground truth has none."""
    return bool((graph.scores < 1).any() or (graph.triplet_scores < 1).any())


def strength(score: float) -> float:
    """How strong something of this score looks, in 0..1; the root, as most triplets have low scores."""
    return min(max(score, 0.0), 1.0) ** 0.5
