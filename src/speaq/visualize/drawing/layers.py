"""Nodes and edges in columns, so that a graph reads from left to right with few crossings.

The steps are those of Sugiyama, Tagawa and Toda (1981): a direction for every edge, a layer for every node,
an order within every column. Nodes stand in the even columns and the labels of edges in the odd ones; an edge
that passes a column has a place of its own there, so that it never runs through a node or a label.

E: nodes, M: edges. Elements are the E nodes, the M labels, and the places where edges pass.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import linprog

SWEEPS = 16


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the elements stand, and which of them are joined.

    Attributes:
        members: the elements of each column, from top to bottom; nodes have the indices 0 to E - 1 and labels
            E to E + M - 1.
        chains: of each edge, the elements on its way from left to right, both nodes included; for an edge
            from a node to itself the node and the label.
        flipped: (M,) bool, edges whose subject is on the right.
    """

    members: list[list[int]]
    chains: list[list[int]]
    flipped: np.ndarray

    @property
    def links(self) -> list[tuple[int, int]]:
        """Pairs of elements in neighbouring columns that an edge joins, the left one first."""
        return [link for chain in self.chains for link in pairwise(chain)]


def in_columns(pairs: np.ndarray, heights: np.ndarray, depth: int) -> Columns:
    """Put a connected graph into columns.

    Args:
        pairs: (M, 2) subject and object node of each edge; the first ones matter most.
        heights: (E,) where each node would be from top to bottom if there were no edges.
        depth: how many edges the longest way from left to right should have.
    """
    count = len(heights)
    flipped, depth = _directions(pairs, count, depth)
    layers = _layers(np.where(flipped[:, None], pairs[:, ::-1], pairs), count, depth)
    members: list[list[int]] = [[] for _ in range(2 * int(layers.max(initial=0)) + 2)]
    for node, layer in enumerate(layers):
        members[2 * layer].append(node)
    chains, wishes, unused = [], list(heights), count + len(pairs)
    wishes += [float(heights[pair].mean()) for pair in pairs]
    for edge, (subject, object_) in enumerate(pairs.tolist()):
        first, last = (object_, subject) if flipped[edge] else (subject, object_)
        passed = range(2 * layers[first] + 1, max(2 * layers[last], 2 * layers[first] + 2))
        chain = [first]
        for column in passed:
            if column == passed[len(passed) // 2] | 1:  # the odd column in the middle
                element = count + edge
            else:
                element, unused = unused, unused + 1
                wishes.append(wishes[count + edge])
            members[column].append(element)
            chain.append(element)
        chains.append(chain if first == last else [*chain, last])
    if not members[-1]:
        members.pop()
    for column in members:
        column.sort(key=lambda element: wishes[element])
    columns = Columns(members, chains, flipped)
    return Columns(_ordered(columns), chains, flipped)


def _directions(pairs: np.ndarray, count: int, depth: int) -> tuple[np.ndarray, int]:
    """Edges to turn round, so that there is no cycle and, if possible, no path of more than ``depth`` edges.

    Returns:
        (M,) bool, and the length of the longest path.
    """
    longest = np.full((count, count), -np.inf)  # path from one node to another
    np.fill_diagonal(longest, 0)
    flipped = np.zeros(len(pairs), bool)
    for edge, (subject, object_) in enumerate(pairs):
        if subject == object_:
            continue
        ahead, back = (
            np.maximum(longest, longest[:, a, None] + 1 + longest[b])
            for a, b in ((subject, object_), (object_, subject))
        )
        if longest[object_, subject] > 0:
            flipped[edge] = True
        elif not longest[subject, object_] > 0:
            flipped[edge] = ahead.max() > max(depth, back.max())
        longest = back if flipped[edge] else ahead
    return flipped, int(longest.max())


def _layers(pairs: np.ndarray, count: int, depth: int) -> np.ndarray:
    """(E,) layers from 0 to ``depth``: all edges lead to a higher one and are short in total."""
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


def _ordered(columns: Columns) -> list[list[int]]:
    """The members of the columns in an order with few crossings."""
    members = [list(column) for column in columns.members]
    before: dict[int, list[int]] = {element: [] for column in members for element in column}
    after: dict[int, list[int]] = {element: [] for element in before}
    for left, right in columns.links:
        before[right].append(left)
        after[left].append(right)
    best, least = members, _crossings(members, after)
    for sweep in range(SWEEPS):
        if not least:
            break
        rightwards = sweep % 2 == 0
        members = [list(column) for column in members]
        for column in members if rightwards else reversed(members):
            rank = _ranks(members)
            joined = before if rightwards else after
            column.sort(key=lambda element: _mean([rank[other] for other in joined[element]], rank[element]))
        for column in members:
            _exchange(column, _ranks(members), before, after)
        found = _crossings(members, after)
        if found < least:
            best, least = members, found
    return best


def _exchange(
    column: list[int], rank: dict[int, int], before: dict[int, list[int]], after: dict[int, list[int]]
) -> None:
    """Exchange neighbours in a column as long as that takes crossings away."""
    changed = True
    while changed:
        changed = False
        for i in range(len(column) - 1):
            upper, lower = column[i], column[i + 1]
            now = turned = 0
            for joined in (before, after):
                for a in joined[upper]:
                    for b in joined[lower]:
                        now += rank[a] > rank[b]
                        turned += rank[a] < rank[b]
            if turned < now:
                column[i], column[i + 1] = lower, upper
                changed = True


def _crossings(members: list[list[int]], after: dict[int, list[int]]) -> int:
    rank, total = _ranks(members), 0
    for column in members:
        ends = np.array([rank[other] for element in column for other in sorted(after[element], key=rank.get)])  # pyright: ignore
        starts = np.array([rank[element] for element in column for _ in after[element]])
        total += int(((starts[:, None] < starts[None]) & (ends[:, None] > ends[None])).sum())
    return total


def _ranks(members: list[list[int]]) -> dict[int, int]:
    return {element: rank for column in members for rank, element in enumerate(column)}


def _mean(values: list[int], default: float) -> float:
    return sum(values) / len(values) if values else default
