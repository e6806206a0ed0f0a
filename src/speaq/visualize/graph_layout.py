"""Positions of the nodes, edge labels and edges of a graph, none of which overlap.

Nodes are the E entities and edges the M relations. Sizes and positions are (width, height) and (x, y), y
pointing down. Shape letters: see `speaq.structures`.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from speaq.graph.colours import Point
from speaq.visualize.layering import Columns, assign_columns

GAP_NODES, GAP_LABELS, GAP_COMPONENTS = 16.0, 8.0, 34.0
MIN_GAP, MAX_GAP = 36.0, 90.0  # between columns, larger for steep edges
LEVEL_LENGTH = 13.0  # of an edge before a node, which has room for the arrow head
PORT_GAP = 7.0  # between the ends of two edges at one node
ROUNDS = 24


@dataclass(frozen=True, slots=True)
class GraphLayout:
    """A graph on an area of ``width`` x ``height``.

    Attributes:
        nodes, labels: (E, 2) and (M, 2) centres.
        routes: points (..., 2) of each edge from subject to object. Between the first and the second it is a
            level line, between the second and the third an S-shaped curve, and so on in turn.
    """

    width: float
    height: float
    nodes: np.ndarray
    labels: np.ndarray
    routes: list[np.ndarray]

    def stretched(self, factor: float) -> "GraphLayout":
        """The layout with all vertical positions multiplied by ``factor``."""
        scale = (1, factor)
        routes = [route * scale for route in self.routes]
        return GraphLayout(self.width, self.height * factor, self.nodes * scale, self.labels * scale, routes)


def layout_graph(
    nodes: np.ndarray, labels: np.ndarray, pairs: np.ndarray, heights: np.ndarray, aspect: float
) -> GraphLayout:
    """Lay out a graph.

    Args:
        nodes: (E, 2) sizes.
        labels: (M, 2) sizes.
        pairs: (M, 2) subject and object node of each edge, the most important edges first.
        heights: (E,) preferred vertical order of the nodes, where the edges leave a choice.
        aspect: preferred width / height.
    """
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(nodes), len(nodes)))
    count, component = connected_components(graph, directed=False)
    # A layer with its labels is about five times as wide as an edge with its gap is high.
    depth = max(round((0.2 * aspect * max(len(nodes), len(pairs))) ** 0.5), 2)
    parts: list[tuple[np.ndarray, np.ndarray, GraphLayout]] = []
    for index in range(count):
        members = np.flatnonzero(component == index)
        edges = np.flatnonzero(component[pairs[:, 0]] == index)
        inner = np.searchsorted(members, pairs[edges])
        part = _layout_connected(nodes[members], labels[edges], inner, heights[members], depth)
        parts.append((members, edges, part))
    parts.sort(key=lambda part: (-len(part[0]), heights[part[0]].min()))
    corners, size = _pack([(part.width, part.height) for *_, part in parts], aspect)
    centres, label_centres = np.zeros((len(nodes), 2)), np.zeros((len(pairs), 2))
    routes = [np.empty((0, 2))] * len(pairs)
    for (members, edges, part), corner in zip(parts, corners, strict=True):
        centres[members] = part.nodes + corner
        label_centres[edges] = part.labels + corner
        for edge, route in zip(edges, part.routes, strict=True):
            routes[edge] = route + corner
    return GraphLayout(*size, centres, label_centres, routes)


def _pack(sizes: list[Point], aspect: float) -> tuple[list[Point], Point]:
    """Top left corners of rectangles in rows, and the total size, whose aspect is as near as can be."""

    def fill_rows(limit: float) -> tuple[list[Point], Point]:
        corners, x, y, row, right = [], 0.0, 0.0, 0.0, 0.0
        for width, height in sizes:
            if x and x + width > limit + 1e-6:
                x, y, row = 0.0, y + row + GAP_COMPONENTS, 0.0
            corners.append((x, y))
            right, row = max(right, x + width), max(row, height)
            x += width + GAP_COMPONENTS
        return corners, (right, y + row)

    widest = max((width for width, _ in sizes), default=0.0)
    total = sum(width + GAP_COMPONENTS for width, _ in sizes)
    packings = [fill_rows(limit) for limit in np.linspace(widest, max(total, widest), 40)]
    return min(packings, key=lambda packing: max(packing[1][0], packing[1][1] * aspect))


def _layout_connected(
    nodes: np.ndarray, labels: np.ndarray, pairs: np.ndarray, heights: np.ndarray, depth: int
) -> GraphLayout:
    """Lay out a connected graph."""
    columns = assign_columns(pairs, heights, depth)
    sizes = np.zeros((sum(map(len, columns.members)), 2))
    sizes[: len(nodes) + len(labels)] = np.concatenate((nodes, labels))
    y = _vertical_positions(columns, sizes, len(nodes))
    y -= (y - sizes[:, 1] / 2).min()

    column = np.empty(len(sizes), np.int64)
    for index, members in enumerate(columns.members):
        column[members] = index
    links = np.array(columns.links, np.int64).reshape(-1, 2)
    steepness = np.zeros(len(columns.members))
    np.maximum.at(steepness, column[links[:, 0]], np.abs(y[links[:, 1]] - y[links[:, 0]]))
    widths = np.array([sizes[members, 0].max() for members in columns.members])
    gaps = np.clip(MIN_GAP + 0.15 * steepness, MIN_GAP, MAX_GAP)
    lefts = np.concatenate(([0.0], np.cumsum(widths + gaps)[:-1]))
    level = LEVEL_LENGTH * (column % 2 == 0)
    # Borders of the column of each element, between which its edges are level.
    borders = np.stack((lefts[column] - level, lefts[column] + widths[column] + level), axis=1)
    x = borders.mean(axis=1)
    sides = np.stack((x - sizes[:, 0] / 2, x + sizes[:, 0] / 2), axis=1)

    routes = []
    for chain, flipped, (start, end) in zip(
        columns.chains, columns.flipped, _end_positions(columns, y, sizes), strict=True
    ):
        first, last = chain[0], chain[-1]
        route = [(sides[first, 1], start), (borders[first, 1], start)]
        if len(chain) == 2:  # from a node to itself: to the label and back
            route += [(sides[last, 0], y[last])] * 2 + [(borders[first, 1], end), (sides[first, 1], end)]
        else:
            route += [(border, y[element]) for element in chain[1:-1] for border in borders[element]]
            route += [(borders[last, 0], end), (sides[last, 0], end)]
        routes.append(np.array(route[::-1] if flipped else route))

    centres, count = np.stack((x, y), axis=1), len(nodes)
    height = float((y + sizes[:, 1] / 2).max())
    return GraphLayout(
        float(lefts[-1] + widths[-1]), height, centres[:count], centres[count : count + len(labels)], routes
    )


def _vertical_positions(columns: Columns, sizes: np.ndarray, count: int) -> np.ndarray:
    """The y of every element: as near to its neighbours as the order and the gaps allow."""
    y = np.zeros(len(sizes))
    neighbours: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for left, right in columns.links:
        # Links between labels and placeholders weigh more: a bend is most visible there.
        weight = float((1 if left < count else 4) * (1 if right < count else 4))
        neighbours[left].append((right, weight))
        neighbours[right].append((left, weight))
    sweep = []
    for column in columns.members:
        heights, gaps = sizes[column, 1], np.where(np.array(column) < count, GAP_NODES, GAP_LABELS)
        steps = (heights[:-1] + heights[1:]) / 2 + (gaps[:-1] + gaps[1:]) / 2
        offset = np.concatenate(([0.0], np.cumsum(steps)))
        y[column] = offset - offset[-1] / 2
        weights = np.array([sum(weight for _, weight in neighbours[element]) for element in column])
        sweep.append((column, offset, weights))
    if not columns.links:  # one node
        return y
    for _ in range(ROUNDS):
        for column, offset, weights in sweep:
            pull = [sum(weight * y[other] for other, weight in neighbours[element]) for element in column]
            y[column] = isotonic_regression(pull / weights - offset, weights=weights).x + offset
        sweep.reverse()
    return y


def _end_positions(columns: Columns, y: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(M, 2) y at which each edge leaves its left node and reaches its right one."""
    ends = np.zeros((len(columns.chains), 2))
    sides: dict[tuple[int, str], list[tuple[float, int, int]]] = defaultdict(list)
    for edge, chain in enumerate(columns.chains):
        loop = len(chain) == 2
        before, last = chain[::-1] if loop else chain[-2:]
        sides[chain[0], "right"].append((y[chain[1]], edge, 0))
        sides[last, "right" if loop else "left"].append((y[before], edge, 1))
    for (node, _), neighbours in sides.items():
        room = min(PORT_GAP, 0.6 * sizes[node, 1] / max(len(neighbours) - 1, 1))
        for place, (_, edge, end) in enumerate(sorted(neighbours)):
            ends[edge, end] = y[node] + room * (place - (len(neighbours) - 1) / 2)
    return ends
