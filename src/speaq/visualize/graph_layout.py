"""Positions of the nodes, edge labels and edges of a graph, none of which overlap.

Nodes are the E entities and edges the M relations. Sizes and positions are (width, height) and (x, y), y
pointing down. Shape letters: see `speaq.structures`.
"""

from dataclasses import dataclass, field

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


@dataclass(slots=True)
class GraphLayout:
    """A graph on an area of ``width`` x ``height``.

    Attributes:
        nodes, labels: (E, 2) and (M, 2) centres.
        routes: points of each edge from subject to object. Between the first and the second it is a level
            line, between the second and the third an S-shaped curve, and so on in turn.
    """

    width: float
    height: float
    nodes: np.ndarray
    labels: np.ndarray
    routes: list[list[Point]] = field(default_factory=list)

    def stretched(self, factor: float) -> "GraphLayout":
        """The layout with all vertical positions multiplied by ``factor``."""
        routes = [[(x, y * factor) for x, y in route] for route in self.routes]
        scale = (1, factor)
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
    whole = GraphLayout(0, 0, np.zeros((len(nodes), 2)), np.zeros((len(pairs), 2)), [[] for _ in pairs])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(nodes), len(nodes)))
    count, component = connected_components(graph, directed=False)
    parts: list[tuple[np.ndarray, np.ndarray, GraphLayout]] = []
    # A layer with its labels is about five times as wide as an edge with its gap is high.
    depth = max(round((0.2 * aspect * max(len(nodes), len(pairs))) ** 0.5), 2)
    for index in range(count):
        members = np.flatnonzero(component == index)
        edges = np.flatnonzero(component[pairs[:, 0]] == index)
        inner = np.searchsorted(members, pairs[edges])
        part = _layout_connected(nodes[members], labels[edges], inner, heights[members], depth)
        parts.append((members, edges, part))
    parts.sort(key=lambda part: (-len(part[0]), heights[part[0]].min()))
    corners, (whole.width, whole.height) = _pack([(part.width, part.height) for *_, part in parts], aspect)
    for (members, edges, part), (x, y) in zip(parts, corners, strict=True):
        corner = np.array((x, y))
        whole.nodes[members] = part.nodes + corner
        whole.labels[edges] = part.labels + corner
        for edge, route in zip(edges, part.routes, strict=True):
            whole.routes[edge] = [(x + a, y + b) for a, b in route]
    return whole


def _pack(sizes: list[tuple[float, float]], aspect: float) -> tuple[list[Point], tuple[float, float]]:
    """Top left corners of rectangles in rows, and the total size, whose aspect is as near as can be."""
    best: tuple[float, list[Point], tuple[float, float]] = (np.inf, [], (0.0, 0.0))
    widest = max((width for width, _ in sizes), default=0.0)
    total = sum(width + GAP_COMPONENTS for width, _ in sizes)
    for limit in np.linspace(widest, max(total, widest), 40):
        corners, x, y, row, right = [], 0.0, 0.0, 0.0, 0.0
        for width, height in sizes:
            if x and x + width > limit + 1e-6:
                x, y, row = 0.0, y + row + GAP_COMPONENTS, 0.0
            corners.append((x, y))
            right, row = max(right, x + width), max(row, height)
            x += width + GAP_COMPONENTS
        cost = max(right, (y + row) * aspect)
        if cost < best[0]:
            best = cost, corners, (right, y + row)
    return best[1], best[2]


def _layout_connected(
    nodes: np.ndarray, labels: np.ndarray, pairs: np.ndarray, heights: np.ndarray, depth: int
) -> GraphLayout:
    """Lay out a connected graph."""
    columns = assign_columns(pairs, heights, depth)
    sizes = np.concatenate((nodes, labels, np.zeros((max(map(max, columns.members)) + 1, 2))))
    y = _vertical_positions(columns, sizes, len(nodes))
    y -= min(y[e] - sizes[e, 1] / 2 for column in columns.members for e in column)
    bottom = max(y[e] + sizes[e, 1] / 2 for column in columns.members for e in column)

    steepness = np.zeros(len(columns.members))
    column_of = {element: index for index, column in enumerate(columns.members) for element in column}
    for left, right in columns.links:
        steepness[column_of[left]] = max(steepness[column_of[left]], abs(y[right] - y[left]))
    widths = [max(sizes[element, 0] for element in column) for column in columns.members]
    gaps = np.clip(MIN_GAP + 0.15 * steepness, MIN_GAP, MAX_GAP)
    lefts = np.concatenate(([0.0], np.cumsum(widths + gaps)[:-1]))
    borders = {
        e: (lefts[c] - LEVEL_LENGTH * (c % 2 == 0), lefts[c] + widths[c] + LEVEL_LENGTH * (c % 2 == 0))
        for e, c in column_of.items()
    }
    x = {element: (left + right) / 2 for element, (left, right) in borders.items()}

    routes = []
    for edge, ports in enumerate(_port_offsets(columns, y, sizes)):
        chain = columns.chains[edge]
        ends = y[chain[0]] + ports[0], y[chain[-1] if len(chain) > 2 else chain[0]] + ports[1]
        route = _route(chain, ends, x, y, sizes, borders)
        routes.append(route[::-1] if columns.flipped[edge] else route)

    centres = np.array([(x[element], y[element]) for element in range(len(nodes) + len(labels))])
    width = float(lefts[-1] + widths[-1])
    return GraphLayout(width, float(bottom), centres[: len(nodes)], centres[len(nodes) :], routes)


def _route(
    chain: list[int],
    ends: tuple[float, float],
    x: dict[int, float],
    y: np.ndarray,
    sizes: np.ndarray,
    borders: dict[int, tuple[float, float]],
) -> list[Point]:
    """The points of an edge from left to right, see ``GraphLayout.routes``.

    Args:
        chain: its elements.
        ends: y where it leaves its first node and reaches its last one.
        x: horizontal centres of the elements.
        y: vertical centres of the elements.
        sizes: widths and heights of the elements.
        borders: left and right border of the column of each element.
    """
    first, last = chain[0], chain[-1]
    start = [(x[first] + sizes[first, 0] / 2, ends[0]), (borders[first][1], ends[0])]
    if len(chain) == 2:  # from a node to itself: to the label and back
        turn = (x[last] - sizes[last, 0] / 2, y[last])
        return [*start, turn, turn, (borders[first][1], ends[1]), (x[first] + sizes[first, 0] / 2, ends[1])]
    passed = [(border, y[element]) for element in chain[1:-1] for border in borders[element]]
    return [*start, *passed, (borders[last][0], ends[1]), (x[last] - sizes[last, 0] / 2, ends[1])]


def _vertical_positions(columns: Columns, sizes: np.ndarray, count: int) -> np.ndarray:
    """The y of every element: as near to its neighbours as the order and the gaps allow."""
    y = np.zeros(len(sizes))
    offsets = []
    for column in columns.members:
        heights = sizes[column, 1]
        gaps = np.array([GAP_NODES if element < count else GAP_LABELS for element in column])
        steps = (heights[:-1] + heights[1:]) / 2 + (gaps[:-1] + gaps[1:]) / 2
        offset = np.concatenate(([0.0], np.cumsum(steps)))
        offsets.append(offset)
        y[column] = offset - offset[-1] / 2
    neighbours: dict[int, list[tuple[int, float]]] = {e: [] for column in columns.members for e in column}
    for left, right in columns.links:
        # Links between labels and placeholders weigh more: a bend is most visible there.
        weight = float((1 if left < count else 4) * (1 if right < count else 4))
        neighbours[left].append((right, weight))
        neighbours[right].append((left, weight))
    sweep = list(zip(columns.members, offsets, strict=True))
    for _ in range(ROUNDS):
        for column, offset in sweep:
            preferred, weights = np.empty(len(column)), np.empty(len(column))
            for i, element in enumerate(column):
                weights[i] = sum(weight for _, weight in neighbours[element]) or 1
                pull = sum(weight * y[other] for other, weight in neighbours[element])
                preferred[i] = pull / weights[i] if neighbours[element] else y[element]
            y[column] = isotonic_regression(preferred - offset, weights=weights).x + offset
        sweep.reverse()
    return y


def _port_offsets(columns: Columns, y: np.ndarray, sizes: np.ndarray) -> list[list[float]]:
    """Vertical distances from the middle of its nodes at which each edge begins (left) and ends (right)."""
    ports = [[0.0, 0.0] for _ in columns.chains]
    sides: dict[tuple[int, str], list[tuple[float, int, int]]] = {}
    for edge, chain in enumerate(columns.chains):
        last = "right" if len(chain) == 2 else "left"
        sides.setdefault((chain[0], "right"), []).append((y[chain[1]], edge, 0))
        sides.setdefault((chain[-1] if len(chain) > 2 else chain[0], last), []).append(
            (y[chain[-2] if len(chain) > 2 else chain[1]], edge, 1)
        )
    for (node, _), ends in sides.items():
        room = min(PORT_GAP, 0.6 * sizes[node, 1] / max(len(ends) - 1, 1))
        for place, (_, edge, end) in enumerate(sorted(ends)):
            ports[edge][end] = room * (place - (len(ends) - 1) / 2)
    return ports
