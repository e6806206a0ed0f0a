"""The model card of a saved model, README.md: classes, metrics, and how to use it."""

import re
from collections.abc import Iterable, Mapping

from huggingface_hub import EvalResult, ModelCardData

from speaq.model.config import ModelConfig

CARD_FILE = "README.md"
TAGS = ["scene-graph-generation", "visual-relationship-detection", "speaq"]


def model_card(
    config: ModelConfig,
    *,
    name: str = "FOLDER-OR-HUB-ID",
    metrics: Mapping[str, float] | None = None,
    data: str | None = None,
    license: str | None = None,
) -> str:
    """A model card in Markdown with the YAML front matter of the Hugging Face hub.

    Args:
        config: configuration of the model.
        name: folder or model id, for the example that loads the model.
        metrics: values by name, as in ``results.json`` of an evaluation: {"R@50": 0.32, ...}; values that
            are not numbers are left out.
        data: the data that the model was trained and evaluated on.
        license: license of the weights, such as "mit" or "cc-by-4.0"; unknown by default.
    """
    metrics = {
        key: value for key, value in (metrics or {}).items() if type(value) in (int, float) and value == value
    }
    sections = [
        f"---\n{_front_matter(metrics, data, license)}\n---\n",
        "# SpeaQ scene graph model",
        "An image in, a scene graph out: objects with boxes, and *subject, predicate, object* relations "
        f"between them. {len(config.objects)} object classes, {len(config.predicates)} predicates.",
        _usage(name),
        "## Training data\n\n" + (_plain(data) if data else "Not stated."),
        "## Metrics\n\n" + (_table(metrics) if metrics else "Not stated."),
        f"## Predicates\n\n{_listed(config.predicates)}",
        f"## Object classes\n\n{_listed(config.objects)}",
        _architecture(config),
        "## License\n\n" + (_plain(license) if license else "Not stated."),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(metrics: Mapping[str, float], data: str | None, license: str | None) -> str:
    results = [
        EvalResult(
            task_type="scene-graph-generation",
            dataset_type="custom",
            dataset_name=data or "not stated",
            metric_type=key,
            metric_value=value,
        )
        for key, value in metrics.items()
    ]
    card = ModelCardData(
        license=license or "unknown",
        library_name="speaq",
        pipeline_tag="object-detection",  # the most similar task on the hub
        tags=TAGS,
        model_name="SpeaQ" if results else None,
        eval_results=results or None,
    )
    return card.to_yaml()


def _usage(name: str) -> str:
    return f"""## Use

```python
import speaq

model = speaq.Speaq.from_pretrained({name!r})
graph = model.predict("photo.jpg")
print(graph.triplets[:5])
graph.draw("drawing.png", top=10)
graph.to_json("graph.json")
```"""


def _architecture(config: ModelConfig) -> str:
    kind = config.backbone.get("model_type", "unknown")
    queries = (
        f"{config.num_queries} entity and {config.num_queries * config.query_multiplier} predicate queries"
    )
    return (
        f"## Architecture\n\nA {_plain(kind)} backbone and a transformer of width {config.hidden_dim} with "
        f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers, {queries}. "
        f"Preprocessing is part of the model: the shortest edge of an image becomes {config.min_size} "
        f"pixels, the longest at most {config.max_size}."
    )


def _table(metrics: Mapping[str, float]) -> str:
    rows = [f"| {_plain(key)} | {value:.4f} |" for key, value in metrics.items()]
    return "\n".join(["| metric | value |", "| --- | ---: |", *rows])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_plain(name) for name in names)


def _plain(text: str) -> str:
    """Text on one line, with the special characters of Markdown and HTML escaped."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~$&-])", r"\\\1", " ".join(text.split()))
