"""Scene graphs for other programs: networkx, GraphML (Gephi, yEd, igraph) and DOT (Graphviz)."""

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.graph.colours import PALETTE, Colour, line_colour, text_colour
from speaq.graph.data import GraphData
from speaq.graph.letters import NOT_IN_XML

if TYPE_CHECKING:
    import networkx

Attributes = dict[str, str | int | float]

_GRAPHML_KEYS = {
    "graph": {"image": "string", "width": "int", "height": "int"},
    "node": {"name": "string", "label": "int", "score": "double"}
    | dict.fromkeys(("x1", "y1", "x2", "y2"), "double"),
    "edge": {"predicate": "string", "label": "int", "score": "double"},
}


def graph_to_networkx(graph: GraphData) -> "networkx.MultiDiGraph":
    """A graph for networkx, with attributes that its writers of GraphML, GEXF, GML and JSON take.

    Raises:
        SpeaqError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError as error:
        raise SpeaqError("to_networkx needs the package networkx: pip install 'speaq[graph]'") from error
    result = networkx.MultiDiGraph()
    result.graph.update(_of_graph(graph))
    result.add_nodes_from(enumerate(_of_nodes(graph)))
    pairs = graph.pairs.tolist()
    result.add_edges_from((s, o, data) for (s, o), data in zip(pairs, _of_edges(graph), strict=True))
    return result


def graph_to_graphml(graph: GraphData, path: str | Path) -> None:
    """Write a graph as GraphML, with the attributes that it has in networkx.

    What XML does not allow in a name is replaced by U+FFFD.

    Raises:
        SpeaqError: the file cannot be written.
    """
    root = ElementTree.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    for kind, names in _GRAPHML_KEYS.items():
        for name, type_ in names.items():
            key = {"id": f"{kind}_{name}", "for": kind, "attr.name": name, "attr.type": type_}
            ElementTree.SubElement(root, "key", key)
    whole = ElementTree.SubElement(root, "graph", id="scene_graph", edgedefault="directed")
    _add_data(whole, "graph", _of_graph(graph))
    for index, attributes in enumerate(_of_nodes(graph)):
        _add_data(ElementTree.SubElement(whole, "node", id=str(index)), "node", attributes)
    for row, (pair, attributes) in enumerate(zip(graph.pairs, _of_edges(graph), strict=True)):
        ends = {"id": str(row), "source": str(pair[0]), "target": str(pair[1])}
        _add_data(ElementTree.SubElement(whole, "edge", ends), "edge", attributes)
    ElementTree.indent(root)
    with replacing(path) as temporary:
        ElementTree.ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def graph_to_dot(graph: GraphData, path: str | Path | None = None) -> str:
    """A graph in the language of Graphviz, one node or edge per line; also written to ``path`` where given.

    Nodes and edges have the attributes that they have in networkx, but for ``label``: this is what Graphviz
    shows, the name and the score. The class is ``class_index``.

    Raises:
        SpeaqError: the file cannot be written.
    """
    lines = [
        "digraph scene_graph {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
        '  edge [fontname="sans-serif"];',
    ]
    for index, attributes in enumerate(_of_nodes(graph)):
        fill = PALETTE[index % len(PALETTE)]
        colours: Attributes = {
            "fillcolor": _hex(fill),
            "color": _hex(fill),
            "fontcolor": _hex(text_colour(fill)),
        }
        lines.append(f"  {index} {_dot_attributes(attributes, 'name', colours)};")
    for (subject, object_), attributes in zip(graph.pairs.tolist(), _of_edges(graph), strict=True):
        colour = _hex(line_colour(PALETTE[subject % len(PALETTE)]))
        look: Attributes = {"color": colour, "penwidth": round(1 + 2 * float(attributes["score"]), 2)}
        lines.append(f"  {subject} -> {object_} {_dot_attributes(attributes, 'predicate', look)};")
    text = "\n".join([*lines, "}"]) + "\n"
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def _of_graph(graph: GraphData) -> Attributes:
    height, width = graph.image_size
    image: Attributes = {"image": str(graph.image)} if isinstance(graph.image, Path) else {}
    return image | {"width": width, "height": height}


def _of_nodes(graph: GraphData) -> list[Attributes]:
    return [
        {"name": entity.name, "label": entity.label, "score": _short(entity.score)}
        | {side: _short(value) for side, value in zip(("x1", "y1", "x2", "y2"), entity.box, strict=True)}
        for entity in graph.entities
    ]


def _of_edges(graph: GraphData) -> list[Attributes]:
    return [
        {"predicate": triplet.predicate, "label": predicate, "score": _short(triplet.score)}
        for triplet, predicate in zip(graph.triplets, graph.predicates.tolist(), strict=True)
    ]


def _short(value: float) -> float:
    """A float32 with the digits that mean something."""
    return float(f"{value:.7g}")


def _add_data(parent: ElementTree.Element, kind: str, attributes: Attributes) -> None:
    for name, value in attributes.items():
        data = ElementTree.SubElement(parent, "data", key=f"{kind}_{name}")
        data.text = NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value))


def _dot_attributes(attributes: Attributes, title: str, look: Attributes) -> str:
    """Attributes of a node or an edge in brackets; ``title`` names the one that is shown."""
    # In labels, Graphviz reads character references such as &lt; and &#65;.
    shown = str(attributes[title]).replace("&", "&amp;") + f"\n{attributes['score']:.2f}"
    rest = {"class_index" if name == "label" else name: value for name, value in attributes.items()}
    pairs = {"label": shown} | look | rest
    return f"[{', '.join(f'{name}={_dot_value(value)}' for name, value in pairs.items())}]"


def _dot_value(value: str | float) -> str:
    if not isinstance(value, str):
        plain = str(value).lstrip("-").replace(".", "", 1).isdecimal()  # neither 1e-05 nor inf
        return str(value) if plain else f'"{value}"'
    text = NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{text}"'


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
