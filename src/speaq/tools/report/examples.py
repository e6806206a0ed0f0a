"""Ground truth and prediction of an example image side by side, embedded in the page."""

import base64
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.tools.report.contents import Example
from speaq.visualize.draw import draw_comparison

_WIDTH, _QUALITY = 1440, 80  # about 150 KB per picture
_MIN_DRAWN = 10  # relations of the prediction


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG for an ``img`` element.

    Attributes:
        source: data URL; empty if the picture could not be drawn.
        text: the relations in both halves; the error if it could not be drawn.
        width: pixels.
        height: pixels.
    """

    source: str
    text: str
    width: int = 0
    height: int = 0


def draw_example(example: Example) -> Picture:
    """Draw the ground truth of an image beside the best relations of its prediction."""
    shown = max(len(example.truth), _MIN_DRAWN)
    titles = "Ground truth", f"Prediction, best {shown}"
    try:
        picture = draw_comparison(example.truth, example.prediction, top=shown, titles=titles)
    except SpeaqError as error:  # images may have been moved since the evaluation
        return Picture("", str(error))
    picture.thumbnail((_WIDTH, 4 * _WIDTH), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    graphs = zip((example.truth, example.prediction), titles, strict=True)
    return Picture(
        f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        " ".join(_describe(graph, title, shown) for graph, title in graphs),
        picture.width,
        picture.height,
    )


def _describe(graph: SceneGraph, title: str, count: int) -> str:
    triplets = graph.filter(top=count).triplets
    words = "; ".join(f"{triplet.subject} {triplet.predicate} {triplet.object}" for triplet in triplets)
    return f"{title}: {words or 'no relations'}."
