"""The result of a prediction: the entities of an image and the relations between them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from speaq.graph.export import ExportGraph
from speaq.graph.json import JsonGraph

if TYPE_CHECKING:
    from PIL import Image

    from speaq.images import ImageSource


class SceneGraph(JsonGraph, ExportGraph):
    """Entities of an image and the relations between them, best relation first.

    `GraphData` has the arrays, indexing, iteration, comparison and ``filter``; `JsonGraph` and `ExportGraph`
    add files and types of other libraries, and this class adds drawings.

    Examples:
        >>> graph = SceneGraph.from_json("graph.json")  # doctest: +SKIP
        >>> graph[0]  # doctest: +SKIP
        <cup on table (0.36)>
        >>> graph[graph.triplet_scores > 0.3].to_networkx()  # doctest: +SKIP
    """

    __slots__ = ()

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

        Lines of relations with higher scores are stronger. A note in the drawing says what was left out.

        Args:
            path: where to write the drawing: .svg and .pdf hold shapes and text, all other formats pixels.
            image: the image to draw on; by default the one the graph was made from.
            top: maximum number of relations, best first; without relations, of entities.
            score: minimum score of what is drawn.
            panel: where the diagram goes; None for no diagram, but arrows on the image.
            title: above the image.

        Raises:
            SpeaqError: the graph has no image or it cannot be read, or the drawing cannot be written.
        """
        from speaq.visualize.draw import draw_graph  # importing matplotlib takes a while

        return draw_graph(self, path=path, image=image, top=top, score=score, panel=panel, title=title)
