"""What to search for in annotations: a class, a predicate, or a triplet such as "person holding *".

Shape letters: see `speaq.structures`.
"""

import difflib
import re
from collections.abc import Sequence
from fnmatch import translate
from typing import NamedTuple

import numpy as np

from speaq.errors import SpeaqError
from speaq.structures import Vocabulary


class Condition(NamedTuple):
    """Classes (C,) and (R,) bool of a relation, or of a box (``object`` alone), that an image must have."""

    object: np.ndarray | None
    predicate: np.ndarray | None = None
    subject: np.ndarray | None = None


def parse_query(text: str, vocabulary: Vocabulary) -> list[Condition]:
    """The conditions of a text, separated by commas, all of which an image must meet.

    Each is an object class, a predicate, or subject, predicate and object, and in each name * stands for any
    characters. Names may have several words. A class that is also a predicate is searched as a class.

    Raises:
        SpeaqError: a condition is none of these.
    """
    return [_condition(part.strip(), vocabulary) for part in text.split(",") if part.strip()]


def _condition(text: str, vocabulary: Vocabulary) -> Condition:
    words = text.split()
    objects = _matching(text, vocabulary.objects)
    if objects.any():
        return Condition(objects)
    predicates = _matching(text, vocabulary.predicates)
    if predicates.any():
        return Condition(None, predicates)
    for first in range(1, len(words) - 1):
        for last in range(first + 1, len(words)):
            subject = _matching(" ".join(words[:first]), vocabulary.objects)
            predicate = _matching(" ".join(words[first:last]), vocabulary.predicates)
            object_ = _matching(" ".join(words[last:]), vocabulary.objects)
            if subject.any() and predicate.any() and object_.any():
                return Condition(object_, predicate, subject)
    known = [*vocabulary.objects, *vocabulary.predicates]
    near = [name for word in (text, *words) for name in difflib.get_close_matches(word, known, n=2)]
    hint = f" Similar names: {', '.join(dict.fromkeys(near))}." if near else ""
    raise SpeaqError(
        f"{text}: expected a class, a predicate, or subject, predicate and object such as "
        f"'person holding *', found no such names.{hint}"
    )


def _matching(pattern: str, names: Sequence[str]) -> np.ndarray:
    """Which names match a pattern, whatever their case."""
    # Only * is special: names may have brackets and question marks.
    expression = re.compile(translate(re.sub(r"[\[?]", r"[\g<0>]", pattern.lower())))
    return np.array([expression.match(name.lower()) is not None for name in names], dtype=bool)
