"""Scene graphs for other programs: networkx, GraphML (Gephi, yEd, igraph), DOT (Graphviz) and supervision."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.graph.colours import PALETTE, Colour, line_colour, text_colour
from speaq.graph.data import GraphData

if TYPE_CHECKING:
    import networkx
    import supervision

NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow and Graphviz cannot show."""

Attributes = dict[str, str | int | float]


class ExportGraph(GraphData):
    """A scene graph that is converted to the types and files of other programs."""

    __slots__ = ()

    def to_networkx(self) -> "networkx.MultiDiGraph":
        """The graph for networkx: a node per entity (index from 0), an edge per relation.

        Nodes have name, label (the class index), score and the box as x1, y1, x2, y2; edges have predicate
        (its name), label and score. networkx can write all of them, as GraphML for example.
        """
        import networkx  # slow to import

        result = networkx.MultiDiGraph()
        result.graph.update(_of_graph(self))
        result.add_nodes_from(enumerate(_of_nodes(self)))
        result.add_edges_from(_of_edges(self))
        return result

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph as GraphML, for Gephi, yEd or igraph, with the attributes of ``to_networkx``.

        Characters that XML does not allow are replaced by U+FFFD.

        Raises:
            SpeaqError: the file cannot be written.
        """
        import networkx

        result = networkx.MultiDiGraph(id="scene_graph", **_for_graphml(_of_graph(self)))
        result.add_nodes_from((index, _for_graphml(data)) for index, data in enumerate(_of_nodes(self)))
        for row, (subject, object_, data) in enumerate(_of_edges(self)):
            result.add_edge(subject, object_, key=row, **_for_graphml(data))  # keys become ids
        with replacing(path) as temporary:
            networkx.write_graphml_xml(result, temporary)

    def to_dot(self, path: str | Path | None = None) -> str:
        """The graph in DOT (Graphviz), with a line per node or edge; also written to ``path`` if given.

        Nodes and edges have the attributes of ``to_networkx``, except that ``label``, which Graphviz shows,
        is the name and the score, and ``class_index`` the class.

        Raises:
            SpeaqError: the file cannot be written.
        """
        lines = [
            "digraph scene_graph {",
            "  rankdir=LR;",
            '  node [shape=box, style="rounded,filled", fontname="sans-serif"];',
            '  edge [fontname="sans-serif"];',
        ]
        for index, attributes in enumerate(_of_nodes(self)):
            fill = PALETTE[index % len(PALETTE)]
            style: Attributes = {name: _hex(fill) for name in ("fillcolor", "color")}
            style["fontcolor"] = _hex(text_colour(fill))
            lines.append(f"  {index} {_dot_attributes(attributes, 'name', style)};")
        for subject, object_, attributes in _of_edges(self):
            colour = _hex(line_colour(PALETTE[subject % len(PALETTE)]))
            style = {"color": colour, "penwidth": round(1 + 2 * float(attributes["score"]), 2)}
            lines.append(f"  {subject} -> {object_} {_dot_attributes(attributes, 'predicate', style)};")
        text = "\n".join([*lines, "}"]) + "\n"
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    def to_supervision(self) -> "supervision.Detections":
        """The entities as ``supervision.Detections``, with their names in ``data["class_name"]``.

        Raises:
            SpeaqError: supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError as error:
            raise SpeaqError(
                "to_supervision needs the package supervision: pip install 'speaq[supervision]'"
            ) from error
        names = np.array([entity.name for entity in self.entities], str)
        return Detections(
            xyxy=self.boxes, confidence=self.scores, class_id=self.labels, data={"class_name": names}
        )


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


def _of_edges(graph: GraphData) -> list[tuple[int, int, Attributes]]:
    """Subject, object and attributes of each relation."""
    edges = []
    for triplet, label in zip(graph.triplets, graph.predicates.tolist(), strict=True):
        data: Attributes = {"predicate": triplet.predicate, "label": label, "score": _short(triplet.score)}
        edges.append((triplet.subject_index, triplet.object_index, data))
    return edges


def _short(value: float) -> float:
    """A float32 value with its 7 significant digits."""
    return float(f"{value:.7g}")


def _for_graphml(attributes: Attributes) -> dict[str, Any]:
    """Attributes whose integers networkx declares as "int" rather than "long", and whose text XML allows."""
    convert = {str: _for_xml, int: np.int32, float: float}
    return {name: convert[type(value)](value) for name, value in attributes.items()}


def _for_xml(text: str) -> str:
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _dot_attributes(attributes: Attributes, title: str, style: Attributes) -> str:
    """Attributes of a node or an edge in brackets; its label is ``title`` and the score."""
    # In labels, Graphviz reads character references such as &lt; and &#65;.
    shown = str(attributes[title]).replace("&", "&amp;") + f"\n{attributes['score']:.2f}"
    rest = {"class_index" if name == "label" else name: value for name, value in attributes.items()}
    pairs = {"label": shown} | style | rest
    return f"[{', '.join(f'{name}={_dot_value(value)}' for name, value in pairs.items())}]"


def _dot_value(value: str | float) -> str:
    if not isinstance(value, str):
        plain = str(value).lstrip("-").replace(".", "", 1).isdecimal()  # neither 1e-05 nor inf
        return str(value) if plain else f'"{value}"'
    text = _for_xml(value).replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{text}"'


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
