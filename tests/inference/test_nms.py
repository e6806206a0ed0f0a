import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from speaq.inference.nms import classwise_nms, equal_pairs, suppress, triplet_nms


def test_classwise_nms_suppresses_and_assigns():
    boxes = np.array(
        [[0, 0, 10, 10], [0, 0, 10, 6], [0, 4, 10, 12], [0, 0, 10, 9], [50, 50, 50, 60]], np.float32
    )
    labels = np.array([1, 1, 1, 2, 1])
    scores = np.array([0.5, 0.9, 0.8, 0.1, 0.3], np.float32)
    keep, assignment = classwise_nms(boxes, labels, scores, 0.5)
    # Box 0 goes because of box 1 (IoU 0.6). Box 2 overlaps it by 6 / 12 = 0.5, which is not larger than 0.5.
    assert keep.tolist() == [1, 2, 4, 3]
    assert assignment.tolist() == [0, 0, 1, 3, 2]


def test_classwise_nms_assigns_to_the_kept_box_with_the_highest_iou():
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [3, 0, 13, 10]], np.float32)
    scores = np.array([0.9, 0.5, 0.8], np.float32)
    keep, assignment = classwise_nms(boxes, np.zeros(3, np.int64), scores, 0.5)
    # Box 2 is suppressed by box 0 (0.54), so box 1 stays (0.43), and box 2 is closer to box 1 (0.82).
    assert keep.tolist() == [0, 1]
    assert assignment.tolist() == [0, 1, 1]


def test_suppress_ignores_suppressed_items():
    # 0 suppresses 1, which therefore cannot suppress 2, which suppresses 3.
    keep = suppress(np.array([0, 1, 2]), np.array([1, 2, 3]), 5)
    assert keep.tolist() == [True, False, True, False, True]


def test_triplet_nms_needs_equal_classes_and_overlap():
    box, near, far = [0, 0, 10, 10], [0, 0, 10, 8], [20, 0, 30, 10]
    boxes = np.array([[box, box], [box, near], [near, near], [box, far], [box, box]], np.float32)
    triplets = np.array([[0, 1, 2]] * 4 + [[0, 1, 3]])
    # 0.8 goes, 0.8 * 0.8 = 0.64 stays, no overlap stays, another predicate stays.
    assert triplet_nms(boxes, triplets, 0.7).tolist() == [True, False, True, True, True]


@given(st.lists(st.integers(0, 4), max_size=20))
@settings(max_examples=50)
def test_equal_pairs_agree_with_a_double_loop(keys):
    earlier, later = equal_pairs(np.array(keys, np.int64))
    expected = {(i, j) for j in range(len(keys)) for i in range(j) if keys[i] == keys[j]}
    assert len(earlier) == len(expected)
    assert set(zip(earlier.tolist(), later.tolist(), strict=True)) == expected
