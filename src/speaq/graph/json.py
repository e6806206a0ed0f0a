"""Scene graphs as JSON, written and read without loss."""

import json
from pathlib import Path
from typing import Any, Self

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import check_texts, parse_json, regular, replacing
from speaq.graph.data import GraphData
from speaq.graph.schema import FORMAT, VERSION, parse_document
from speaq.structures import Vocabulary


class JsonGraph(GraphData):
    """A scene graph that is written to and read from JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The graph in plain Python types, as docs/scene_graph_json.md describes them."""
        (height, width), names = self.image_size, self.vocabulary
        boxes, scores = _floats(self.boxes), _floats(self.scores)
        pair_scores, probabilities = _floats(self.pair_scores), _floats(self.predicate_probs)
        return {
            "format": FORMAT,
            "version": VERSION,
            "image": str(self.image) if isinstance(self.image, Path) else None,
            "width": width,
            "height": height,
            "entities": [
                {"name": entity.name, "score": score, "box": box, "label": entity.label}
                for entity, score, box in zip(self.entities, scores, boxes, strict=True)
            ],
            "relations": [
                {
                    "text": str(triplet),
                    "score": float(f"{triplet.score:.7g}"),
                    "subject": triplet.subject_index,
                    "object": triplet.object_index,
                    "predicate": int(self.predicates[row]),
                    "name": triplet.predicate,
                    "query": int(self.queries[row]),
                    "pair_scores": pair_scores[row],
                    "predicate_probs": probabilities[row],
                }
                for row, triplet in enumerate(self.triplets)
            ],
            "predicate_count": self.predicate_probs.shape[1] - 1,
            "vocabulary": names and {"objects": list(names.objects), "predicates": list(names.predicates)},
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The graph as JSON text, one entity or relation per line; also written to ``path`` if given.

        Raises:
            SpeaqError: the graph has values that docs/scene_graph_json.md does not allow, such as a score
                that is not finite, or the file cannot be written.
        """
        content, parts = self.to_dict(), []
        try:
            parse_document(content)
            check_texts({"vocabulary": content["vocabulary"]})
        except ValueError as error:
            raise SpeaqError(f"{self!r}: cannot be written as JSON: {error}") from error
        for key, value in content.items():
            text = _dumps(value)
            if isinstance(value, list) and value:
                text = "[\n" + ",\n".join(f"    {_dumps(row)}" for row in value) + "\n  ]"
            parts.append(f'  "{key}": {text}')
        text = "{\n" + ",\n".join(parts) + "\n}\n"
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | Path) -> Self:
        """Read a graph from a file or from the text that ``to_json`` returned, exactly as it was written.

        An image that did not come from a file is not stored.

        Raises:
            SpeaqError: the file is missing or is not what docs/scene_graph_json.md describes; the message
                names the place in the document.
        """
        if isinstance(source, str) and source.lstrip().startswith("{"):
            name, text = "this JSON text", source
        else:
            name = str(source)
            try:
                text = regular(Path(source)).read_text(encoding="utf-8-sig")
            except (OSError, ValueError) as error:
                raise SpeaqError(f"{name}: cannot read this scene graph: {error}") from error
        try:
            document = parse_document(parse_json(text, file_names=("image",)))
        except ValueError as error:
            raise SpeaqError(f"{name}: not a scene graph written by to_json: {error}") from error
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


def _floats(values: np.ndarray) -> list:
    """Nested Python floats with the fewest digits that give the same float32."""
    return values.astype(str).astype(float).tolist()


def _dumps(value: Any) -> str:
    r"""JSON, in which surrogates that UTF-8 cannot encode are written as \u and four digits."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="backslashreplace").decode()
