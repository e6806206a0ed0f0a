from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.image import draw_comparison, draw_graph
from speaq.visualize.layout import Space, anchors, arrow, curve, tag_positions
from speaq.visualize.overlay import Look
from speaq.visualize.style import INK, PALETTE, WHITE, text_colour

BACKGROUND = (120, 140, 160)


def make_graph(width=128, height=96, **changes):
    boxes = np.array([[0.1, 0.3, 0.4, 0.9], [0.6, 0.5, 0.9, 0.95], [0.15, 0.4, 0.3, 0.6]])
    values = {
        "boxes": boxes * [width, height, width, height],
        "labels": [0, 1, 0],
        "scores": [0.9, 0.8, 0.7],
        "pairs": [[0, 1], [1, 0], [2, 0]],
        "predicates": [0, 1, 1],
        "predicate_probs": [[0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.2, 0.3, 0.5]],
        "image_size": (height, width),
        "vocabulary": Vocabulary(("person", "table"), ("left of", "near")),
        "image": Image.new("RGB", (width, height), BACKGROUND),
    }
    return SceneGraph(**values | changes)


def near_colour(picture, colour):
    """How many pixels have (nearly) this colour."""
    return int((np.abs(np.asarray(picture, int) - colour).max(axis=2) < 8).sum())


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((128, 128), (960, 960)),
        ((1000, 700), (1000, 700)),
        ((4000, 1000), (1600, 400)),
        ((30, 300), (96, 960)),
    ],
)
def test_sizes(size, drawn):
    assert draw_graph(make_graph(*size), panel=None).size == drawn


def test_boxes_are_where_they_should_be():
    graph = make_graph(1000, 1000).filter(top=1)
    picture = np.asarray(draw_graph(graph, panel=None), int)
    # Row 800 crosses the left sides of both boxes, at 100 and at 600.
    for x, colour in ((100, PALETTE[0]), (600, PALETTE[1])):
        assert np.abs(picture[800, x : x + 2] - colour).max() < 8
        assert np.abs(picture[800, x + 12] - BACKGROUND).max() < 8


def test_the_list_goes_where_it_is_wanted():
    graph = make_graph(400, 300)
    alone = draw_graph(graph, panel=None)
    right, below = draw_graph(graph), draw_graph(graph, panel="below")
    assert right.height == alone.height
    assert right.width > alone.width + 200
    assert below.width == alone.width
    assert below.height > alone.height + 100
    np.testing.assert_array_equal(np.asarray(right)[:, : alone.width], np.asarray(alone))
    assert near_colour(right.crop((alone.width, 0, *right.size)), PALETTE[0]) > 1000


def test_many_relations_fill_columns():
    pairs = [[0, 1]] * 60
    graph = make_graph(
        1000, 500, pairs=pairs, predicates=[0] * 60, predicate_probs=np.full((60, 3), 0.3), queries=None
    )
    picture = draw_graph(graph, top=60)
    assert picture.height == 500
    assert picture.width > 2000


def test_fewer_relations_are_drawn_on_demand():
    graph = make_graph()
    everything = draw_graph(graph, panel=None)
    assert near_colour(everything, PALETTE[2]) > 500
    assert near_colour(draw_graph(graph, top=2, panel=None), PALETTE[2]) == 0
    assert near_colour(draw_graph(graph, score=0.2, panel=None), PALETTE[2]) == 0


def test_entities_are_drawn_where_there_is_no_relation():
    graph = replace(
        make_graph(),
        pairs=np.zeros((0, 2)),
        predicates=np.zeros(0),
        predicate_probs=np.zeros((0, 3)),
        queries=np.zeros(0),
        pair_scores=np.zeros((0, 2)),
    )
    picture = draw_graph(graph, top=2)
    assert near_colour(picture, PALETTE[1]) > 500
    assert near_colour(picture, PALETTE[2]) == 0
    nothing = draw_graph(graph, score=0.99)
    assert near_colour(nothing, BACKGROUND) == 960 * 720


def test_relations_of_an_entity_with_itself_and_boxes_beyond_the_image():
    draw_graph(make_graph(pairs=[[0, 0], [1, 1], [2, 2]]))
    draw_graph(make_graph(boxes=[[-50, -50, 500, 500], [0, 0, 0, 0], [127, 95, 128, 96]]))
    draw_graph(make_graph(1, 1))


def test_comparison():
    truth = make_graph()
    prediction = make_graph(predicates=[0, 0, 1], labels=[0, 1, 1])
    picture = draw_comparison(truth, prediction)
    assert picture.width > 2 * 960
    # One relation is in both: the second has another predicate, the third another subject.
    green = (0, 158, 115)
    assert near_colour(picture.crop((970, 720, *picture.size)), green) > 20
    nothing_found = draw_comparison(truth, make_graph(labels=[1, 0, 1]))
    assert near_colour(nothing_found.crop((970, 720, *nothing_found.size)), green) == 0


def test_the_same_things_have_the_same_colour_on_both_sides():
    truth = make_graph(pairs=[[0, 1]], predicates=[0], predicate_probs=[[0.5, 0.3, 0.2]])
    swapped = make_graph(
        boxes=truth.boxes[[1, 0, 2]],
        labels=[1, 0, 0],
        pairs=[[1, 0]],
        predicates=[0],
        predicate_probs=[[0.5, 0.3, 0.2]],
    )
    picture = np.asarray(draw_comparison(truth, swapped))
    np.testing.assert_array_equal(picture[:720, :960], picture[:720, -960:])


def test_pictures_are_written(tmp_path):
    path = tmp_path / "new" / "graph.jpg"
    picture = draw_graph(make_graph(), path=path)
    assert Image.open(path).size == picture.size
    assert [file.name for file in path.parent.iterdir()] == ["graph.jpg"]
    make_graph().draw(tmp_path / "graph.png", panel=None, top=1)
    assert Image.open(tmp_path / "graph.png").size == (960, 720)
    with pytest.raises(SpeaqError, match=r"graph.xyz: cannot write a picture with this ending"):
        draw_graph(make_graph(), path=tmp_path / "graph.xyz")


def test_the_image_can_be_given(tmp_path):
    graph = make_graph(image=None)
    with pytest.raises(SpeaqError, match="does not know its image"):
        draw_graph(graph)
    red = Image.new("RGB", (64, 48), (200, 0, 0))  # half the resolution: boxes are scaled to it
    assert near_colour(graph.draw(image=red, panel=None), (200, 0, 0)) > 100_000
    with pytest.raises(SpeaqError, match=r"gone.jpg"):
        draw_graph(make_graph(image=Path(tmp_path / "gone.jpg")))


def test_names_are_numbered_where_they_repeat():
    look = Look.of(make_graph())
    assert look.names == ["person 1", "table", "person 2"]
    assert look.colours == list(PALETTE[:3])


def test_labels_can_be_read():
    for colour in PALETTE:
        ink = text_colour(colour)
        luminance = [
            sum(w * (c / 255) ** 2.2 for w, c in zip((0.2126, 0.7152, 0.0722), rgb, strict=True)) + 0.05
            for rgb in (colour, ink)
        ]
        assert max(luminance) / min(luminance) > 3
    assert text_colour((255, 255, 255)) == INK
    assert text_colour((0, 0, 0)) == WHITE


def test_labels_avoid_each_other():
    space = Space((200, 100))
    tags = [space.place((40, 10), tag_positions((50, 50, 150, 80), (40, 10))) for _ in range(8)]
    for i, a in enumerate(tags):
        assert a[0] >= 0
        assert a[2] <= 200
        for b in tags[:i]:
            assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])
    assert tags[0] == (50, 40, 90, 50)  # above the left corner, where it is free


def test_ends_of_arrows():
    left, right = (0, 0, 40, 40), (100, 0, 140, 40)
    assert anchors(left, right, distance=30) == ((20, 20), (120, 20))
    start, end = anchors((0, 0, 100, 100), (40, 40, 60, 60), distance=20)
    assert np.hypot(start[0] - end[0], start[1] - end[1]) >= 20
    for x, y in (start, end):
        assert 0 <= x <= 100
        assert 0 <= y <= 100


def test_arrow_stops_before_its_end():
    points = curve((0, 0), (100, 0), bend=0)
    assert points[50] == (50, 0)
    shaft, head = arrow(points, length=10, gap=5)
    assert head[0] == pytest.approx((95, 0))
    assert shaft[-1] == pytest.approx((87, 0))
    assert sorted(round(y, 3) for _, y in head) == [-5, 0, 5]
    there, back = curve((0, 0), (100, 0), bend=0.1), curve((100, 0), (0, 0), bend=0.1)
    assert there[50] == pytest.approx((50, 10))
    assert back[50] == pytest.approx((50, -10))
    shaft, head = arrow([(0.0, 0.0), (1.0, 0.0)], length=10, gap=5)  # shorter than its head
    assert np.isfinite(head).all()
