"""Ground truth and prediction of an image side by side, inside the page."""

import base64
from io import BytesIO
from xml.etree.ElementTree import Element

from PIL import Image

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.tools.report.contents import Example
from speaq.tools.report.markup import Content, element
from speaq.tools.report.tables import percent
from speaq.visualize.draw import draw_comparison

_WIDTH, _QUALITY = 1440, 80  # some 150 KB a picture
_LEAST_DRAWN = 10


def figure(example: Example, ks: tuple[int, ...]) -> Element:
    """A figure with the picture, and the recalls of the image under it."""
    shown = max(len(example.truth), _LEAST_DRAWN)
    recalls = ", ".join(f"R@{k} {percent(value)}" for k, value in zip(ks, example.recalls, strict=True))
    caption = [
        element("b", f"Image {example.image_id}"),
        f": {len(example.truth)} relations, {recalls}. The marks look at the predictions that are drawn.",
    ]
    return element("figure", _drawing(example, shown), element("figcaption", caption))


def _drawing(example: Example, shown: int) -> Content:
    titles = "Ground truth", f"Prediction, best {shown}"
    try:
        picture = draw_comparison(example.truth, example.prediction, top=shown, titles=titles)
    except SpeaqError as error:  # images may have moved since the evaluation
        return element("p", f"No picture: {error}", class_="missing")
    picture.thumbnail((_WIDTH, 4 * _WIDTH), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    image = element(
        "img",
        src=f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}",
        alt=" ".join(
            _in_words(graph, title, shown)
            for graph, title in zip((example.truth, example.prediction), titles, strict=True)
        ),
        width=picture.width,
        height=picture.height,
    )
    return element("div", image, class_="scroll picture", tabindex=0, role="group", aria_label="Comparison")


def _in_words(graph: SceneGraph, title: str, count: int) -> str:
    triplets = graph.filter(top=count).triplets
    said = "; ".join(f"{triplet.subject} {triplet.predicate} {triplet.object}" for triplet in triplets)
    return f"{title}: {said or 'nothing'}."
