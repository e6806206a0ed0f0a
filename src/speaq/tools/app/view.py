"""HTML of thumbnails, and of scene graphs whose photo, diagram and list of triplets are linked.

The templates escape every name. ``templates/app.js`` lights up what belongs together.
"""

import base64
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from speaq.graph.colours import Colour, text_colour
from speaq.graph.data import GraphData
from speaq.visualize.graph_layout import GraphLayout, layout_graph
from speaq.visualize.style import StyledGraph, emphasis, style_graph
from speaq.visualize.text import shortened, text_width

PHOTO_SIZE, THUMBNAIL_SIZE = 1280, 240  # pixels of the long side
MAX_RELATIONS = 50
_FONT, _LENGTH = 15.0, 24  # of the diagram: size, and characters of a name


class Card(NamedTuple):
    """A thumbnail: number and name of its image, its data URL (empty: no file), and a line below."""

    number: int
    name: str
    picture: str
    caption: str


def view_html(
    graph: GraphData, picture: str, *, title: str = "", marks: Sequence[str] = (), note: str = ""
) -> str:
    """A scene graph as photo, diagram and list; pointing at a part of one lights it up in the others.

    Args:
        graph: at most `MAX_RELATIONS` relations are shown, the best ones.
        picture: the image as data URL; empty for none.
        title: above it.
        marks: "hit", "miss" or "" for each relation.
        note: below the title.
    """
    if len(graph) > MAX_RELATIONS:
        note = " ".join(filter(None, (note, f"The best {MAX_RELATIONS} of {len(graph)} relations.")))
        best = np.sort(np.argsort(-graph.triplet_scores, kind="stable")[:MAX_RELATIONS])
        marks = [str(marks[row]) for row in best.tolist()] if marks else []
        graph = graph.filter(top=MAX_RELATIONS)
    styled = style_graph(graph)
    pairs = [(edge.subject.index, edge.object.index) for edge in styled.edges]
    related: list[dict[str, None]] = [{f"e{node.index}": None} for node in styled.nodes]
    for row, pair in enumerate(pairs):
        for entity in pair:
            related[entity] |= dict.fromkeys((f"r{row}", *(f"e{other}" for other in pair)))
    height, width = graph.image_size
    return _template("view.html").render(
        title=title,
        note=note,
        picture=picture,
        width=width,
        height=height,
        font=round(0.032 * max(width, height), 1),
        scored=styled.scored,
        entities=[
            {
                "lit": " ".join(related[node.index]),
                "label": node.label(shortened, _LENGTH),
                "box": [round(value, 1) for value in node.box],
                "colour": _hex(node.colour),
                "ink": _hex(text_colour(node.colour)),
            }
            for node in styled.nodes
        ],
        relations=[
            {
                "lit": f"r{edge.index} e{edge.subject.index} e{edge.object.index}",
                "words": (
                    edge.subject.name + edge.subject.number,
                    edge.predicate,
                    edge.object.name + edge.object.number,
                ),
                "score": edge.score,
                "colour": _hex(edge.mark.colour),
                "line": round(1.2 + 2.3 * emphasis(edge.score), 2),
                "mark": marks[edge.index] if marks else "",
            }
            for edge in styled.edges
        ],
        diagram=_diagram(styled, pairs),
    )


def wall_html(cards: Sequence[Card]) -> str:
    """Thumbnails that can be chosen with the pointer or the keyboard."""
    return _template("wall.html").render(cards=cards)


def page_head() -> str:
    """The style sheet and the script of the views, for the head of a page."""
    return f"<style>{_read('app.css')}</style>\n<script>{_read('app.js')}</script>"


def data_url(image: Image.Image, size: int) -> str:
    """An RGB image as data URL, with its long side reduced to ``size`` pixels."""
    reduced, file = image.copy(), BytesIO()
    reduced.thumbnail((size, size))
    reduced.save(file, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _diagram(styled: StyledGraph, pairs: list[tuple[int, int]]) -> dict[str, Any]:
    """Positions of nodes, labels and arrows."""
    names = [node.label(shortened, _LENGTH) for node in styled.nodes]
    predicates = [shortened(edge.predicate, _LENGTH) for edge in styled.edges]
    node_sizes, label_sizes = (
        np.array([(1.1 * text_width(text, size) + size, 1.8 * size) for text in texts]).reshape(-1, 2)
        for texts, size in ((names, _FONT), (predicates, 0.87 * _FONT))
    )
    heights = np.array([node.box[1] + node.box[3] for node in styled.nodes])
    if not names:
        return {"width": 1, "height": 1, "nodes": [], "edges": []}
    layout = layout_graph(
        node_sizes, label_sizes, np.array(pairs, np.int64).reshape(-1, 2), heights, aspect=1.4
    )
    nodes = _boxes(layout.nodes, node_sizes, names)
    edges = _boxes(layout.labels, label_sizes, predicates)
    for edge, path in zip(edges, _paths(layout), strict=True):
        edge["path"] = path
    return {"width": round(layout.width), "height": round(layout.height), "nodes": nodes, "edges": edges}


def _boxes(centres: np.ndarray, sizes: np.ndarray, texts: list[str]) -> list[dict[str, Any]]:
    rows = np.round(np.hstack((centres, sizes)), 1).tolist()
    return [
        {"x": x, "y": y, "w": w, "h": h, "text": text} for (x, y, w, h), text in zip(rows, texts, strict=True)
    ]


def _paths(layout: GraphLayout) -> list[str]:
    """The line of each edge as an SVG path, see `GraphLayout`."""
    paths = []
    for route in layout.routes:
        points = np.round(route, 1).tolist()
        path = f"M{points[0][0]} {points[0][1]}L{points[1][0]} {points[1][1]}"
        for (x1, y1), (x2, y2), end in zip(points[1::2], points[2::2], points[3::2], strict=False):
            middle = round((x1 + x2) / 2, 1)
            path += f"C{middle} {y1} {middle} {y2} {x2} {y2}L{end[0]} {end[1]}"
        paths.append(path)
    return paths


@cache
def _template(name: str) -> Any:
    loader = PackageLoader("speaq.tools.app")
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    return environment.get_template(name)


def _read(name: str) -> str:
    return (files("speaq.tools.app") / "templates" / name).read_text(encoding="utf-8")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
