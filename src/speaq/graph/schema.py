"""The JSON document of a scene graph as pydantic models; docs/scene_graph_json.md describes it."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

FORMAT, VERSION = "speaq-scene-graph", 1
_LARGEST_FLOAT32 = 3.4028235e38
_LARGEST_INDEX = 2**31 - 1


def _check_version(version: int) -> int:
    if version != VERSION:
        raise ValueError(f"expected {VERSION}, found {version}")
    return version


_Number = Annotated[float, Field(ge=-_LARGEST_FLOAT32, le=_LARGEST_FLOAT32, allow_inf_nan=False)]
_Confidence = Annotated[float, Field(ge=0, le=1.001, allow_inf_nan=False)]  # a rounded softmax may exceed 1
_Index = Annotated[int, Field(ge=0, le=_LARGEST_INDEX)]
_Size = Annotated[int, Field(ge=1, le=_LARGEST_INDEX)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class EntityRecord(_Part):
    """An entity; the name is for human readers only."""

    name: str = ""
    score: _Confidence
    box: Annotated[list[_Number], Field(min_length=4, max_length=4)]
    label: _Index


class RelationRecord(_Part):
    """A relation; text, score and name are for human readers only."""

    text: str = ""
    score: _Number = 0.0
    subject: _Index
    object: _Index
    predicate: _Index
    name: str = ""
    query: _Index
    pair_scores: Annotated[list[_Confidence], Field(min_length=2, max_length=2)]
    predicate_probs: Annotated[list[_Confidence], Field(min_length=1)]


class VocabularyRecord(_Part):
    """The class names."""

    objects: list[str]
    predicates: list[str]


class Document(BaseModel):
    """A scene graph; other keys are ignored."""

    model_config = ConfigDict(strict=True)

    format: Literal["speaq-scene-graph"]
    version: Annotated[int, AfterValidator(_check_version)]
    image: str | None
    width: _Size
    height: _Size
    entities: list[EntityRecord]
    relations: list[RelationRecord]
    predicate_count: _Index
    vocabulary: VocabularyRecord | None

    @model_validator(mode="after")
    def _check_indices(self) -> Self:
        """Check that indices and lengths agree with the numbers of entities and classes."""
        count, names = self.predicate_count, self.vocabulary
        if names is not None:
            _check_length("vocabulary.predicates", names.predicates, count, "names as in predicate_count")
            for row, entity in enumerate(self.entities):
                _check_index(f"entities[{row}].label", entity.label, len(names.objects), "object classes")
        for row, relation in enumerate(self.relations):
            place, entities = f"relations[{row}]", len(self.entities)
            _check_index(f"{place}.subject", relation.subject, entities, "entities")
            _check_index(f"{place}.object", relation.object, entities, "entities")
            _check_index(f"{place}.predicate", relation.predicate, count, "predicate classes")
            kind = "numbers (predicate_count + 1)"
            _check_length(f"{place}.predicate_probs", relation.predicate_probs, count + 1, kind)
        return self


def _check_length(place: str, values: list, length: int, kind: str) -> None:
    if len(values) != length:
        raise ValueError(f"{place}: expected {length} {kind}, found {len(values)}")


def _check_index(place: str, index: int, count: int, kind: str) -> None:
    if index >= count:
        raise ValueError(f"{place}: expected an index below {count}, the number of {kind}, found {index}")


def parse_document(content: Any) -> Document:
    """The checked document, or a ValueError with the place in it, what was expected and what was found."""
    try:
        return Document.model_validate(content)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None


def first_problem(error: ValidationError) -> str:
    """Place, expected and found of the first error of a record."""
    return _describe(error.errors(include_url=False)[0])


_PARTS = {"entities": EntityRecord, "relations": RelationRecord, "vocabulary": VocabularyRecord}
_EXPECTED = {  # by pydantic's type of error
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than_equal": "at least {ge}",
    "int_type": "an integer",
    "less_than_equal": "at most {le}",
    "list_type": "an array",
    "literal_error": "{expected}",
    "model_type": "an object",
    "string_type": "a string",
    "too_long": "at most {max_length} numbers",
    "too_short": "at least {min_length} numbers",
}


def _describe(error: Any) -> str:
    """Place, expected and found of an error of pydantic."""
    keys, kind, found = error["loc"], error["type"], error["input"]
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key[:40]}" for key in keys).lstrip(".")
    start = f"{place}: " if place else ""
    if kind == "missing":
        return f"{start}is missing"
    if kind == "extra_forbidden":
        return f"{start}no such key; expected {', '.join(_PARTS[keys[0]].model_fields)}"
    if kind == "value_error":
        return f"{start}{error['ctx']['error']}"
    expected = _EXPECTED[kind].format(**error.get("ctx", {})) if kind in _EXPECTED else error["msg"]
    if keys in (("image",), ("vocabulary",)):
        expected += " or null"
    shown = "an object" if isinstance(found, dict) else json.dumps(found)
    if isinstance(found, list):
        shown = f"an array of {len(found)}"
    return f"{start}expected {expected}, found {shown if len(shown) <= 40 else shown[:37] + '...'}"
