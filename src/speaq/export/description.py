"""The metadata of an exported file: what prediction needs besides the network."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from speaq.files import parse_json
from speaq.structures import Vocabulary

FORMAT = 1
_PREFIX = "speaq."


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The metadata of an exported file.

    Attributes:
        version: version of speaq that wrote the file.
        objects, predicates: class names.
        min_size, max_size: shortest edge of the resized images and limit of the longest, in pixels.
        nms_threshold: IoU threshold of the class-wise NMS.
        num_rel: predicates kept per query; None if the outputs are the raw outputs of the network.
        predicate_counts: training relations of each predicate; empty if unknown.
        format: version of this metadata.
    """

    version: str
    objects: tuple[str, ...]
    predicates: tuple[str, ...]
    min_size: int
    max_size: int
    nms_threshold: float
    num_rel: int | None
    predicate_counts: tuple[int, ...] = ()
    format: int = FORMAT

    @property
    def vocabulary(self) -> Vocabulary:
        """The class names."""
        return Vocabulary(self.objects, self.predicates)

    def to_properties(self) -> dict[str, str]:
        """Strings as ONNX metadata needs them: keys such as "speaq.objects", and values as JSON."""
        return {f"{_PREFIX}{key}": json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> "Description":
        """Read what ``to_properties`` wrote; other keys are ignored.

        Raises:
            KeyError: a key is missing.
            ValueError: a value is not JSON, or the format is newer than this speaq.
        """
        properties = {f"{_PREFIX}predicate_counts": "[]"} | dict(properties)  # earlier files have none
        values = {field.name: parse_json(properties[f"{_PREFIX}{field.name}"]) for field in fields(cls)}
        if values["format"] > FORMAT:
            raise ValueError(
                f"its format is {values['format']}, this version of speaq reads formats up to {FORMAT}"
            )
        for key in ("objects", "predicates", "predicate_counts"):
            values[key] = tuple(values[key])
        return cls(**values)
