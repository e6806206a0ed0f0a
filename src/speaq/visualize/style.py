"""Names, colours and marks of entities and relations, the same on the photo and in the diagram.

Shape letters: see `speaq.structures`.
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
class Style:
    """Names and colours of a graph.

    Attributes:
        names: names of the E entities, numbered if a name occurs more than once: cup, person 1, person 2.
        numbers: the numbers in the E names, such as " 1", or "".
        colours: colours of the E entities.
        predicates: names of the M predicates.
        line_colours: colours of the M relations, darker versions of the colours of their subjects.
    """

    names: list[str]
    numbers: list[str]
    colours: list[Colour]
    predicates: list[str]
    line_colours: list[Colour]

    @classmethod
    def of(cls, graph: GraphData) -> Self:
        """The style of a graph."""
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
            line_colours=[line_colour(colours[subject]) for subject in graph.pairs[:, 0].tolist()],
        )

    def fitted_name(self, index: int, fit: Callable[[str, int], str], length: int) -> str:
        """The name of an entity, fitted by ``fit(name, length)`` without cutting its number."""
        number = self.numbers[index]
        return fit(self.names[index].removesuffix(number), length - len(number)) + number


@dataclass(frozen=True, slots=True)
class Mark:
    """How a relation is marked in a comparison: a sign before its name, and the style of its line."""

    sign: str
    colour: Colour
    dashed: bool


HIT = Mark("✓", GREEN, dashed=False)
MISS = Mark("✗", VERMILLION, dashed=True)
EXTRA = Mark("", GREY, dashed=True)


@dataclass(frozen=True, slots=True)
class Part:
    """A graph as a part of the styled graph: ground truth and prediction share a style when they are
    compared.

    Attributes:
        graph: the graph whose boxes and scores are drawn.
        entities: (E,) index of each of its entities in the style.
        relations: (M,) index of each of its relations in the style.
        unmatched: (E,) bool, entities that the other graph does not have.
        marks: marks of its M relations, or empty.
    """

    graph: GraphData
    entities: np.ndarray
    relations: np.ndarray
    unmatched: np.ndarray
    marks: tuple[Mark, ...] = ()

    @classmethod
    def whole(cls, graph: GraphData) -> Self:
        """All of the styled graph."""
        count = len(graph.boxes)
        return cls(graph, np.arange(count), np.arange(len(graph)), np.zeros(count, bool))


def has_scores(graph: GraphData) -> bool:
    """Whether a score is below 1; in ground truth, none is."""
    return bool((graph.scores < 1).any() or (graph.triplet_scores < 1).any())


def emphasis(score: float) -> float:
    """Visual weight in 0..1: the square root of the score, since most triplet scores are low."""
    return min(max(score, 0.0), 1.0) ** 0.5
