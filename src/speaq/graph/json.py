"""Scene graphs as JSON, written and read without loss."""

import json
import re
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.graph.data import GraphData
from speaq.structures import Vocabulary

Graph = TypeVar("Graph", bound=GraphData)
_SURROGATE = re.compile("[\ud800-\udfff]")  # UTF-8 cannot encode these alone


def graph_to_dict(graph: GraphData) -> dict[str, Any]:
    """A graph in plain Python types, as docs/scene_graph_json.md describes them.

    The text and score of relations, and the names outside the vocabulary, are for human readers and
    ignored when the JSON is read.
    """
    from speaq.graph.schema import FORMAT, VERSION  # imports pydantic, which takes a while

    height, width = graph.image_size
    names = graph.vocabulary
    return {
        "format": FORMAT,
        "version": VERSION,
        "image": str(graph.image) if isinstance(graph.image, Path) else None,
        "width": width,
        "height": height,
        "entities": [
            {"name": graph.object_name(label), "score": score, "box": box, "label": label}
            for label, score, box in zip(
                graph.labels.tolist(), _floats(graph.scores), _floats(graph.boxes), strict=True
            )
        ],
        "relations": [
            {
                "text": str(triplet),
                "score": float(f"{triplet.score:.7g}"),
                "subject": triplet.subject_index,
                "object": triplet.object_index,
                "predicate": predicate,
                "name": triplet.predicate,
                "query": query,
                "pair_scores": pair_scores,
                "predicate_probs": probabilities,
            }
            for triplet, predicate, query, pair_scores, probabilities in zip(
                graph.triplets,
                graph.predicates.tolist(),
                graph.queries.tolist(),
                _floats(graph.pair_scores),
                _floats(graph.predicate_probs),
                strict=True,
            )
        ],
        "predicate_count": graph.predicate_probs.shape[1] - 1,
        "vocabulary": names and {"objects": list(names.objects), "predicates": list(names.predicates)},
    }


def graph_from_dict(content: Any, cls: type[Graph]) -> Graph:
    """The graph that ``graph_to_dict`` wrote.

    Raises:
        ValueError: the content is not as docs/scene_graph_json.md describes it.
    """
    from speaq.graph.schema import parse_document

    document = parse_document(content)
    entities, relations, names = document.entities, document.relations, document.vocabulary
    probabilities = np.array([relation.predicate_probs for relation in relations])
    return cls(
        boxes=np.array([entity.box for entity in entities]),
        labels=np.array([entity.label for entity in entities]),
        scores=np.array([entity.score for entity in entities]),
        pairs=np.array([(relation.subject, relation.object) for relation in relations]),
        predicates=np.array([relation.predicate for relation in relations]),
        predicate_probs=probabilities.reshape(len(relations), document.predicate_count + 1),
        image_size=(document.height, document.width),
        queries=np.array([relation.query for relation in relations]),
        pair_scores=np.array([relation.pair_scores for relation in relations]),
        vocabulary=names and Vocabulary(tuple(names.objects), tuple(names.predicates)),
        image=Path(document.image) if document.image is not None else None,
    )


def graph_to_json(graph: GraphData, path: str | Path | None = None) -> str:
    """A graph as JSON text, one entity or relation per line; also written to ``path`` where given.

    Raises:
        SpeaqError: the graph has values that reading would refuse, such as a number that is not finite or a
            confidence outside 0..1; or the file cannot be written.
    """
    from speaq.graph.schema import parse_document

    content, parts = graph_to_dict(graph), []
    try:
        parse_document(content)
    except ValueError as error:
        raise SpeaqError(f"{graph!r}: cannot be written as JSON: {error}") from error
    for key, value in content.items():
        if isinstance(value, list) and value:
            rows = ",\n".join(f"    {_dumps(row)}" for row in value)
            parts.append(f'  "{key}": [\n{rows}\n  ]')
        else:
            parts.append(f'  "{key}": {_dumps(value)}')
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def graph_from_json(source: str | Path, cls: type[Graph]) -> Graph:
    """Read a graph from a file or from the text that ``graph_to_json`` returned.

    Raises:
        SpeaqError: the file is missing or is not a scene graph; the message names the place in the document.
    """
    if isinstance(source, str) and source.lstrip().startswith("{"):
        name, text = "this JSON text", source
    else:
        name = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise SpeaqError(f"{name}: cannot read this scene graph: {error}") from error
    try:
        return graph_from_dict(json.loads(text), cls)
    except RecursionError as error:
        raise SpeaqError(f"{name}: not a scene graph written by to_json: nested too deeply") from error
    except ValueError as error:
        raise SpeaqError(f"{name}: not a scene graph written by to_json: {error}") from error


def _dumps(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _floats(values: np.ndarray) -> list:
    """Nested Python floats with the fewest digits that give the same float32."""
    if values.ndim > 1:
        return [_floats(row) for row in values]
    return [float(str(value)) for value in values]
