"""Nodes and edges in columns, so that a graph reads from left to right (Sugiyama, Tagawa and Toda 1981).

Nodes stand in the even columns and edge labels in the odd ones; an edge that passes a column has a
placeholder there, so that it never crosses a node or a label. Elements are indexed: the E nodes first, then
the M labels, then the placeholders. Shape letters: see `speaq.structures`.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
from scipy.optimize import linprog

SWEEPS = 16
Neighbours = dict[int, list[int]]


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
    directed = np.where(flipped[:, None], pairs[:, ::-1], pairs)
    layers = _assign_layers(directed, count, depth)
    members: list[list[int]] = [[] for _ in range(2 * int(layers.max(initial=0)) + 2)]
    for node, layer in enumerate(layers):
        members[2 * layer].append(node)
    chains: list[list[int]] = []
    preferred = [*heights, *(float(heights[pair].mean()) for pair in pairs)]
    for edge, (first, last) in enumerate(directed.tolist()):
        passed = range(2 * layers[first] + 1, max(2 * layers[last], 2 * layers[first] + 2))
        chain = [first]
        for column in passed:
            element = count + edge
            if column != passed[len(passed) // 2] | 1:  # the label is in the odd column in the middle
                element = len(preferred)
                preferred.append(preferred[count + edge])
            members[column].append(element)
            chain.append(element)
        chains.append(chain if first == last else [*chain, last])
    columns = Columns([column for column in members if column], chains, flipped)
    for column in columns.members:
        column.sort(key=lambda element: preferred[element])
    return Columns(_reduce_crossings(columns), chains, flipped)


def _flip_edges(pairs: np.ndarray, count: int, depth: int) -> tuple[np.ndarray, int]:
    """(M,) bool, edges to reverse against cycles and, if possible, paths of over ``depth`` edges; and the
    length of the longest path.
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
    nodes = np.eye(count)
    steps = nodes[pairs[:, 0]] - nodes[pairs[:, 1]]
    # The matrix is totally unimodular: the solution is integral.
    lengths = -steps.sum(axis=0)
    layers = linprog(lengths, A_ub=steps, b_ub=-np.ones(len(pairs)), bounds=(0, depth), method="highs-ds").x
    return np.rint(layers - layers.min()).astype(np.int64)


def _reduce_crossings(columns: Columns) -> list[list[int]]:
    """The members of the columns, sorted so that few links cross."""
    members, links = columns.members, columns.links
    before: Neighbours = {element: [] for column in members for element in column}
    after: Neighbours = {element: [] for element in before}
    for left, right in links:
        before[right].append(left)
        after[left].append(right)
    best, fewest = members, _count_crossings(members, links)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        rightwards = sweep % 2 == 0
        neighbours = before if rightwards else after
        members = [list(column) for column in members]
        for column in members if rightwards else reversed(members):
            rank = _ranks(members)
            column.sort(key=lambda e: fmean([rank[other] for other in neighbours[e]] or [rank[e]]))
        for column in members:
            _swap_neighbours(column, _ranks(members), (before, after))
        crossings = _count_crossings(members, links)
        if crossings < fewest:
            best, fewest = members, crossings
    return best


def _swap_neighbours(column: list[int], rank: dict[int, int], sides: tuple[Neighbours, Neighbours]) -> None:
    """Swap neighbours in a column as long as that removes crossings."""
    changed = True
    while changed:
        changed = False
        for i in range(len(column) - 1):
            upper, lower = column[i], column[i + 1]
            ranks = [(rank[a], rank[b]) for links in sides for a in links[upper] for b in links[lower]]
            if sum(a > b for a, b in ranks) > sum(a < b for a, b in ranks):
                column[i], column[i + 1] = lower, upper
                changed = True


def _count_crossings(members: list[list[int]], links: list[tuple[int, int]]) -> int:
    rank = _ranks(members)
    place = {element: index for index, column in enumerate(members) for element in column}
    rows = np.array([(place[left], rank[left], rank[right]) for left, right in links]).reshape(-1, 3)
    column, start, end = rows.T[:, :, None]
    return int(((column == column.T) & (start < start.T) & (end > end.T)).sum())


def _ranks(members: list[list[int]]) -> dict[int, int]:
    return {element: rank for column in members for rank, element in enumerate(column)}
