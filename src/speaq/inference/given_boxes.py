"""Relations between given boxes, in NumPy and without torch.

The network predicts its own boxes: each entity query has a subject and an object. For boxes that are given,
such as ground truth or the output of a detector, every query is compared with every pair of them:

- ``match(q, i)`` = ((1 + GIoU) / 2)^4 · P(class of box i), for the box and the class probabilities of the
  subject, or of the object, of query q; GIoU is the generalised IoU (Rezatofighi et al., CVPR 2019).
- A box without a class gets the class with the highest match over all subjects and objects, and this match
  as its score. The score of a box with a given class is 1.
- P(predicate | i, j) = max over q of match(q, i) · match(q, j) · P(predicate | q), where q ranges over the
  predicate queries that have this predicate among their K best, and i is not j.

The relations of the graph are these triples of a pair and a predicate, sorted by subject score · object
score · P(predicate | i, j), at most as many as the network predicts without given boxes, P · K.
docs/evaluation.md compares this rule with others: one with IoU in the place of GIoU, and one in which each
query relates its best pair alone.

Shape letters: see `speaq.structures`, with N given boxes; K: predicates kept per query (TEST.NUM_REL).
"""

import difflib
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from speaq.errors import SpeaqError
from speaq.graph.boxes import box_giou
from speaq.images import is_one_image
from speaq.scene_graph import SceneGraph
from speaq.structures import Annotation, Vocabulary

if TYPE_CHECKING:
    from speaq.inference.graph_builder import Reduced

MAX_BOXES = 1000
"""Maximum number of given boxes of an image; time and memory grow with its square."""
_SHARPNESS = 4  # exponent of the similarity of two boxes


class GivenBoxes(NamedTuple):
    """The boxes between which relations of an image are predicted.

    Attributes:
        boxes: (N, 4) float32, xyxy in pixels of the original image.
        labels: (N,) int64, object class from 0; -1 for a box that the model classifies.
    """

    boxes: np.ndarray
    labels: np.ndarray

    @classmethod
    def of_annotation(cls, annotation: Annotation, *, classes: bool) -> "GivenBoxes":
        """The ground truth of an image, with (predcls) or without (sgcls) its classes."""
        labels = annotation.labels if classes else np.full(len(annotation.labels), -1)
        return cls(annotation.boxes, labels)

    def check_inside(self, size: Sequence[int], place: str) -> None:
        """Check that every box shares some area with an image of this height and width.

        Raises:
            SpeaqError: a box is outside, or all are relative to the size of the image.
        """
        height, width = size
        if len(self.boxes) and self.boxes.max() <= 1 < min(size):
            raise SpeaqError(
                f"{place}: boxes: expected pixels of the image of {width}x{height}, found numbers in 0..1; "
                "multiply x by the width and y by the height"
            )
        low, high = self.boxes[:, :2].clip(min=0), self.boxes[:, 2:].clip(max=(width, height))
        outside = np.flatnonzero((low >= high).any(axis=1))
        if len(outside):
            raise SpeaqError(
                f"{place}: boxes[{outside[0]}]: expected a box in the image of {width}x{height} pixels, "
                f"found {self.boxes[outside[0]].tolist()}"
            )


def check_given_boxes(
    images: Any, boxes: Any, labels: Any, vocabulary: Vocabulary
) -> list[GivenBoxes] | None:
    """The arguments ``boxes`` and ``labels`` of a prediction, for each of its ``images``; None without boxes.

    Raises:
        SpeaqError: they are not what `speaq.pretrained.Speaq.predict` describes.
    """
    if boxes is None:
        if labels is not None:
            raise SpeaqError("labels are the classes of given boxes: give the boxes, too")
        return None
    sources = images if isinstance(images, list | tuple) else []
    if is_one_image(images):
        sources, boxes, labels = [images], [boxes], None if labels is None else [labels]
    for name, entries in (("boxes", boxes), ("labels", labels)):
        if entries is not None and not hasattr(entries, "__len__"):
            raise SpeaqError(
                f"{name}: expected a list with an entry per image, found {reprlib.repr(entries)}"
            )
    labels = [None] * len(boxes) if labels is None else labels
    if len(labels) != len(boxes):
        raise SpeaqError(
            f"labels: expected one entry per image, {len(boxes)} as in boxes, found {len(labels)}"
        )
    places = [str(each) if isinstance(each, str | Path) else f"image {i}" for i, each in enumerate(sources)]
    places += [f"image {index}" for index in range(len(places), len(boxes))]
    return [
        _checked(boxes[index], labels[index], vocabulary.objects, places[index])
        for index in range(len(boxes))
    ]


def _checked(boxes: Any, labels: Any, names: Sequence[str], place: str) -> GivenBoxes:
    """The boxes of one image, of which the arguments are checked."""
    try:
        with np.errstate(over="ignore"):  # infinity is refused below
            array = np.asarray(boxes, np.float32)
    except (OverflowError, TypeError, ValueError) as error:
        raise SpeaqError(
            f"{place}: boxes: expected an array (N, 4) of numbers ({str(error)[:200]})"
        ) from error
    array = array.reshape(-1, 4) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise SpeaqError(f"{place}: boxes: expected an array (N, 4), found the shape {array.shape}")
    if len(array) > MAX_BOXES:
        raise SpeaqError(f"{place}: boxes: expected at most {MAX_BOXES}, found {len(array)}")
    right = np.isfinite(array).all(axis=1) & (array[:, :2] < array[:, 2:]).all(axis=1)
    if not right.all():
        row = int(np.argmin(right))
        raise SpeaqError(
            f"{place}: boxes[{row}]: expected x1, y1, x2, y2 in pixels with x1 < x2 and y1 < y2, found "
            f"{array[row].tolist()}"
        )
    if labels is None:
        return GivenBoxes(array, np.full(len(array), -1))
    values = labels.tolist() if hasattr(labels, "tolist") else labels
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise SpeaqError(
            f"{place}: labels: expected a list with one class per box, found {reprlib.repr(values)}"
        )
    indices = [_label(value, names, f"{place}: labels[{i}]") for i, value in enumerate(values)]
    if len(indices) != len(array):
        raise SpeaqError(f"{place}: labels: expected one per box, {len(array)}, found {len(indices)}")
    return GivenBoxes(array, np.array(indices, np.int64))


def _label(value: Any, names: Sequence[str], place: str) -> int:
    """The class with a name or number; -1 for None."""
    if value is None:
        return -1
    if isinstance(value, str):
        if value in names:
            return names.index(value)
        near = difflib.get_close_matches(value, names, n=3) or list(names[:3])
        raise SpeaqError(
            f"{place}: expected one of the {len(names)} object classes of the model, such as "
            f"{', '.join(map(repr, near))}; found {reprlib.repr(value)}"
        )
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < len(names):
        return int(value)
    raise SpeaqError(
        f"{place}: expected the name of a class or 0 to {len(names) - 1}, found {reprlib.repr(value)}"
    )


def relate(
    given: GivenBoxes, image: "Reduced", size: Sequence[int], vocabulary: Vocabulary | None = None
) -> SceneGraph:
    """The scene graph of an image whose entities are the given boxes, in their order; see the module.

    Args:
        given: N boxes.
        image: the arrays of one image, without the axis B.
        size: height and width of the image in pixels.
        vocabulary: class names for the graph.
    """
    _, _, boxes, predicate_probs, predicates, object_probs = image
    height, width = size
    boxes = boxes * np.array((width, height, width, height), np.float32)
    similarity = ((1 + box_giou(boxes[:, :, None], given.boxes)) / 2) ** _SHARPNESS  # (2, Q, N)
    labels, scores = given.labels, np.ones(len(given.boxes), np.float32)
    unknown = np.flatnonzero(labels < 0)
    if len(unknown):
        compared = similarity[:, :, unknown]
        by_class = np.array(
            [(compared * probs[..., None]).max((0, 1)) for probs in np.moveaxis(object_probs, 2, 0)]
        )
        labels = labels.copy()
        labels[unknown], scores[unknown] = by_class.argmax(axis=0), by_class.max(axis=0)
    match = similarity * object_probs[:, :, labels]
    limit = predicates.size
    pairs, queries, products = _best_queries(match, predicate_probs, predicates, scores, limit)
    order = np.argsort(-products, kind="stable")[:limit]
    pairs, queries = pairs[order], queries[order]
    query = queries // predicates.shape[1]
    entity_query = query // (len(predicates) // boxes.shape[1])
    weights = match[0, entity_query, pairs[:, 0]] * match[1, entity_query, pairs[:, 1]]
    probs = predicate_probs[query, :-1] * weights[:, None]
    return SceneGraph(
        boxes=given.boxes,
        labels=labels,
        scores=scores,
        pairs=pairs,
        predicates=predicates.ravel()[queries],
        predicate_probs=np.column_stack((probs, (1 - probs.sum(axis=1)).clip(min=0))),
        image_size=(height, width),
        queries=queries,
        vocabulary=vocabulary,
    )


def _best_queries(
    match: np.ndarray,
    predicate_probs: np.ndarray,
    predicates: np.ndarray,
    scores: np.ndarray,
    limit: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best query for each pair of boxes and each predicate, of at least the ``limit`` best relations.

    Returns:
        pairs (M, 2), queries (M,) as j · K + r for the r-th best predicate of query j, and scores (M,).
    """
    multiplier, kept = len(predicates) // match.shape[1], predicates.shape[1]
    pair_scores = np.outer(scores, scores)
    found = [(np.zeros((0, 2), np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))]
    for predicate in np.unique(predicates):
        best, best_query = np.zeros_like(pair_scores), np.zeros(pair_scores.shape, np.int64)
        for query, rank in np.argwhere(predicates == predicate).tolist():
            subject, object_ = match[:, query // multiplier]
            products = np.outer(subject * predicate_probs[query, predicate], object_)
            better = products > best
            best[better], best_query[better] = products[better], query * kept + rank
        best *= pair_scores
        np.fill_diagonal(best, 0)
        if best.size > limit:
            best[best < np.partition(best.ravel(), -limit)[-limit]] = 0
        pairs = np.argwhere(best > 0)
        rows = tuple(pairs.T)
        found.append((pairs, best_query[rows], best[rows]))
    pairs, queries, products = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return pairs, queries, products
