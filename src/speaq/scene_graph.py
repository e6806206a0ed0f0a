"""The result of a prediction: what is in an image, and how the things in it relate."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from speaq.graph.data import GraphData
from speaq.graph.export import graph_to_dot, graph_to_graphml, graph_to_networkx
from speaq.graph.json import graph_from_json, graph_to_dict, graph_to_json

if TYPE_CHECKING:
    import networkx
    from PIL import Image

    from speaq.images import ImageSource


class SceneGraph(GraphData):
    """Entities of an image and the relations between them, best relation first.

    The arrays are those of `GraphData`; this class adds files, drawings and the graphs of other libraries.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The whole graph in plain Python types; the words in it are for the reader's convenience."""
        return graph_to_dict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """The graph as JSON text, one entity or relation per line; also written to ``path`` where given.

        Raises:
            SpeaqError: the graph is not what docs/scene_graph_json.md allows (a score is no number, for
                instance), or the file cannot be written.
        """
        return graph_to_json(self, path)

    @classmethod
    def from_json(cls, source: str | Path) -> Self:
        """Read a graph back, exactly as it was (pixels of an image without a file excepted).

        Args:
            source: a file, or the text that ``to_json`` returned.

        Raises:
            SpeaqError: the file is missing or is not what docs/scene_graph_json.md describes.
        """
        return graph_from_json(source, cls)

    def to_networkx(self) -> "networkx.MultiDiGraph":
        """The graph for networkx: a node per entity (index from 0), an edge per relation.

        Nodes carry name, label (the class), score and the box as x1, y1, x2, y2; edges carry predicate (its
        name), label and score. All of it can be written by networkx, as GraphML for example.

        Raises:
            SpeaqError: networkx is not installed.
        """
        return graph_to_networkx(self)

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph as GraphML, for Gephi, yEd or igraph, with the attributes of ``to_networkx``.

        Raises:
            SpeaqError: the file cannot be written.
        """
        graph_to_graphml(self, path)

    def to_dot(self, path: str | Path | None = None) -> str:
        """The graph in the language of Graphviz; also written to ``path`` where given.

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
        """The image with boxes and names for the best relations, and beside it the graph that they form.

        Args:
            path: where to write the picture: .svg and .pdf hold shapes and text, all other formats pixels.
            image: what to draw on; by default the image that the graph was made from.
            top: how many relations are drawn at most, the best ones; entities, where there is no relation.
            score: the least score of what is drawn.
            panel: where the graph goes; None for no graph, but arrows on the image.
            title: above the picture.

        Raises:
            SpeaqError: the image is not known or cannot be read, or the picture cannot be written.
        """
        from speaq.visualize.image import draw_graph  # matplotlib takes its time

        return draw_graph(self, path=path, image=image, top=top, score=score, panel=panel, title=title)
