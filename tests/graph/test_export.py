import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import networkx
import numpy as np
import pytest

from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

NASTY = (
    'a "quoted" \\ name',
    "two\nlines",
    "<b>&lt;$x$</b>",
    "컵",
    "bell\x07\ud800",
    "ends with \\",
)


def small_graph(names=("cup", "table", "person", "tree", "dog", "cat"), **changes):
    values = {
        "boxes": [[0, 0, 10, 10], [5, 5, 40.1, 20], [1, 2, 3, 4]],
        "labels": [0, 1, 2],
        "scores": [0.9, 0.8, 0.7],
        "pairs": [[0, 1], [0, 1], [2, 2]],
        "predicates": [0, 1, 1],
        "predicate_probs": [[0.5, 0.3, 0.2], [0.1, 0.4, 0.5], [0.2, 0.3, 0.5]],
        "image_size": (30, 50),
        "vocabulary": Vocabulary(names, (names[3], names[4])),
        "image": Path("photos/kitchen.jpg"),
    }
    return SceneGraph(**values | changes)


def nodes_and_edges(graph):
    """The same whatever the type of the nodes and the class of the graph."""
    return (
        sorted((int(node), sorted(data.items())) for node, data in graph.nodes(data=True)),
        sorted((int(s), int(o), sorted(data.items())) for s, o, data in graph.edges(data=True)),
        {key: value for key, value in graph.graph.items() if key in ("width", "height", "image")},
    )


def test_to_networkx_has_attributes_of_nodes_and_edges():
    graph = small_graph().to_networkx()
    assert graph.nodes[1] == {
        "name": "table", "label": 1, "score": 0.8, "x1": 5.0, "y1": 5.0, "x2": 40.1, "y2": 20.0
    }  # fmt: skip
    assert [(s, o, data["predicate"], data["label"]) for s, o, data in graph.edges(data=True)] == [
        (0, 1, "tree", 0),
        (0, 1, "dog", 1),
        (2, 2, "dog", 1),
    ]
    assert [data["score"] for *_, data in graph.edges(data=True)] == pytest.approx([0.36, 0.288, 0.147])
    assert graph.graph == {"width": 50, "height": 30, "image": "photos/kitchen.jpg"}
    assert small_graph(image=None).to_networkx().graph == {"width": 50, "height": 30}


@pytest.mark.parametrize("names", [("cup", "table", "person", "tree", "dog", "cat"), NASTY[:4] + NASTY[:2]])
def test_graphml_has_what_to_networkx_has(tmp_path, names):
    graph = small_graph(names)
    graph.to_graphml(tmp_path / "new" / "ours.graphml")
    networkx.write_graphml(graph.to_networkx(), tmp_path / "theirs.graphml")
    ours, theirs = (
        networkx.read_graphml(path, force_multigraph=True)
        for path in (tmp_path / "new" / "ours.graphml", tmp_path / "theirs.graphml")
    )
    assert nodes_and_edges(ours) == nodes_and_edges(theirs) == nodes_and_edges(graph.to_networkx())
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["ours.graphml"]


def test_graphml_replaces_what_xml_forbids(tmp_path):
    small_graph(NASTY[4:] + NASTY[:4]).to_graphml(tmp_path / "a.graphml")
    again = networkx.read_graphml(tmp_path / "a.graphml")
    assert again.nodes["0"]["name"] == "bell\ufffd\ufffd"
    assert again.nodes["1"]["name"] == "ends with \\"


def test_graphml_of_an_empty_graph(tmp_path):
    small_graph().filter(top=0).to_graphml(tmp_path / "a.graphml")
    assert len(networkx.read_graphml(tmp_path / "a.graphml")) == 0


def test_graphml_types_and_ids(tmp_path):
    small_graph().to_graphml(tmp_path / "a.graphml")
    root = ElementTree.parse(tmp_path / "a.graphml").getroot()
    types = {(key.get("for"), key.get("attr.name")): key.get("attr.type") for key in root.findall("{*}key")}
    assert types == {
        ("graph", "image"): "string",
        **{("graph", name): "int" for name in ("width", "height")},
        **{("node", name): "double" for name in ("score", "x1", "y1", "x2", "y2")},
        ("node", "name"): "string",
        ("node", "label"): "int",
        ("edge", "predicate"): "string",
        ("edge", "label"): "int",
        ("edge", "score"): "double",
    }
    graph = root.find("{*}graph")
    assert (graph.get("id"), graph.get("edgedefault")) == ("scene_graph", "directed")
    edges = [(edge.get("id"), edge.get("source"), edge.get("target")) for edge in graph.findall("{*}edge")]
    assert edges == [("0", "0", "1"), ("1", "0", "1"), ("2", "2", "2")]


def statements(text):
    """(what, attributes) of each node and edge, read as Graphviz reads strings."""
    found = []
    for line in text.splitlines():
        match = re.fullmatch(r"  (\d+(?: -> \d+)?) \[(.*)\];", line)
        if match:
            pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[\d.e+-]+)(?:, |$)', match[2])
            assert sum(len(f"{name}={value}") for name, value in pairs) + 2 * (len(pairs) - 1) == len(
                match[2]
            )
            unescaped = {
                name: re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], value[1:-1])
                if value.startswith('"')
                else value
                for name, value in pairs
            }
            found.append((match[1], unescaped))
    return found


def test_to_dot_has_a_line_per_node_and_edge(tmp_path):
    graph = small_graph()
    text = graph.to_dot(tmp_path / "new" / "graph.dot")
    assert (tmp_path / "new" / "graph.dot").read_text(encoding="utf-8") == text
    assert text.startswith("digraph scene_graph {\n") and text.endswith("}\n")
    found = statements(text)
    assert [what for what, _ in found] == ["0", "1", "2", "0 -> 1", "0 -> 1", "2 -> 2"]
    assert found[1][1]["label"] == "table\n0.80"
    assert (found[1][1]["x2"], found[1][1]["class_index"], found[1][1]["score"]) == ("40.1", "1", "0.8")
    assert found[3][1]["label"] == "tree\n0.36"
    assert (found[3][1]["penwidth"], found[4][1]["penwidth"]) == ("1.72", "1.58")


def test_dot_escapes_names():
    for shift in range(len(NASTY)):
        names = NASTY[shift:] + NASTY[:shift]
        for (_, attributes), name in zip(statements(small_graph(names).to_dot()), names[:3], strict=False):
            expected = re.sub("[\x07\ud800]", "\ufffd", name)
            assert attributes["name"] == expected
            assert attributes["label"].replace("&amp;", "&").rpartition("\n")[0] == expected
    assert "&amp;lt;" in small_graph(NASTY[2:] + NASTY[:2]).to_dot()


def test_dot_quotes_numbers_in_other_notations():
    boxes = [[-np.inf, -1.5, np.nan, 1e-5], [0, 0, 1, 1], [0, 0, 1, 1]]
    line = next(
        line for line in small_graph(boxes=np.array(boxes)).to_dot().splitlines() if line.startswith("  0 [")
    )
    assert line.endswith('x1="-inf", y1=-1.5, x2="nan", y2="1e-05"];')


def test_files_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for write in (small_graph().to_graphml, small_graph().to_dot):
        with pytest.raises(SpeaqError, match=r"graph.x: cannot write"):
            write(tmp_path / "file" / "graph.x")


@pytest.mark.filterwarnings("ignore:OpenCV")
def test_to_supervision_keeps_boxes_scores_and_classes():
    graph = small_graph()
    detections = graph.to_supervision()
    np.testing.assert_array_equal(detections.xyxy, graph.boxes)
    np.testing.assert_array_equal(detections.confidence, graph.scores)
    np.testing.assert_array_equal(detections.class_id, graph.labels)
    assert detections.data["class_name"].tolist() == ["cup", "table", "person"]
    assert detections[detections.confidence > 0.75].data["class_name"].tolist() == ["cup", "table"]
    assert len(graph[:0].to_supervision()) == 0


def test_to_supervision_names_the_extra_if_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(SpeaqError, match=r"pip install 'speaq\[supervision\]'"):
        small_graph().to_supervision()
