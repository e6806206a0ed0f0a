"""The wall of thumbnails of a data set, and the view of one of its images."""

from html import escape

import numpy as np

from speaq.errors import SpeaqError
from speaq.evaluation.recall import hits_at, image_hits
from speaq.tools.app.index import DEPTH, DataIndex
from speaq.tools.app.view import PHOTO_SIZE, THUMBNAIL_SIZE, Card, data_url, view_html, wall_html

PAGE = 24
"""Images on a page of the wall."""
_SHOWN = 10  # best relations of a prediction, beside the hits


def number_of_pages(images: np.ndarray) -> int:
    """Pages of the wall, at least one."""
    return max(1, -(-len(images) // PAGE))


def wall_page(index: DataIndex, images: np.ndarray, page: int, worst: str = "") -> str:
    """The thumbnails of a page, from 1; with ``worst`` each has the recall of these predictions."""
    recalls = next((each.recalls for each in index.compared if each.name == worst), None)
    return wall_html(
        [
            _card(index, image, None if recalls is None else float(recalls[image]))
            for image in images[PAGE * (page - 1) : PAGE * page].tolist()
        ]
    )


def _card(index: DataIndex, image: int, recall: float | None) -> Card:
    part, row = index.part(image)
    try:
        picture = data_url(part.dataset.read(row)[0], THUMBNAIL_SIZE)
    except SpeaqError:
        picture = ""  # the view of the image says why
    count = int(np.diff(part.dataset.relation_offsets[row : row + 2])[0])
    caption = f"{part.name}, {count} relation{'' if count == 1 else 's'}"
    if recall is not None:
        caption = f"R@{DEPTH} {100 * recall:.0f}, {caption}"
    return Card(image, str(part.ids[row]), picture, caption)


def image_html(index: DataIndex, image: int) -> str:
    """An image: its findings, and its ground truth beside the predictions for it, with hits and misses."""
    part, row = index.part(image)
    heading = f"Image {part.ids[row]} ({part.name})"
    notes = index.findings_of(image) if "findings" in vars(index) else []
    views = []
    try:
        photo, annotation = part.dataset.read(row)
        picture, truth = data_url(photo, PHOTO_SIZE), index.truth(image)
    except SpeaqError as error:
        notes.append(str(error))
    else:
        views.append(view_html(truth, picture, title="Ground truth"))
        for each in index.compared:
            graph = each.graph(image)
            if graph is None:
                continue
            hits = image_hits(graph, annotation, depth=DEPTH)
            found = np.asarray(hits_at(hits.ranks[0], [DEPTH]))[0]
            recall = f"R@{DEPTH} {100 * found.mean():.1f} %" if found.size else "no annotated relation"
            missed = [f"{each.subject} {each.predicate} {each.object}" for each in truth[~found]]
            note = f"{recall}; missed: {', '.join(missed[:10])}" if missed else recall
            is_hit = np.any(hits.correct, axis=1)
            rows = np.flatnonzero(is_hit | (np.arange(len(is_hit)) < _SHOWN)).tolist()
            marks = ["hit" if hit else "" for hit in is_hit[rows]]
            views.append(view_html(graph[rows], picture, title=each.name, marks=marks, note=note))
    lines = "".join(f'<p class="sg-finding">{escape(note)}</p>' for note in notes)
    return f'<h2>{escape(heading)}</h2>{lines}<div class="sg-views">{"".join(views)}</div>'
