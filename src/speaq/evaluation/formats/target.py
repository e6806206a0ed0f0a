"""The data set that predictions are read for, and messages about what does not fit it."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from speaq.errors import SpeaqError
from speaq.graph.schema import first_problem
from speaq.structures import Annotation, Vocabulary

ImageId = int | str
Number = Annotated[float, Field(ge=-3.4e38, le=3.4e38, allow_inf_nan=False)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
Score = Annotated[float, Field(ge=0, le=1.001, allow_inf_nan=False)]
Model = TypeVar("Model", bound=BaseModel)


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
        self.images: dict[ImageId, Annotation] = {image.image_id: image for image in annotations}
        self._by_text = {str(image_id): image_id for image_id in self.images}
        self._by_file = {image.path.name: image_id for image_id, image in self.images.items()}
        self._objects = {folded(name): index for index, name in enumerate(vocabulary.objects)}
        self._predicates = {folded(name): index for index, name in enumerate(vocabulary.predicates)}

    def image_id(self, found: ImageId, place: str) -> ImageId:
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

    def object_label(self, name: str) -> int | None:
        """The class of an object by its name, None if there is no such class."""
        return self._objects.get(folded(name))

    def predicate_label(self, name: str) -> int | None:
        """The class of a predicate by its name, None if there is no such class."""
        return self._predicates.get(folded(name))

    def nearest(self, kind: str, name: str) -> str:
        """A hint with the class names nearest to an unknown one; empty if none is near."""
        names = getattr(self.vocabulary, kind)
        near = difflib.get_close_matches(name, names, n=2)
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


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
