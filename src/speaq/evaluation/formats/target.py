"""The data set that predictions are read for, and messages about what does not fit it."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from speaq.errors import SpeaqError
from speaq.graph.schema import first_problem
from speaq.structures import Annotation, Vocabulary


def read_image_id(value: object) -> int | str:
    """An image id."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    raise ValueError(f"expected a number or a text, found {json.dumps(value)[:40]}")


ImageId = Annotated[int | str, BeforeValidator(read_image_id)]
Number = Annotated[float, Field(ge=-3.4e38, le=3.4e38, allow_inf_nan=False)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
Score = Annotated[float, Field(ge=0, le=1.001, allow_inf_nan=False)]
Model = TypeVar("Model", bound=BaseModel)
Kind = Literal["objects", "predicates"]
"""The two kinds of classes."""


class Target:
    """Images and classes of a data set.

    Args:
        name: name of the data set, such as VG_test.
        vocabulary: its classes.
        annotations: its images.

    Attributes:
        images: the annotations by image id.
    """

    def __init__(self, name: str, vocabulary: Vocabulary, annotations: Iterable[Annotation]) -> None:
        self.name, self.vocabulary = name, vocabulary
        self.images: dict[int | str, Annotation] = {image.image_id: image for image in annotations}
        self._by_text = {str(image_id): image_id for image_id in self.images}
        self._by_file = {image.path.name: image_id for image_id, image in self.images.items()}
        self._labels = {
            "objects": _indices(vocabulary.objects),
            "predicates": _indices(vocabulary.predicates),
        }

    def image_id(self, found: int | str, place: str) -> int | str:
        """The image with an id, which may be a number or a text, or with the name of a file.

        Raises:
            SpeaqError: there is none.
        """
        image_id = found if found in self.images else self._by_text.get(str(found))
        if image_id is None:
            image_id = self._by_file.get(Path(str(found)).name)
        if image_id is None:
            some = ", ".join(json.dumps(image_id) for image_id in list(self.images)[:3])
            raise SpeaqError(
                f"{place}: expected the id of one of the {len(self.images)} images of {self.name}, such as "
                f"{some}; found {json.dumps(found)}"
            )
        return image_id

    def label(self, kind: Kind, name: str) -> int | None:
        """The class by its name, None if there is no such class."""
        return self._labels[kind].get(name, self._labels[kind].get(folded(name)))

    def nearest(self, kind: Kind, name: str) -> str:
        """A hint with the class names nearest to an unknown one; empty if none is near."""
        names = getattr(self.vocabulary, kind)
        near = difflib.get_close_matches(name, names, n=2)
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _indices(names: tuple[str, ...]) -> dict[str, int]:
    """The classes by name and by folded name; a name as it is comes first."""
    indices = {folded(name): index for index, name in reversed(list(enumerate(names)))}
    return indices | {name: index for index, name in enumerate(names)}


def folded(name: str) -> str:
    """A name without case, hyphens, underscores and repeated spaces."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def checked(model: type[Model], content: Any, place: str) -> Model:
    """The content as a record.

    Raises:
        SpeaqError: it is not; the message has the place, what was expected and what was found.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise SpeaqError(f"{place}: {first_problem(error)}") from None
