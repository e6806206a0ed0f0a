"""The list of relations beside a picture."""

from collections.abc import Collection, Sequence

from PIL import Image

from speaq.scene_graph import SceneGraph
from speaq.visualize.overlay import Look
from speaq.visualize.style import (
    FAINT,
    GREEN,
    GREY,
    INK,
    WHITE,
    Sketch,
    tag_size,
    text_width,
)


def relation_list(
    graph: SceneGraph,
    look: Look,
    *,
    size: int,
    title: str,
    width: int | None = None,
    height: int = 0,
    ticked: Collection[int] = (),
) -> Image.Image:
    """A picture of the relations in words, a row each: names on the colours of the drawing, and the score.

    Args:
        graph: whose relations (or, where it has none, entities) are listed.
        look: of its entities.
        size: of the text in pixels.
        title: above the list.
        width: of the picture in pixels, filled with as many columns as fit.
        height: where no width is given, one column is used, or more where it would be much higher than this.
        ticked: relations that get a tick.
    """
    rows = [
        [
            (look.names[t.subject_index], t.subject_index),
            (t.predicate, None),
            (look.names[t.object_index], t.object_index),
        ]
        for t in graph.triplets
    ] or [[(name, index)] for index, name in enumerate(look.names)]
    scores = [triplet.score for triplet in graph.triplets] or graph.scores.tolist()

    gap, row_height, margin = size // 2, round(2.1 * size), size
    score_width = text_width("0.00", size) + 2 * gap + (round(1.4 * size) if ticked else 0)
    column = max([_row_width(row, size, gap) for row in rows], default=0) + score_width + gap
    column = max(column, text_width(title, round(1.2 * size)))
    top = margin + round(2.2 * size)
    if width is not None:
        columns = (width - margin) // (column + margin)
    else:
        columns = -(-len(rows) // max((height - top) // row_height, 8))
    columns = min(max(columns, 1), max(len(rows), 1))
    per_column = max(-(-len(rows) // columns), 1)
    picture_size = (
        max(width or 0, columns * (column + margin) + margin),
        top + per_column * row_height + margin // 2,
    )
    sketch = Sketch(picture_size)
    sketch.text((margin, margin + size * 0.6), title, round(1.2 * size))
    if not rows:
        sketch.text((margin, top + row_height / 2), "nothing found", size, GREY)
    for index, (row, score) in enumerate(zip(rows, scores, strict=True)):
        x = margin + index // per_column * (column + margin)
        y = top + index % per_column * row_height
        right = x + column
        sketch.plate((x, y + row_height - 2, right, y + row_height - 1), FAINT, radius=0)
        sketch.text((right, y + row_height / 2), f"{score:.2f}", size, GREY, anchor="rm")
        if index in ticked:
            _tick(sketch, right - score_width + 1.5 * gap, y + row_height / 2, size)
        for text, entity in row:
            tag_width, tag_height = tag_size(text, size)
            middle = y + (row_height - tag_height) / 2
            if entity is None:
                sketch.text((x, y + row_height / 2), text, size, INK)
                x += text_width(text, size) + gap
            else:
                sketch.tag((x, middle, x + tag_width, middle + tag_height), text, size, look.colours[entity])
                x += tag_width + gap
    return sketch.onto(Image.new("RGB", picture_size, WHITE))


def _row_width(row: Sequence[tuple[str, int | None]], size: int, gap: int) -> int:
    return sum(
        (text_width(text, size) if entity is None else tag_size(text, size)[0]) + gap for text, entity in row
    )


def _tick(sketch: Sketch, x: float, y: float, size: int) -> None:
    sketch.line(
        [(x, y), (x + 0.25 * size, y + 0.3 * size), (x + 0.8 * size, y - 0.35 * size)], GREEN, size / 7
    )
