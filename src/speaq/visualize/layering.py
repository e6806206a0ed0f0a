"""Nodes and edges in columns, so that a graph reads from left to right with few crossings.

The steps are those of Sugiyama, Tagawa and Toda (1981): a direction for every edge, a layer for every node,
an order within every column. Nodes stand in the even columns and edge labels in the odd ones; an edge that
passes a column has a placeholder there, so that it never crosses a node or a label.

Elements are indexed: the E nodes first, then the M labels, then the placeholders. Shape letters: see
`speaq.structures`.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
from scipy.optimize import linprog

SWEEPS = 16


@dataclass(frozen=True, slots=True)
class Columns:
    """Elements by column, and how edges connect them.

    Attributes:
        members: the elements of each column, from top to bottom.
        chains: elements of each edge from left to right, both nodes included; for an edge from a node to
            itself, the node and the label.
        flipped: (M,) bool, edges whose subject is on the right.
    """

    members: list[list[int]]
    chains: list[list[int]]
    flipped: np.ndarray

    @property
    def links(self) -> list[tuple[int, int]]:
        """Pairs of consecutive elements of an edge, the left one first."""
        return [link for chain in self.chains for link in pairwise(chain)]


def assign_columns(pairs: np.ndarray, heights: np.ndarray, depth: int) -> Columns:
    """Assign the elements of a connected graph to columns.

    Args:
        pairs: (M, 2) subject and object node of each edge, the most important edges first.
        heights: (E,) preferred vertical order of the nodes.
        depth: preferred number of edges of the longest path from left to right.
    """
    count = len(heights)
    flipped, depth = _flip_edges(pairs, count, depth)
    layers = _assign_layers(np.where(flipped[:, None], pairs[:, ::-1], pairs), count, depth)
    members: list[list[int]] = [[] for _ in range(2 * int(layers.max(initial=0)) + 2)]
    for node, layer in enumerate(layers):
        members[2 * layer].append(node)
    chains: list[list[int]] = []
    preferred = [*heights, *(float(heights[pair].mean()) for pair in pairs)]
    for edge, (subject, object_) in enumerate(pairs.tolist()):
        first, last = (object_, subject) if flipped[edge] else (subject, object_)
        passed = range(2 * layers[first] + 1, max(2 * layers[last], 2 * layers[first] + 2))
        chain = [first]
        for column in passed:
            if column == passed[len(passed) // 2] | 1:  # the odd column in the middle
                element = count + edge
            else:
                element = len(preferred)
                preferred.append(preferred[count + edge])
            members[column].append(element)
            chain.append(element)
        chains.append(chain if first == last else [*chain, last])
    if not members[-1]:
        members.pop()
    for column in members:
        column.sort(key=lambda element: preferred[element])
    links = Columns(members, chains, flipped).links
    return Columns(_reduce_crossings(members, links), chains, flipped)


def _flip_edges(pairs: np.ndarray, count: int, depth: int) -> tuple[np.ndarray, int]:
    """Choose edges to reverse: without a cycle and, if possible, without a path of over ``depth`` edges.

    Returns:
        (M,) bool, and the length of the longest path.
    """
    longest = np.full((count, count), -np.inf)  # (E, E) length of the longest path from one node to another
    np.fill_diagonal(longest, 0)
    flipped = np.zeros(len(pairs), bool)
    for edge, (subject, object_) in enumerate(pairs):
        if subject == object_:
            continue
        forward, backward = (
            np.maximum(longest, longest[:, a, None] + 1 + longest[b])
            for a, b in ((subject, object_), (object_, subject))
        )
        if longest[object_, subject] > 0:
            flipped[edge] = True
        elif not longest[subject, object_] > 0:
            flipped[edge] = forward.max() > max(depth, backward.max())
        longest = backward if flipped[edge] else forward
    return flipped, int(longest.max())


def _assign_layers(pairs: np.ndarray, count: int, depth: int) -> np.ndarray:
    """(E,) layers from 0 to ``depth``: every edge leads to a higher one; the total length is minimal."""
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    if not len(pairs):
        return np.zeros(count, np.int64)
    steps = np.zeros((len(pairs), count))
    steps[np.arange(len(pairs)), pairs[:, 0]] = 1
    steps[np.arange(len(pairs)), pairs[:, 1]] = -1
    # The matrix is totally unimodular: the solution is integral.
    lengths = -steps.sum(axis=0)
    layers = linprog(lengths, A_ub=steps, b_ub=-np.ones(len(pairs)), bounds=(0, depth), method="highs-ds").x
    return np.rint(layers - layers.min()).astype(np.int64)


def _reduce_crossings(members: list[list[int]], links: list[tuple[int, int]]) -> list[list[int]]:
    """Sort the members of the columns so that few links cross."""
    before: dict[int, list[int]] = {element: [] for column in members for element in column}
    after: dict[int, list[int]] = {element: [] for element in before}
    for left, right in links:
        before[right].append(left)
        after[left].append(right)
    best, fewest = members, _count_crossings(members, after)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rightwards = sweep % 2 == 0
        members = [list(column) for column in members]
        for column in members if rightwards else reversed(members):
            rank = _ranks(members)
            neighbours = before if rightwards else after
            column.sort(key=lambda e: fmean([rank[other] for other in neighbours[e]] or [rank[e]]))
        for column in members:
            _swap_neighbours(column, _ranks(members), before, after)
        crossings = _count_crossings(members, after)
        if crossings < fewest:
            best, fewest = members, crossings
    return best


def _swap_neighbours(
    column: list[int], rank: dict[int, int], before: dict[int, list[int]], after: dict[int, list[int]]
) -> None:
    """Swap neighbours in a column as long as that removes crossings."""
    changed = True
    while changed:
        changed = False
        for i in range(len(column) - 1):
            upper, lower = column[i], column[i + 1]
            current = swapped = 0
            for neighbours in (before, after):
                for a in neighbours[upper]:
                    for b in neighbours[lower]:
                        current += rank[a] > rank[b]
                        swapped += rank[a] < rank[b]
            if swapped < current:
                column[i], column[i + 1] = lower, upper
                changed = True


def _count_crossings(members: list[list[int]], after: dict[int, list[int]]) -> int:
    rank, total = _ranks(members), 0
    for column in members:
        ends = np.array([rank[other] for element in column for other in sorted(after[element], key=rank.get)])  # pyright: ignore
        starts = np.array([rank[element] for element in column for _ in after[element]])
        total += int(((starts[:, None] < starts[None]) & (ends[:, None] > ends[None])).sum())
    return total


def _ranks(members: list[list[int]]) -> dict[int, int]:
    return {element: rank for column in members for rank, element in enumerate(column)}
