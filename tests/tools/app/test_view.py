import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from speaq.cli import run
from speaq.cli.app import app
from speaq.errors import SpeaqError
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary
from speaq.tools.app.shots import Shot, filtered, parse_boxes, shot_html, write_files
from speaq.tools.app.space import write_space
from speaq.tools.app.view import MAX_RELATIONS, Card, view_html, wall_html

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(2)</script>',
    "${alert(3)}",
    "{{7*7}}",
    "a'b\"c\x00",
)


def graph(names: tuple[str, ...] = ("person", "cup", "table"), relations: int = 2) -> SceneGraph:
    pairs = [(i % 2, (i % 2) + 1) for i in range(relations)]
    return SceneGraph(
        boxes=np.array([[1, 2, 30, 40], [5, 5, 20, 20], [0, 30, 60, 44]])[: len(names)],
        labels=np.arange(3),
        scores=np.full(3, 0.9),
        pairs=np.array(pairs),
        predicates=np.arange(relations) % 2,
        predicate_probs=np.tile([0.6, 0.3, 0.1], (relations, 1)),
        image_size=(48, 64),
        vocabulary=Vocabulary(names, ("holding", names[0])),
    )


class Tags(HTMLParser):
    """Collects tags, names of attributes and keyed elements of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.keys, self.text = set(), set(), {}, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.attributes |= values.keys()
        if "data-key" in values:
            self.keys.setdefault(values["data-key"], set()).add(values["data-lit"])

    def handle_data(self, data):
        self.text += data


def test_parts_light_up_what_belongs_together() -> None:
    page = Tags(view_html(graph(), ""))
    assert page.keys["r0"] == {"r0 e0 e1"}
    assert {frozenset(lit.split()) for lit in page.keys["e1"]} == {frozenset(("e1", "r0", "e0", "r1", "e2"))}
    assert "e2" not in next(iter(page.keys["e0"])).split()


def test_hostile_names_are_text() -> None:
    names = HOSTILE[:3]
    html = view_html(graph(names), "", title=HOSTILE[0], note=HOSTILE[1]) + wall_html(
        [Card(3, HOSTILE[1], "", HOSTILE[0])]
    )
    page = Tags(html)
    assert not page.tags & {"script", "img"}
    assert not any(name.startswith("on") for name in page.attributes)
    assert HOSTILE[0] in page.text


def test_long_graphs_are_cut_with_a_note() -> None:
    html = view_html(graph(relations=MAX_RELATIONS + 9), "", marks=["hit"] * (MAX_RELATIONS + 9))
    assert f"The best {MAX_RELATIONS} of {MAX_RELATIONS + 9} relations." in html
    assert html.count("<li>") == MAX_RELATIONS


def test_filters_ignore_classes_of_other_models() -> None:
    assert len(filtered(graph(), score=0, top=9, objects=["table"])) == 1
    assert len(filtered(graph(), score=0, top=9, predicates=["holding", "of another model"])) == 1
    assert len(filtered(graph(), score=0, top=9, objects=["of another model"])) == 0


def test_files_have_what_is_shown(tmp_path: Path) -> None:
    shot = Shot(Image.new("RGB", (64, 48)), 0.0, {"one": graph(), "two": graph()})
    paths = write_files(shot, tmp_path, score=0.0, top=1)
    assert [path.suffix for path in paths] == [".json", ".graphml", ".svg"] * 2
    assert len(SceneGraph.from_json(paths[0])) == 1
    assert shot_html(shot, score=0.0, top=1).count("sg-photo") == 2


def test_boxes() -> None:
    assert parse_boxes(" \n") is None
    assert parse_boxes("1, 2, 3, 4.5\n5,6,7,8, traffic light\n") == (
        [[1, 2, 3, 4.5], [5, 6, 7, 8]],
        [None, "traffic light"],
    )
    with pytest.raises(SpeaqError, match=r"boxes, line 2: expected .*found '1, 2, cup'"):
        parse_boxes("1,2,3,4\n1, 2, cup")


def test_space(tmp_path: Path) -> None:
    write_space(["owner/model"], tmp_path / "space")
    files = {path.name: path.read_text() for path in (tmp_path / "space").iterdir()}
    assert set(files) == {"app.py", "requirements.txt", "README.md"}
    assert files["README.md"].startswith("---\ntitle:") and '"owner/model"' in files["README.md"]
    assert f"MODELS = {json.dumps(['owner/model'])}" in files["app.py"]
    compile(files["app.py"], "app.py", "exec")
    (tmp_path / "m.onnx").touch()
    write_space([str(tmp_path / "m.onnx")], tmp_path / "onnx")
    assert {"model.onnx", "app.py"} < {path.name for path in (tmp_path / "onnx").iterdir()}
    assert (tmp_path / "onnx" / "requirements.txt").read_text() == "speaq[app,onnx]\n"
    with pytest.raises(SpeaqError, match="new or empty folder"):
        write_space(["owner/model"], tmp_path / "space")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a MODEL"),
        (["m", "--predictions", "p.h5"], "--data"),
        (["--space", "s", "--data", "d"], "give a MODEL"),
    ],
)
def test_command_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        run(app, arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err
