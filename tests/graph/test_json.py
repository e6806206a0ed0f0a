import json
import os
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene_graphs import small_graph
from speaq.errors import SpeaqError
from speaq.graph.schema import FORMAT, VERSION, Document, EntityRecord, RelationRecord, VocabularyRecord
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

DOCUMENT = Path(__file__).parents[2] / "docs" / "scene_graph_json.md"
NASTY = (
    'a "quoted" \\ name',
    "two\nlines",
    "<b>&lt;$x$</b>",
    "컵",
    "bell\x07",
    "ends with \\",
)
NAMED = {"vocabulary": Vocabulary(NASTY, NASTY[3:5])}


def assert_same(a, b):
    for field in fields(SceneGraph):
        mine, theirs = getattr(a, field.name), getattr(b, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == theirs.dtype, field.name
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)
        else:
            assert mine == theirs, field.name


@given(
    seed=st.integers(0, 10**6),
    entities=st.integers(1, 5),
    relations=st.integers(0, 6),
    predicates=st.integers(1, 4),
    named=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_json_round_trip_is_exact(seed, entities, relations, predicates, named):
    rng = np.random.default_rng(seed)
    names = Vocabulary(("чашка", 'a "b"'), tuple(f"p{i}" for i in range(predicates)))
    graph = SceneGraph(
        boxes=1000 * rng.standard_normal((entities, 4)),
        labels=rng.integers(0, 2, entities),
        scores=rng.random(entities) ** 20,
        pairs=rng.integers(0, entities, (relations, 2)),
        predicates=rng.integers(0, predicates, relations),
        predicate_probs=rng.random((relations, predicates + 1)),
        queries=rng.integers(0, 100, relations),
        pair_scores=rng.random((relations, 2)),
        image_size=(480, 640),
        vocabulary=names if named else None,
        image=Path("a b.jpg") if named else None,
    )
    assert_same(SceneGraph.from_json(graph.to_json()), graph)


def test_json_round_trip_of_an_empty_graph():
    empty = small_graph().filter(top=0)
    again = SceneGraph.from_json(empty.to_json())
    assert_same(again, empty)
    assert again.predicate_probs.shape == (0, 3)


def test_to_json_writes_what_from_json_reads(tmp_path):
    path = tmp_path / "new folder" / "graph.json"
    text = small_graph().to_json(path)
    assert path.read_text() == text
    assert [file.name for file in path.parent.iterdir()] == ["graph.json"]
    assert_same(SceneGraph.from_json(path), small_graph())
    assert_same(SceneGraph.from_json(str(path)), small_graph())
    content = json.loads(text)
    assert content["entities"][0] == {"name": "cup", "score": 0.9, "box": [0, 0, 10, 10], "label": 0}
    assert content["relations"][0]["text"] == "cup on table (0.36)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "g.json: not a scene graph"),
        ("[1]", "g.json: not a scene graph"),
        ('{"format": "other"}', "g.json: .*format: expected 'speaq-scene-graph', found \"other\""),
        ('{"format": "speaq-scene-graph"}', "version: is missing"),
    ],
)
def test_from_json_refuses_other_files(tmp_path, text, message):
    path = tmp_path / "g.json"
    path.write_text(text)
    with pytest.raises(SpeaqError, match=message):
        SceneGraph.from_json(path)


def changed(place, value):
    """The text of a graph with another value at a place such as ("entities", 2, "label")."""
    content = json.loads(small_graph().to_json())
    *parents, last = place
    part = content
    for key in parents:
        part = part[key]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (["width"], np.inf, r"width: expected an integer, found Infinity"),
        (["width"], 0, r"width: expected at least 1, found 0"),
        (["height"], -5, r"height: expected at least 1, found -5"),
        (["height"], 30.0, r"height: expected an integer, found 30.0"),
        (["image"], 3, r"image: expected a string or null, found 3"),
        (["version"], True, r"version: expected an integer, found true"),
        (["entities"], {}, r"entities: expected an array, found an object"),
        (["entities", 2, "label"], 1.7, r"entities\[2\].label: expected an integer, found 1.7"),
        (["entities", 2, "label"], True, r"entities\[2\].label: expected an integer, found true"),
        (["entities", 2, "label"], -5, r"entities\[2\].label: expected at least 0, found -5"),
        (["entities", 2, "label"], 3, r"entities\[2\].label: expected an index below 3, .*, found 3"),
        (["entities", 2, "label"], 10**30, r"entities\[2\].label: expected at most 2147483647, found 1000"),
        (["entities", 2, "label"], ..., r"entities\[2\].label: is missing"),
        (["entities", 2, "lable"], 1, r"entities\[2\].lable: no such key; expected name, score, box, label"),
        (["entities", 2], 7, r"entities\[2\]: expected an object, found 7"),
        (["entities", 1, "score"], 7, r"entities\[1\].score: expected at most 1.001, found 7"),
        (["entities", 1, "score"], [1, 2], r"entities\[1\].score: .*, found an array of 2"),
        (["entities", 1, "score"], None, r"entities\[1\].score: expected a number, found null"),
        (
            ["entities", 0, "box"],
            [1, 2, 3],
            r"entities\[0\].box: expected at least 4 numbers, .* of 3",
        ),
        (
            ["entities", 0, "box"],
            list("1234"),
            r'entities\[0\].box\[0\]: expected a number, found "1"',
        ),
        (["entities", 0, "box", 3], np.nan, r"entities\[0\].box\[3\]: expected a finite number, found NaN"),
        (
            ["entities", 0, "box", 3],
            1e300,
            r"entities\[0\].box\[3\]: expected at most 3.4028235e\+38, found 1e\+300",
        ),
        (["relations", 1, "subject"], 0.9, r"relations\[1\].subject: expected an integer, found 0.9"),
        (["relations", 1, "subject"], "0", r'relations\[1\].subject: expected an integer, found "0"'),
        (["relations", 1, "object"], 3, r"relations\[1\].object: expected an index below 3, .*, found 3"),
        (
            ["relations", 1, "predicate"],
            2,
            r"relations\[1\].predicate: expected an index below 2, .*, found 2",
        ),
        (["relations", 1, "predicate"], -1, r"relations\[1\].predicate: expected at least 0, found -1"),
        (["relations", 0, "pair_scores", 1], -0.1, r"relations\[0\].pair_scores\[1\]: .* found -0.1"),
        (["relations", 0, "predicate_probs"], [1], r"relations\[0\].predicate_probs: expected 3 .*found 1"),
        (
            ["relations", 0, "predicate_probs"],
            [],
            r"relations\[0\].predicate_probs: expected at least 1 numbers",
        ),
        (["vocabulary", "predicates"], ["a"] * 3, r"vocabulary.predicates: expected 2 names .*, found 3"),
        (["vocabulary", "objects"], [1, 2, 3], r"vocabulary.objects\[0\]: expected a string, found 1"),
        (["vocabulary"], "cup", r'vocabulary: expected an object or null, found "cup"'),
        (["predicate_count"], 10**12, r"predicate_count: expected at most 2147483647, found 1000000000000"),
    ],
)
def test_from_json_names_the_place_of_an_error(tmp_path, place, value, message):
    path = tmp_path / "g.json"
    path.write_text(changed(place, value))
    with pytest.raises(SpeaqError, match=f"g.json: not a scene graph written by to_json: {message}"):
        SceneGraph.from_json(path)


def test_from_json_without_a_vocabulary_or_with_too_deep_nesting(tmp_path):
    text = small_graph(vocabulary=None).to_json().replace('"predicate": 1', '"predicate": 50')
    with pytest.raises(SpeaqError, match=r"JSON text: .*relations\[1\].predicate: expected an index below 2"):
        SceneGraph.from_json(text)
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(SpeaqError, match=r"deep.json: .*nested too deeply"):
        SceneGraph.from_json(tmp_path / "deep.json")
    with pytest.raises(SpeaqError, match=r"null byte"):
        SceneGraph.from_json("a\0.json")


def test_from_json_ignores_other_keys_and_missing_text():
    assert_same(SceneGraph.from_json(changed(["time"], 1.5)), small_graph())
    assert_same(SceneGraph.from_json(changed(["relations", 0, "text"], ...)), small_graph())


def test_json_round_trip_of_float32_limits():
    largest = np.finfo(np.float32).max
    graph = small_graph(
        boxes=[[-largest, largest, np.finfo(np.float32).smallest_subnormal, -0.0]] * 3,
        scores=[np.nextafter(np.float32(1), np.float32(2)), 0, 1e-45],
    )
    assert_same(SceneGraph.from_json(graph.to_json()), graph)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.5, np.inf, 0.5]}, r"entities\[1\].score: expected a finite number, found Infinity"),
        ({"image_size": (0, 5)}, "height: expected at least 1, found 0"),
        ({"vocabulary": Vocabulary(("a", "b", "c"), ("d", "e", "f"))}, "vocabulary.predicates: expected 2"),
    ],
)
def test_to_json_refuses_what_from_json_would(tmp_path, changes, message):
    with pytest.raises(SpeaqError, match=f"3 entities.*: cannot be written as JSON: {message}"):
        small_graph(**changes).to_json(tmp_path / "g.json")
    assert not (tmp_path / "g.json").exists()


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(SpeaqError, match=r"missing.json: cannot read this scene graph"):
        SceneGraph.from_json(tmp_path / "missing.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(SpeaqError, match=r"graph.json: cannot write"):
        small_graph().to_json(tmp_path / "file" / "graph.json")


def check(value, schema, where="graph"):
    """The part of JSON Schema that ours needs."""
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    kinds["null"] = type(None)
    known = {"$schema", "title", "type", "required", "additionalProperties", "properties", "const", "minimum"}
    assert set(schema) <= known | {"maximum", "items", "minItems", "maxItems"}, where
    if "const" in schema:
        assert value == schema["const"], where
    if "type" in schema:
        types = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
        assert any(isinstance(value, kinds[type_]) for type_ in types), (where, value)
    if isinstance(value, dict):
        assert set(schema["required"]) <= set(value) <= set(schema["properties"]), where
        for key, item in value.items():
            check(item, schema["properties"][key], f"{where}.{key}")
    if isinstance(value, list):
        assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), where
        for item in value:
            check(item, schema["items"], f"{where}[]")
    if "minimum" in schema:
        assert value >= schema["minimum"], where


def test_json_agrees_with_the_documented_schema():
    example, schema = (
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)
    )
    for graph in (
        small_graph(),
        small_graph(**NAMED),
        small_graph(vocabulary=None, image=None),
        small_graph().filter(top=0),
    ):
        check(json.loads(graph.to_json()), schema)
    check(example, schema)
    graph = SceneGraph.from_json(json.dumps(example))
    assert [str(triplet) for triplet in graph.triplets] == ["cup on table (0.36)"]
    assert json.loads(graph.to_json()) == example
    with pytest.raises(AssertionError):
        check(example | {"width": 0}, schema)


def test_models_agree_with_the_documented_schema():
    schema = json.loads(re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)[1])
    properties = schema["properties"]
    parts = {
        Document: schema,
        EntityRecord: properties["entities"]["items"],
        RelationRecord: properties["relations"]["items"],
        VocabularyRecord: properties["vocabulary"],
    }
    for model, part in parts.items():
        fields = model.model_fields
        assert list(fields) == list(part["properties"])
        assert [name for name, field in fields.items() if field.is_required()] == part["required"]
        assert part["additionalProperties"] == (model is Document)
        for name, described in model.model_json_schema()["properties"].items():
            documented = part["properties"][name]
            assert described.get("minItems") == documented.get("minItems")
            assert described.get("maxItems") == documented.get("maxItems")
            if documented.get("type") == "integer":
                assert {key: described.get(key) for key in ("minimum", "maximum")} == {
                    "minimum": documented.get("minimum"),
                    "maximum": documented.get("maximum"),
                }
    assert properties["format"]["const"] == FORMAT
    assert properties["version"]["const"] == VERSION


def test_json_keeps_any_name(tmp_path):
    small_graph(**NAMED).to_json(tmp_path / "a.json")
    assert SceneGraph.from_json(tmp_path / "a.json").vocabulary == NAMED["vocabulary"]


def test_json_keeps_names_of_files_that_are_not_in_utf8():
    graph = small_graph(image=Path(os.fsdecode(b"caf\xe9.jpg")))
    assert SceneGraph.from_json(graph.to_json()).image == graph.image


def test_names_that_utf8_cannot_encode_are_refused():
    message = r"vocabulary.objects\[0\]: expected text that UTF-8 can encode, found '.ud800'"
    with pytest.raises(SpeaqError, match=message):
        small_graph(vocabulary=Vocabulary(("\ud800", "b", "c"), ("d", "e"))).to_json()
    with pytest.raises(SpeaqError, match=message):
        SceneGraph.from_json(small_graph().to_json().replace('"objects": ["cup"', '"objects": ["\\ud800"'))


def test_json_is_strict():
    with pytest.raises(SpeaqError, match=r"entities\[0\].box\[0\]: expected a finite number, found NaN"):
        small_graph(boxes=np.full((3, 4), np.nan)).to_json()
    content = json.loads(small_graph().to_json())
    with pytest.raises(SpeaqError, match="version: expected 1, found 2"):
        SceneGraph.from_json(json.dumps(content | {"version": 2}))
    few = {"objects": ["cup", "table"], "predicates": ["on", "near"]}
    with pytest.raises(SpeaqError, match=r"entities\[2\].label: expected an index below 2, .* found 2"):
        SceneGraph.from_json(json.dumps(content | {"vocabulary": few}))
