"""Positions for the nodes, labels and edges of a graph: nothing lies on anything else.

E: nodes, M: edges. All sizes and positions are (width, height) and (x, y), y pointing down.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from speaq.graph.colours import Point
from speaq.visualize.drawing.layers import Columns, in_columns

GAP_NODES, GAP_LABELS, GAP_COMPONENTS = 16.0, 8.0, 34.0
LEAST_GAP, MOST_GAP = 36.0, 90.0  # between columns: the steeper the edges, the more
RUN = 13.0
PORT = 7.0  # between the ends of two edges at one node
ROUNDS = 24


@dataclass(slots=True)
class Arrangement:
    """A graph laid out on a surface of ``width`` x ``height``.

    Attributes:
        nodes, labels: (E, 2) and (M, 2) centres.
        routes: of each edge, the points on its way from subject to object. Between the first and the second
            it is straight and level, between the second and the third it swings, and so on in turn.
    """

    width: float
    height: float
    nodes: np.ndarray
    labels: np.ndarray
    routes: list[list[Point]] = field(default_factory=list)

    def stretched(self, factor: float) -> "Arrangement":
        """The same with everything further apart from top to bottom."""
        routes = [[(x, y * factor) for x, y in route] for route in self.routes]
        stretch = (1, factor)
        return Arrangement(
            self.width, self.height * factor, self.nodes * stretch, self.labels * stretch, routes
        )


def arrange(
    nodes: np.ndarray, labels: np.ndarray, pairs: np.ndarray, heights: np.ndarray, aspect: float
) -> Arrangement:
    """Lay out a graph.

    Args:
        nodes: (E, 2) sizes.
        labels: (M, 2) sizes.
        pairs: (M, 2) subject and object node of each edge, the most important edges first.
        heights: (E,) which nodes are further up, if the edges leave a choice.
        aspect: the width per height to come close to; parts that no edge joins are placed accordingly.
    """
    whole = Arrangement(0, 0, np.zeros((len(nodes), 2)), np.zeros((len(pairs), 2)), [[] for _ in pairs])
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(nodes), len(nodes)))
    count, component = connected_components(graph, directed=False)
    parts: list[tuple[np.ndarray, np.ndarray, Arrangement]] = []
    # A layer with its labels is about five times as wide as an edge is high.
    depth = max(round((0.2 * aspect * max(len(nodes), len(pairs))) ** 0.5), 2)
    for index in range(count):
        members = np.flatnonzero(component == index)
        edges = np.flatnonzero(component[pairs[:, 0]] == index)
        inner = np.searchsorted(members, pairs[edges])
        part = _arrange_connected(nodes[members], labels[edges], inner, heights[members], depth)
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
    """Top left corners of rectangles in rows, and the size of the whole, the aspect of which fits best."""
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


def _arrange_connected(
    nodes: np.ndarray, labels: np.ndarray, pairs: np.ndarray, heights: np.ndarray, depth: int
) -> Arrangement:
    """Lay out a graph whose nodes are all joined to each other over edges."""
    columns = in_columns(pairs, heights, depth)
    sizes = np.concatenate((nodes, labels, np.zeros((max(map(max, columns.members)) + 1, 2))))
    y = _levels(columns, sizes, len(nodes))
    top = min(y[e] - sizes[e, 1] / 2 for column in columns.members for e in column)
    y -= top
    bottom = max(y[e] + sizes[e, 1] / 2 for column in columns.members for e in column)

    steep = np.zeros(len(columns.members))
    column_of = {element: index for index, column in enumerate(columns.members) for element in column}
    for left, right in columns.links:
        steep[column_of[left]] = max(steep[column_of[left]], abs(y[right] - y[left]))
    widths = [max(sizes[element, 0] for element in column) for column in columns.members]
    gaps = np.clip(LEAST_GAP + 0.15 * steep, LEAST_GAP, MOST_GAP)
    lefts = np.concatenate(([0.0], np.cumsum(widths + gaps)[:-1]))
    # Before a node, the way is level for a while: the length of an arrow's head.
    borders = {
        e: (lefts[c] - RUN * (c % 2 == 0), lefts[c] + widths[c] + RUN * (c % 2 == 0))
        for e, c in column_of.items()
    }
    x = {element: (left + right) / 2 for element, (left, right) in borders.items()}

    ports = _ports(columns, y, sizes)
    routes = []
    for edge, chain in enumerate(columns.chains):
        route: list[Point] = []
        for step, element in enumerate(chain):
            left, right = borders[element]
            half = sizes[element, 0] / 2
            if step == 0:
                level = y[element] + ports[edge][0]
                route += [(x[element] + half, level), (right, level)]
            elif element < len(nodes):
                level = y[element] + ports[edge][1]
                route += [(left, level), (x[element] - half, level)]
            else:
                route += [(left, y[element]), (right, y[element])]
        if len(chain) == 2:  # to the label and back
            turn, level = x[chain[1]] - sizes[chain[1], 0] / 2, y[chain[0]] + ports[edge][1]
            start = borders[chain[0]][1]
            route[2:] = [
                (turn, y[chain[1]]),
                (turn, y[chain[1]]),
                (start, level),
                (x[chain[0]] + sizes[chain[0], 0] / 2, level),
            ]
        routes.append(route[::-1] if columns.flipped[edge] else route)

    centres = np.array([(x[element], y[element]) for element in range(len(nodes) + len(labels))])
    width = float(lefts[-1] + widths[-1])
    return Arrangement(width, float(bottom), centres[: len(nodes)], centres[len(nodes) :], routes)


def _levels(columns: Columns, sizes: np.ndarray, count: int) -> np.ndarray:
    """The y of every element: as near to what it is joined to as the order and the gaps allow."""
    y = np.zeros(len(sizes))
    offsets = []
    for column in columns.members:
        heights = sizes[column, 1]
        gaps = np.array([GAP_NODES if element < count else GAP_LABELS for element in column])
        steps = (heights[:-1] + heights[1:]) / 2 + (gaps[:-1] + gaps[1:]) / 2
        offset = np.concatenate(([0.0], np.cumsum(steps)))
        offsets.append(offset)
        y[column] = offset - offset[-1] / 2
    joined: dict[int, list[tuple[int, float]]] = {e: [] for column in columns.members for e in column}
    for left, right in columns.links:
        # Edges are straight where they pass columns: there, a bend is seen best.
        weight = float((1 if left < count else 4) * (1 if right < count else 4))
        joined[left].append((right, weight))
        joined[right].append((left, weight))
    sweep = list(zip(columns.members, offsets, strict=True))
    for _ in range(ROUNDS):
        for column, offset in sweep:
            wish, weights = np.empty(len(column)), np.empty(len(column))
            for i, element in enumerate(column):
                weights[i] = sum(weight for _, weight in joined[element]) or 1
                pull = sum(weight * y[other] for other, weight in joined[element])
                wish[i] = pull / weights[i] if joined[element] else y[element]
            y[column] = isotonic_regression(wish - offset, weights=weights).x + offset
        sweep.reverse()
    return y


def _ports(columns: Columns, y: np.ndarray, sizes: np.ndarray) -> list[list[float]]:
    """How far above or below the middle of its nodes each edge begins (left) and ends (right)."""
    ports = [[0.0, 0.0] for _ in columns.chains]
    sides: dict[tuple[int, str], list[tuple[float, int, int]]] = {}
    for edge, chain in enumerate(columns.chains):
        last = "right" if len(chain) == 2 else "left"
        sides.setdefault((chain[0], "right"), []).append((y[chain[1]], edge, 0))
        sides.setdefault((chain[-1] if len(chain) > 2 else chain[0], last), []).append(
            (y[chain[-2] if len(chain) > 2 else chain[1]], edge, 1)
        )
    for (node, _), ends in sides.items():
        room = min(PORT, 0.6 * sizes[node, 1] / max(len(ends) - 1, 1))
        for place, (_, edge, end) in enumerate(sorted(ends)):
            ports[edge][end] = room * (place - (len(ends) - 1) / 2)
    return ports
