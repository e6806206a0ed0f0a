"""The result of a prediction: the entities of an image and the relations between them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from speaq.graph.data import GraphData
from speaq.graph.export import graph_to_dot, graph_to_graphml, graph_to_networkx, graph_to_supervision
from speaq.graph.json import graph_from_json, graph_to_dict, graph_to_json

if TYPE_CHECKING:
    import networkx
    import supervision
    from PIL import Image

    from speaq.images import ImageSource


class SceneGraph(GraphData):
    """Entities of an image and the relations between them, best relation first.

    `GraphData` has the arrays, how a graph is indexed, iterated and compared, and ``filter``; this class adds
    files, drawings and conversion to the types of other libraries.

    Examples:
        >>> graph = SceneGraph.from_json("graph.json")  # doctest: +SKIP
        >>> graph[0]  # doctest: +SKIP
        <cup on table (0.36)>
        >>> graph[graph.triplet_scores > 0.3].to_networkx()  # doctest: +SKIP
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The graph in plain Python types, as docs/scene_graph_json.md describes them."""
        return graph_to_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """The graph as JSON text, one entity or relation per line; also written to ``path`` if given.

        Raises:
            SpeaqError: the graph has values that docs/scene_graph_json.md does not allow, such as a score
                that is not finite, or the file cannot be written.
        """
        return graph_to_json(self, path)

    @classmethod
    def from_json(cls, source: str | Path) -> Self:
        """Read a graph from a file or from the text that ``to_json`` returned, exactly as it was written.

        An image that did not come from a file is not stored.

        Raises:
            SpeaqError: the file is missing or is not what docs/scene_graph_json.md describes; the message
                names the place in the document.
        """
        return graph_from_json(source, cls)

    def to_networkx(self) -> "networkx.MultiDiGraph":
        """The graph for networkx: a node per entity (index from 0), an edge per relation.

        Nodes have name, label (the class index), score and the box as x1, y1, x2, y2; edges have predicate
        (its name), label and score. networkx can write all of them, as GraphML for example.
        """
        return graph_to_networkx(self)

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph as GraphML, for Gephi, yEd or igraph, with the attributes of ``to_networkx``.

        Raises:
            SpeaqError: the file cannot be written.
        """
        graph_to_graphml(self, path)

    def to_supervision(self) -> "supervision.Detections":
        """The entities as detections of the package supervision, whose data has their "class_name".

        Raises:
            SpeaqError: supervision is not installed.
        """
        return graph_to_supervision(self)

    def to_dot(self, path: str | Path | None = None) -> str:
        """The graph in the language of Graphviz; also written to ``path`` if given.

        Raises:
            SpeaqError: the file cannot be written.
        """
        return graph_to_dot(self, path)

    def draw(
        self,
        path: str | Path | None = None,
        *,
        image: "ImageSource | None" = None,
        top: int = 10,
        score: float = 0.0,
        panel: Literal["auto", "right", "below"] | None = "auto",
        title: str | None = None,
    ) -> "Image.Image":
        """Draw boxes and names of the best relations on the image, with the graph as a diagram beside it.

        Lines are the stronger the higher the score. A note in the drawing lists what was left out.

        Args:
            path: where to write the drawing: .svg and .pdf hold shapes and text, all other formats pixels.
            image: the image to draw on; by default the one the graph was made from.
            top: maximum number of relations, the best ones; of entities if there is no relation.
            score: minimum score of what is drawn.
            panel: where the diagram goes; None for no diagram, but arrows on the image.
            title: above the image.

        Raises:
            SpeaqError: the graph has no image or it cannot be read, or the drawing cannot be written.
        """
        from speaq.visualize.draw import draw_graph  # importing matplotlib takes a while

        return draw_graph(self, path=path, image=image, top=top, score=score, panel=panel, title=title)
