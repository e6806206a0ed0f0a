from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.draw import draw_diagram


def make_graph(relations=4):
    pairs = np.array([[0, 1], [1, 0], [2, 1], [2, 2]])[:relations]
    return SceneGraph(
        boxes=[[0, 0, 10, 10], [50, 50, 90, 90], [50, 50, 90, 90]],
        labels=[0, 1, 1],
        scores=[0.9, 0.8, 0.7],
        pairs=pairs,
        predicates=[0, 1, 0, 1][:relations],
        predicate_probs=np.full((relations, 3), 0.5),
        image_size=(100, 100),
        vocabulary=Vocabulary(("cup", "table"), ("on", "near")),
    )


def texts(path):
    return [
        element.text for element in ElementTree.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    ]


def test_diagram_shows_names_and_scores(tmp_path):
    path = tmp_path / "a.svg"
    draw_diagram(make_graph(), path=path)
    names, scores = ["cup", "table 1", "table 2", "on", "on", "near", "near"], ["0.90", "0.80", "0.70"]
    assert sorted(texts(path)) == sorted([*names, *scores, "0.36", "0.36", "0.28", "0.24"])
    draw_diagram(make_graph(), path=path, top=1)
    assert sorted(texts(path)) == sorted(
        [
            "cup",
            "table",
            "on",
            "0.90",
            "0.80",
            "0.36",
            "Shown: 1 of 4 relations and 2 of 3 entities, the best ones",
        ]
    )
    draw_diagram(make_graph(0), path=path)
    assert sorted(texts(path)) == sorted([*names[:3], *scores])
    draw_diagram(make_graph(0), path=path, score=0.95)
    assert texts(path) == ["nothing found", "Shown: 0 of 3 entities, the best ones"]


def test_diagram_is_written_in_several_formats(tmp_path):
    drawing = draw_diagram(make_graph(), path=tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "new" / "a.png")), np.asarray(drawing))
    assert np.asarray(drawing).std() > 5
    draw_diagram(make_graph(), path=tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(SpeaqError, match=r"a.xyz: cannot write an image with this extension"):
        draw_diagram(make_graph(), path=tmp_path / "a.xyz")
