"""Greedy non-maximum suppression (NMS) of boxes and of triplets, in NumPy.

Shape letters: see `speaq.structures`.
"""

import numpy as np

from speaq.graph.boxes import box_iou


def classwise_nms(
    boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Class-wise NMS of ``boxes`` (N, 4) xyxy that also assigns each box to one of the kept boxes.

    A box is suppressed if its IoU with a kept box of its class and a higher score is above ``threshold``.

    Returns:
        keep: (E,) indices of the kept boxes, by descending score.
        assignment: (N,) for each box the position in ``keep`` of the kept box of its class with the highest
            IoU; for a kept box its own.
    """
    order = np.argsort(-scores, kind="stable")
    first, second = equal_pairs(labels[order])
    iou = box_iou(boxes[order[first]], boxes[order[second]])
    overlaps = iou > threshold
    first, second, iou = first[overlaps], second[overlaps], iou[overlaps]
    kept = suppress(first, second, len(order))

    # A suppressed box overlaps a kept one by more than the threshold, so other pairs do not matter.
    box, other = np.concatenate((first, second)), np.concatenate((second, first))
    iou = np.concatenate((iou, iou))
    valid = ~kept[box] & kept[other]
    box, other, iou = box[valid], other[valid], iou[valid]
    by_iou = np.lexsort((-other, iou))
    owner = np.arange(len(order))
    owner[box[by_iou]] = other[by_iou]  # the last one of a box stays: the highest IoU, then the highest score
    assignment = np.empty_like(order)
    assignment[order] = (np.cumsum(kept) - 1)[owner]
    return order[kept], assignment


def triplet_nms(boxes: np.ndarray, triplets: np.ndarray, threshold: float) -> np.ndarray:
    """NMS among the ``triplets`` (M, 3) of equal classes, sorted by descending score.

    A triplet is suppressed if the product of the IoU of its subject and that of its object, in ``boxes``
    (M, 2, 4) xyxy, with a kept triplet of a higher score is above ``threshold``.

    Returns:
        (M,) bool, True for the kept triplets.
    """
    _, keys = np.unique(triplets, axis=0, return_inverse=True)
    first, second = equal_pairs(keys.reshape(-1))
    overlaps = box_iou(boxes[first], boxes[second]).prod(axis=1) > threshold
    return suppress(first[overlaps], second[overlaps], len(boxes))


def equal_pairs(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs i < j of positions of equal values in ``keys`` (N,): each i, and each j."""
    order = np.argsort(keys, kind="stable")
    _, counts = np.unique(keys, return_counts=True)
    position = np.arange(len(keys))
    partners = np.repeat(np.cumsum(counts), counts) - position - 1  # equal values that follow in the order
    first = np.repeat(position, partners)
    start = np.repeat(np.cumsum(partners) - partners, partners)
    second = first + 1 + np.arange(len(first)) - start
    return order[first], order[second]


def suppress(first: np.ndarray, second: np.ndarray, count: int) -> np.ndarray:
    """Which of ``count`` items are kept, (count,) bool, if a kept item ``first`` suppresses item ``second``.

    Items are sorted by descending score, so first < second. The suppression is repeated until the result is
    stable; after t rounds the first t items are final, but a few rounds suffice in practice.
    """
    kept = np.ones(count, bool)
    while True:
        updated = np.ones(count, bool)
        updated[second[kept[first]]] = False
        if np.array_equal(updated, kept):
            return kept
        kept = updated
