import numpy as np
import pytest
from PIL import Image

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.visualize.graph import arrange, draw_diagram


def make_graph(relations=4):
    pairs = np.array([[0, 1], [1, 0], [2, 1], [2, 2]])[:relations]
    return SceneGraph(
        boxes=[[0, 0, 10, 10], [50, 50, 90, 90], [50, 50, 90, 90]],
        labels=[0, 1, 1],
        scores=[0.9, 0.8, 0.7],
        pairs=pairs,
        predicates=[0, 1, 0, 1][:relations],
        predicate_probs=np.full((relations, 3), 0.3),
        image_size=(100, 100),
        vocabulary=Vocabulary(("cup", "table"), ("on", "near")),
    )


def test_diagram_says_what_the_graph_says():
    texts = [text.get_text() for text in draw_diagram(make_graph()).axes[0].texts]
    assert sorted(text for text in texts if text) == ["cup", "near", "near", "on", "on", "table 1", "table 2"]
    assert texts.count("") == 4  # arrows
    assert len(draw_diagram(make_graph(), top=1).axes[0].texts) == 4
    assert [text.get_text() for text in draw_diagram(make_graph(0)).axes[0].texts] == ["no relations"]


def test_diagram_files(tmp_path):
    draw_diagram(make_graph(), path=tmp_path / "new" / "a.png")
    assert np.asarray(Image.open(tmp_path / "new" / "a.png").convert("RGB")).std() > 5
    draw_diagram(make_graph(), path=tmp_path / "a.svg")
    assert "<svg" in (tmp_path / "a.svg").read_text()
    with pytest.raises(SpeaqError, match=r"a.xyz: cannot write a picture with this ending"):
        draw_diagram(make_graph(), path=tmp_path / "a.xyz")


def test_arrangement():
    positions = arrange(make_graph())
    assert positions.shape == (3, 2)
    assert positions.min() == 0
    assert positions.max() == 1
    gaps = np.linalg.norm(positions[:, None] - positions[None], axis=-1)[np.triu_indices(3, 1)]
    assert gaps.min() > 0.2  # two entities have the same box
    assert positions[0, 0] < positions[1, 0]  # left of it in the image as well
    np.testing.assert_array_equal(positions, arrange(make_graph()))
    assert arrange(make_graph(0).filter(top=0)).shape == (0, 2)
    assert arrange(make_graph(4).filter(objects=[1], predicates=[1]).filter(top=0)).shape == (0, 2)
