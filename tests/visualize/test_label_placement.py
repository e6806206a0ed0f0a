import numpy as np
import pytest

from speaq.visualize.label_placement import (
    LabelSpace,
    arc,
    arrow,
    arrow_ends,
    arrow_head,
    distance,
    line_positions,
    tag_positions,
)


def overlaps(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 1e-6 and min(a[3], b[3]) - max(a[1], b[1]) > 1e-6


def test_place_never_overlaps_labels():
    space, box = LabelSpace((200, 100)), (50, 50, 150, 80)
    tags = list(iter(lambda: space.place((40, 10), tag_positions(box, (40, 10)), box), None))
    assert tags[0] == (50, 40, 90, 50)  # above the left corner, where it is free
    assert tags[1] == (110, 40, 150, 50)
    assert len(tags) > 35  # until the image is full
    for i, a in enumerate(tags):
        assert 0 <= a[0] < a[2] <= 200
        assert 0 <= a[1] < a[3] <= 100
        assert not any(overlaps(a, b) for b in tags[:i])


def test_place_falls_back_to_positions_near_the_box():
    space, box = LabelSpace((400, 400)), (200, 200, 210, 210)
    tags = [space.place((40, 10), tag_positions(box, (40, 10)), box) for _ in range(40)]
    away = [distance(tag, box) for tag in tags]
    assert away[:6] == [0] * 6
    assert 0 < max(away) < 60


def test_place_stays_inside_and_off_reserved_points():
    space = LabelSpace((100, 50))
    assert space.place((40, 10), [(90, -5)], (0, 0, 1, 1)) == (60, 0, 100, 10)
    assert space.place((101, 10), [(0, 0)], (0, 0, 1, 1)) is None
    space.reserve((20, 30), radius=10)
    assert space.place((40, 10), [(0, 25), (30, 25)], (0, 0, 1, 1)) == (30, 25, 70, 35)


def test_distance_between_boxes():
    assert distance((0, 0, 10, 10), (13, 14, 20, 20)) == 5
    assert distance((0, 0, 10, 10), (10, 5, 20, 20)) == 0
    assert distance((0, 0, 10, 10), (2, -8, 3, -4)) == 4


def test_arrow_ends_keep_a_minimum_length():
    left, right = (0, 0, 40, 40), (100, 0, 140, 40)
    assert arrow_ends(left, right, min_length=30) == ((20, 20), (120, 20))
    start, end = arrow_ends((0, 0, 100, 100), (40, 40, 60, 60), min_length=20)
    assert np.hypot(start[0] - end[0], start[1] - end[1]) >= 20
    for x, y in (start, end):
        assert 0 <= x <= 100
        assert 0 <= y <= 100


def test_arc_bends_to_its_left():
    forward, backward = arc((0, 0), (100, 0), bend=0.1), arc((100, 0), (0, 0), bend=0.1)
    assert forward[30] == pytest.approx((50, 10))
    assert backward[30] == pytest.approx((50, -10))
    np.testing.assert_allclose(forward[[0, -1]], [(0, 0), (100, 0)])


def test_arrow_stops_before_its_end():
    shaft, corners = arrow(arc((0, 0), (120, 0), bend=0), length=10, gap=4)
    assert corners[0] == pytest.approx((116, 0))
    assert 106 <= shaft[-1][0] <= 108
    assert sorted(round(y, 3) for _, y in corners) == [-4.5, 0, 4.5]
    shaft, corners = arrow(np.array([(0.0, 0.0), (1.0, 0.0)]), length=10, gap=5)  # shorter than its head
    assert np.isfinite(corners).all()
    np.testing.assert_allclose(arrow_head((5, 5), (0, 2), 4), [(5, 5), (3.2, 1), (6.8, 1)])


def test_line_positions_begin_at_the_middle():
    points = arc((0, 0), (100, 0), bend=0)
    positions = line_positions(points, (20, 10))
    assert positions[0] == pytest.approx((40, -5))
    assert positions[-1][1] == -25
