"""Scene graphs as JSON: for people to read, for other programs, and back again without loss."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import replacing
from speaq.scene_graph import SceneGraph
from speaq.structures import Vocabulary

_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write
FORMAT, VERSION = "speaq-scene-graph", 1


def graph_to_dict(graph: SceneGraph) -> dict[str, Any]:
    """A graph in plain Python types, as docs/scene_graph_json.md describes them.

    The text of a relation, its score, and all names but those of the vocabulary are for readers: the same is
    said by indices and probabilities.
    """
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


def graph_from_dict(content: dict[str, Any]) -> SceneGraph:
    """The graph that ``graph_to_dict`` wrote."""

    def column(rows: str, key: str) -> np.ndarray:
        return np.array([row[key] for row in content[rows]])

    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']!r}, expected {FORMAT!r}")
    if content.get("version", VERSION) != VERSION:
        raise ValueError(f"its version is {content['version']!r}, expected {VERSION}")
    relations, names = len(content["relations"]), content["vocabulary"]
    for rows, key, known in (("entities", "label", "objects"), ("relations", "predicate", "predicates")):
        indices = column(rows, key)
        if names and len(indices) and not 0 <= indices.min() <= indices.max() < len(names[known]):
            raise ValueError(
                f"{key} of {rows} must be in 0..{len(names[known]) - 1}, as its vocabulary has "
                f"{len(names[known])} {known}; found {indices.min()} to {indices.max()}"
            )
    return SceneGraph(
        boxes=column("entities", "box"),
        labels=column("entities", "label"),
        scores=column("entities", "score"),
        pairs=np.stack((column("relations", "subject"), column("relations", "object")), axis=-1),
        predicates=column("relations", "predicate"),
        predicate_probs=column("relations", "predicate_probs").reshape(
            relations, content["predicate_count"] + 1
        ),
        image_size=(content["height"], content["width"]),
        queries=column("relations", "query"),
        pair_scores=column("relations", "pair_scores"),
        vocabulary=names and Vocabulary(tuple(names["objects"]), tuple(names["predicates"])),
        image=Path(content["image"]) if content["image"] is not None else None,
    )


def graph_to_json(graph: SceneGraph, path: str | Path | None = None) -> str:
    """A graph as JSON text, one entity or relation per line; also written to ``path`` where given.

    Raises:
        SpeaqError: a number is not finite, which JSON cannot say, or the file cannot be written.
    """
    parts = []
    try:
        for key, value in graph_to_dict(graph).items():
            if isinstance(value, list) and value:
                rows = ",\n".join(f"    {_dumps(row)}" for row in value)
                parts.append(f'  "{key}": [\n{rows}\n  ]')
            else:
                parts.append(f'  "{key}": {_dumps(value)}')
    except ValueError as error:
        raise SpeaqError(
            f"{graph!r}: boxes and scores must be finite to be written as JSON ({error})"
        ) from error
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    if path is not None:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def graph_from_json(source: str | Path) -> SceneGraph:
    """Read a graph from a file or from the text that ``graph_to_json`` returned.

    Raises:
        SpeaqError: the file is missing or is not a scene graph.
    """
    if isinstance(source, str) and source.lstrip().startswith("{"):
        name, text = "this JSON text", source
    else:
        name = str(source)
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SpeaqError(f"{name}: cannot read this scene graph: {error}") from error
    try:
        return graph_from_dict(json.loads(text))
    except KeyError as error:
        raise SpeaqError(f"{name}: not a scene graph written by to_json: {error} is missing") from error
    except (SpeaqError, TypeError, ValueError) as error:
        raise SpeaqError(f"{name}: not a scene graph written by to_json: {error}") from error


def _dumps(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)


def _floats(values: np.ndarray) -> list:
    """Nested Python floats with no more digits than float32 needs, so that JSON is short and still exact."""
    if values.ndim > 1:
        return [_floats(row) for row in values]
    return [float(str(value)) for value in values]
