from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.graph.colours import PALETTE
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.draw import draw_comparison, draw_graph

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


def without_relations(graph):
    return replace(
        graph,
        pairs=np.zeros((0, 2)),
        predicates=np.zeros(0),
        predicate_probs=np.zeros((0, 3)),
        queries=np.zeros(0),
        pair_scores=np.zeros((0, 2)),
    )


def near_colour(drawing, colour):
    """How many pixels have (nearly) this colour."""
    return int((np.abs(np.asarray(drawing, int) - colour).max(axis=2) < 8).sum())


def texts(path):
    return [
        element.text for element in ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    ]


def test_svg_is_valid_xml_whatever_the_names(tmp_path):
    name = "a\x00\x1b[31m\ufffe<&>\ud800"
    graph = make_graph(vocabulary=Vocabulary((name, "table"), (name, "near")))
    draw_graph(graph, path=tmp_path / "a.svg", title=name)
    shown = "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}<&>"
    found = [text for text in texts(tmp_path / "a.svg") if text and text.startswith(shown)]
    assert len(found) >= 3


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((128, 128), (1440, 1440)),
        ((1000, 700), (1440, 1008)),
        ((32, 24), (1440, 1080)),
        ((4000, 1000), (1584, 396)),
        ((8000, 400), (2880, 144)),
        ((30, 300), (288, 2880)),
    ],
)
def test_draw_graph_gives_these_sizes(size, drawn):
    assert draw_graph(make_graph(*size), panel=None).size == drawn


def test_boxes_are_drawn_at_their_positions():
    graph = make_graph(1000, 1000).filter(top=1)
    drawing = np.asarray(draw_graph(graph, panel=None), int)
    # Row 1150 of 1440 crosses the left sides of both boxes, at 144 and at 864.
    for x, colour in ((144, PALETTE[0]), (864, PALETTE[1])):
        assert np.abs(drawing[1150, x - 1 : x + 1] - colour).max() < 20
        assert np.abs(drawing[1150, x + 12] - BACKGROUND).max() < 20


def test_panel_places_the_diagram():
    graph = make_graph(400, 300)
    right, below, alone = (draw_graph(graph, panel=panel) for panel in ("right", "below", None))
    assert right.height == alone.height
    assert right.width > alone.width + 200
    assert below.width == alone.width
    assert below.height > alone.height + 100
    assert near_colour(right.crop((alone.width, 0, *right.size)), PALETTE[0]) > 1000
    assert near_colour(below.crop((0, alone.height, *below.size)), PALETTE[0]) > 1000
    for size, side in (((300, 500), "right"), ((2000, 300), "below")):
        graph = make_graph(*size)
        assert draw_graph(graph).size == draw_graph(graph, panel=side).size


def test_lines_are_the_stronger_the_higher_the_score():
    def greyness(score):
        graph = make_graph(500, 500, scores=[score] * 3, pair_scores=[[1, 1]] * 3).filter(top=1)
        drawing = np.asarray(draw_graph(graph, panel=None), int)
        return [np.abs(drawing[1150, 720 + i] - PALETTE[1]).sum() for i in (143, 144, 145)]

    assert np.sum(greyness(0.1)) > np.sum(greyness(0.9))


def test_a_note_says_what_is_left_out(tmp_path):
    path, graph = tmp_path / "a.svg", make_graph()
    draw_graph(graph, path=path)
    assert not [text for text in texts(path) if text.startswith("Shown")]
    draw_graph(graph, path=path, top=2)
    assert texts(path)[-1] == "Shown: 2 of 3 relations and 2 of 3 entities, the best ones"
    draw_graph(graph, path=path, score=0.2, title="A <title>")
    assert "Shown: 2 of 3 relations and 2 of 3 entities, the best ones" in texts(path)
    assert "A <title>" in texts(path)
    lone = make_graph(pairs=[[0, 1], [1, 0], [1, 0]])
    draw_graph(lone, path=path)
    assert texts(path)[-1] == "Shown: 2 of 3 entities, those with relations"


def test_top_and_score_limit_what_is_drawn():
    graph = make_graph()
    whole = draw_graph(graph, panel=None)
    assert near_colour(whole, PALETTE[2]) > 500
    assert near_colour(draw_graph(graph, top=2, panel=None), PALETTE[2]) == 0
    assert near_colour(draw_graph(graph, score=0.2, panel=None), PALETTE[2]) == 0


def test_entities_are_drawn_where_there_is_no_relation(tmp_path):
    graph = without_relations(make_graph())
    draw_graph(graph, path=tmp_path / "a.svg", top=2)
    assert sorted(texts(tmp_path / "a.svg")) == sorted(
        ["person", "table"] * 2 + ["0.90", "0.80", "Shown: 2 of 3 entities, the best ones"]
    )
    empty = draw_graph(graph, score=0.99, path=tmp_path / "a.svg")
    assert texts(tmp_path / "a.svg") == ["nothing found", "Shown: 0 of 3 entities, the best ones"]
    assert near_colour(empty, BACKGROUND) == 1440 * 1080


def test_ground_truth_has_no_scores(tmp_path):
    truth = make_graph(scores=[1, 1, 1], predicate_probs=np.eye(3)[[0, 1, 1]])
    draw_graph(truth, path=tmp_path / "a.svg")
    assert not [text for text in texts(tmp_path / "a.svg") if "1.00" in text]


def test_unusual_graphs_can_be_drawn():
    for panel in ("right", None):
        draw_graph(make_graph(pairs=[[0, 0], [1, 1], [2, 2]]), panel=panel)
        draw_graph(make_graph(boxes=[[-50, -50, 500, 500], [0, 0, 0, 0], [127, 95, 128, 96]]), panel=panel)
        draw_graph(make_graph(1, 1), panel=panel)
        draw_graph(make_graph(vocabulary=Vocabulary(("", "$\\frac$" * 20), ("\n", "<on>"))), panel=panel)


def test_numbers_of_long_names_are_kept(tmp_path):
    long = "very long class name of a data set whose names go on and on and on and on and on"
    draw_graph(
        make_graph(500, 500, vocabulary=Vocabulary((long, "table"), ("on", "by"))), path=tmp_path / "a.svg"
    )
    found = texts(tmp_path / "a.svg")
    for number in (1, 2):
        assert f"very long class name… {number}" in found  # on the photo
        assert sum((text or "").endswith(f"… {number}") for text in found) == 2  # and in the diagram


def test_long_titles_are_wrapped(tmp_path):
    title = " ".join(["A title that is long."] * 11)
    drawing, plain = draw_graph(make_graph(), path=tmp_path / "a.svg", title=title), draw_graph(make_graph())
    assert drawing.width == plain.width
    rows = [text for text in texts(tmp_path / "a.svg") if text and ("title" in text or "long" in text)]
    assert " ".join(rows) == title
    narrow = draw_graph(make_graph(30, 300), panel=None, title="W" * 10_000)
    assert narrow.size[0] < 2 * 288
    draw_comparison(make_graph(30, 300), make_graph(30, 300), titles=(title, "\n"))
    with_title = draw_comparison(make_graph(), make_graph(), titles=(title, "b"))
    assert with_title.width == draw_comparison(make_graph(), make_graph()).width


def test_unknown_panels_are_refused():
    with pytest.raises(
        SpeaqError, match="panel: expected one of 'auto', 'right', 'below', None, found 'left'"
    ):
        draw_graph(make_graph(), panel="left")  # type: ignore[arg-type]


def test_comparison_marks_hits_and_misses(tmp_path):
    truth = make_graph(scores=[1, 1, 1], predicate_probs=np.eye(3)[[0, 1, 1]])
    prediction = make_graph(predicates=[0, 0, 1], labels=[0, 1, 1])
    path = tmp_path / "a.svg"
    drawing = draw_comparison(truth, prediction, path=path)
    assert drawing.width > 2 * 1440
    found = texts(path)
    # One relation is in both: the second has another predicate, the third another subject.
    assert (found.count("✓"), found.count("✗")) == (2, 2)
    assert {"1 of 3 relations found", "1 of 3 relations match", "Ground truth", "Prediction"} <= set(found)
    # Two photos and two diagrams; the truth's second person is the predicted second table.
    assert [found.count(name) for name in ("person 1", "table 1", "person 2", "table 2")] == [4, 4, 2, 2]
    draw_comparison(truth, truth, path=path, titles=("a", "b"))
    assert {"3 of 3 relations found", "3 of 3 relations match", "a", "b"} <= set(texts(path))
    draw_comparison(truth, prediction.filter(top=0), path=path)
    assert {"0 of 3 relations found", "0 of 0 relations match"} <= set(texts(path))
    tall = draw_comparison(make_graph(3000, 300), make_graph(3000, 300))
    assert tall.width < 2 * 1600


def test_comparison_has_common_entities_at_the_same_place():
    truth = make_graph(pairs=[[0, 1]], predicates=[0], predicate_probs=[[0.5, 0.3, 0.2]])
    swapped = make_graph(
        boxes=truth.boxes[[1, 0, 2]],
        scores=truth.scores[[1, 0, 2]],
        labels=[1, 0, 0],
        pairs=[[1, 0]],
        predicates=[0],
        predicate_probs=[[0.5, 0.3, 0.2]],
    )
    drawing = np.asarray(draw_comparison(truth, swapped))
    below = drawing[80:1280]  # without titles and legend
    start = int((below != 255).any(axis=(0, 2)).argmax())
    shift = drawing.shape[1] - 1440
    np.testing.assert_array_equal(
        below[:, start : start + 1440], below[:, shift - start : shift - start + 1440]
    )


def test_drawings_are_written(tmp_path):
    path = tmp_path / "new" / "graph.jpg"
    drawing = draw_graph(make_graph(), path=path)
    assert Image.open(path).size == drawing.size
    assert [file.name for file in path.parent.iterdir()] == ["graph.jpg"]
    make_graph().draw(tmp_path / "graph.png", panel=None)
    assert Image.open(tmp_path / "graph.png").size == (1440, 1080)
    for name in ("a", "b"):
        make_graph().draw(tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    np.testing.assert_array_equal(np.asarray(draw_graph(make_graph())), np.asarray(drawing))
    with pytest.raises(SpeaqError, match=r"graph.xyz: cannot write an image with this extension"):
        draw_graph(make_graph(), path=tmp_path / "graph.xyz")


def test_image_overrides_that_of_the_graph(tmp_path):
    graph = make_graph(image=None)
    with pytest.raises(SpeaqError, match="has no image"):
        draw_graph(graph)
    red = Image.new("RGB", (64, 48), (200, 0, 0))  # half the resolution: boxes are scaled to it
    assert near_colour(graph.draw(image=red, panel=None), (200, 0, 0)) > 100_000
    with pytest.raises(SpeaqError, match=r"gone.jpg"):
        draw_graph(make_graph(image=Path(tmp_path / "gone.jpg")))


def test_comparison_leaves_room_for_scores_of_either_side():
    """The two sides are laid out as one, by what is drawn on the side that has scores."""
    from speaq.visualize import diagram

    graph, sizes = make_graph(), []
    original = diagram.Diagram.__init__

    def watched(self, *arguments, **options):
        original(self, *arguments, **options)
        sizes.append(self._nodes.copy())

    truth = replace(graph, scores=np.ones_like(graph.scores), pair_scores=np.ones_like(graph.pair_scores))
    truth = replace(truth, predicate_probs=np.eye(truth.predicate_probs.shape[1])[truth.predicates])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagram.Diagram, "__init__", watched)
        draw_comparison(truth, truth)
        draw_comparison(truth, graph)
    assert (sizes[1][:, 0] > sizes[0][:, 0]).all()
