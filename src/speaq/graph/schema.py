"""What a scene graph in JSON must look like, and where a document differs from that.

`SCHEMA` is the JSON Schema that docs/scene_graph_json.md shows. It is checked here in a few lines, so that
scene graphs can be read where nothing but NumPy is installed.
"""

import json
from collections.abc import Mapping
from typing import Any

FORMAT, VERSION = "speaq-scene-graph", 1

_LARGEST = 3.4028235e38  # of float32
_ROUNDING = 1e-3  # a softmax in float32 or less may give a little more than 1
_KINDS = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_CONFIDENCE = {"type": "number", "minimum": 0, "maximum": 1}
_INDEX = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_SIZE = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [key for key in properties if key not in optional]
    return {
        "type": "object",
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _array(items: dict[str, Any], **lengths: int) -> dict[str, Any]:
    return {"type": "array", "items": items, **lengths}


_ENTITY = _object(
    {
        "name": _TEXT,
        "score": _CONFIDENCE,
        "box": _array(_NUMBER, minItems=4, maxItems=4),
        "label": _INDEX,
    },
    optional=("name",),
)
_RELATION = _object(
    {
        "text": _TEXT,
        "score": _NUMBER,
        "subject": _INDEX,
        "object": _INDEX,
        "predicate": _INDEX,
        "name": _TEXT,
        "query": _INDEX,
        "pair_scores": _array(_CONFIDENCE, minItems=2, maxItems=2),
        "predicate_probs": _array(_CONFIDENCE, minItems=1),
    },
    optional=("text", "score", "name"),
)
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": f"speaq scene graph, version {VERSION}",
    **_object(
        {
            "format": {"const": FORMAT},
            "version": {"const": VERSION},
            "image": {"type": ["string", "null"]},
            "width": _SIZE,
            "height": _SIZE,
            "entities": _array(_ENTITY),
            "relations": _array(_RELATION),
            "predicate_count": _INDEX,
            "vocabulary": _object({"objects": _array(_TEXT), "predicates": _array(_TEXT)})
            | {"type": ["object", "null"]},
        }
    ),
    "additionalProperties": True,
}


def check_document(content: Any) -> None:
    """See that a parsed JSON document is a scene graph whose parts fit together.

    Raises:
        ValueError: it is not; the message has the place, what was expected, and what was found.
    """
    _check(content, SCHEMA, "")
    entities, count, names = content["entities"], content["predicate_count"], content["vocabulary"]
    if names is not None:
        if len(names["predicates"]) != count:
            raise ValueError(
                f"vocabulary.predicates: expected {count} names, as predicate_count says, "
                f"found {len(names['predicates'])}"
            )
        for row, entity in enumerate(entities):
            if entity["label"] >= len(names["objects"]):
                raise ValueError(
                    f"entities[{row}].label: expected an index below {len(names['objects'])}, the number of "
                    f"objects in the vocabulary, found {entity['label']}"
                )
    limits = {
        "subject": (len(entities), "entities"),
        "object": (len(entities), "entities"),
        "predicate": (count, "predicates"),
    }
    for row, relation in enumerate(content["relations"]):
        for key, (limit, what) in limits.items():
            if relation[key] >= limit:
                raise ValueError(
                    f"relations[{row}].{key}: expected an index below {limit}, the number of {what}, "
                    f"found {relation[key]}"
                )
        if len(relation["predicate_probs"]) != count + 1:
            raise ValueError(
                f"relations[{row}].predicate_probs: expected {count + 1} numbers, one more than "
                f"predicate_count, found {len(relation['predicate_probs'])}"
            )


def _check(value: Any, schema: Mapping[str, Any], place: str) -> None:
    """Compare a value with the part of JSON Schema that ours needs; integers are written as such (no 1.0)."""
    if not _fits(value, schema):
        where = f"{place}: " if place else ""
        raise ValueError(f"{where}expected {_expected(schema)}, found {_shown(value)}")
    if isinstance(value, dict):
        start = f"{place}." if place else ""
        properties = schema["properties"]
        for key, part in properties.items():
            if key in value:
                _check(value[key], part, start + key)
            elif key in schema["required"]:
                raise ValueError(f"{start}{key}: is missing")
        if not schema["additionalProperties"] and value.keys() - properties.keys():
            unknown = min(value.keys() - properties.keys())
            raise ValueError(f"{start}{unknown[:40]}: no such key; expected {', '.join(properties)}")
    elif isinstance(value, list):
        items = schema["items"]
        if items["type"] == "number":  # nearly all of a document: at once, not one by one
            low, high = _range(items)
            if all(type(item) in (float, int) and low <= item <= high for item in value):
                return
        for row, item in enumerate(value):
            _check(item, items, f"{place}[{row}]")


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether the value itself, apart from what is in it, is as it should be."""
    if "const" in schema:
        return type(value) is type(schema["const"]) and value == schema["const"]
    if not any(type(value) in _KINDS[kind] for kind in _types(schema)):  # True is no integer
        return False
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
    if isinstance(value, int | float):
        low, high = _range(schema)
        return low <= value <= high  # false for NaN
    return True


def _types(schema: Mapping[str, Any]) -> list[str]:
    return [schema["type"]] if isinstance(schema["type"], str) else schema["type"]


def _range(schema: Mapping[str, Any]) -> tuple[float, float]:
    """The least and the largest number; rounding is forgiven."""
    high = schema.get("maximum", _LARGEST)
    return schema.get("minimum", -_LARGEST), high + _ROUNDING if schema["type"] == "number" else high


def _expected(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return repr(schema["const"])
    kinds = []
    for kind in _types(schema):
        words = "null" if kind == "null" else f"{'an' if kind[0] in 'aoi' else 'a'} {kind}"
        if kind == "array" and "minItems" in schema:
            least, most = schema["minItems"], schema.get("maxItems")
            words = f"{least}{'' if most == least else ' or more'} {schema['items']['type']}s"
        elif kind == "number" and "minimum" not in schema:
            words = "a finite number"
        elif "minimum" in schema:
            words += f" in {schema['minimum']}..{schema['maximum']}"
        kinds.append(words)
    return " or ".join(kinds)


def _shown(value: Any) -> str:
    """A value in a message, short and in one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
