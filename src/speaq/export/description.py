"""What an exported file says of itself, so that the file alone is enough to make scene graphs.

R: predicate classes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from speaq.structures import Vocabulary

FORMAT = 1
_PREFIX = "speaq."


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The metadata of an exported file.

    Attributes:
        version: of the speaq that wrote it.
        objects: C object class names.
        predicates: R predicate names.
        min_size, max_size: the shortest edge of an image becomes ``min_size`` pixels, the longest at most
            ``max_size``.
        nms_threshold: class-wise suppression, IoU.
        num_rel: predicates kept per query; None where the outputs are the raw ones of the network.
        format: number of this format.
    """

    version: str
    objects: tuple[str, ...]
    predicates: tuple[str, ...]
    min_size: int
    max_size: int
    nms_threshold: float
    num_rel: int | None
    format: int = FORMAT

    @property
    def vocabulary(self) -> Vocabulary:
        """The class names."""
        return Vocabulary(self.objects, self.predicates)

    def to_properties(self) -> dict[str, str]:
        """Keys such as "speaq.objects", and values as JSON: what an ONNX file can hold."""
        return {f"{_PREFIX}{key}": json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_properties(cls, properties: Mapping[str, str]) -> "Description":
        """Read what ``to_properties`` wrote; other keys are passed over.

        Raises:
            KeyError: a key is missing.
            ValueError: a value is not JSON, or the format is a later one.
        """
        values = {field.name: json.loads(properties[f"{_PREFIX}{field.name}"]) for field in fields(cls)}
        if values["format"] > FORMAT:
            raise ValueError(f"its format is {values['format']}, this speaq knows formats up to {FORMAT}")
        for key in ("objects", "predicates"):
            values[key] = tuple(values[key])
        return cls(**values)
