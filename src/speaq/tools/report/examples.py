"""Ground truth and prediction of an example image side by side, embedded in the page."""

import base64
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from speaq.errors import SpeaqError
from speaq.tools.report.contents import Example
from speaq.visualize.draw import draw_comparison

_WIDTH, _QUALITY = 1440, 80  # about 150 KB per image
_MIN_DRAWN = 10  # relations of the prediction


class ExampleImage(NamedTuple):
    """A JPEG as data URL, empty if it could not be drawn; its size in pixels.

    The text lists the relations in both halves, or is the error if it could not be drawn.
    """

    source: str
    text: str
    width: int = 0
    height: int = 0


def draw_example(example: Example) -> ExampleImage:
    """Draw the ground truth of an image beside the best relations of its prediction."""
    shown = max(len(example.truth), _MIN_DRAWN)
    titles = "Ground truth", f"Prediction, best {shown}"
    try:
        drawn = draw_comparison(example.truth, example.prediction, top=shown, titles=titles)
    except SpeaqError as error:  # images may have been moved since the evaluation
        return ExampleImage("", str(error))
    drawn.thumbnail((_WIDTH, 4 * _WIDTH), Image.Resampling.LANCZOS)
    file = BytesIO()
    drawn.save(file, "JPEG", quality=_QUALITY, optimize=True)
    texts = []
    for title, graph in zip(titles, (example.truth, example.prediction), strict=True):
        triplets = graph.filter(top=shown).triplets
        words = "; ".join(f"{triplet.subject} {triplet.predicate} {triplet.object}" for triplet in triplets)
        texts.append(f"{title}: {words or 'no relations'}.")
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return ExampleImage(source, " ".join(texts), drawn.width, drawn.height)
