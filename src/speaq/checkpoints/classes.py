"""Rows of the class heads, taken from a checkpoint of other classes by the names of the classes."""

import logging
from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from speaq.errors import first_names
from speaq.structures import Vocabulary

logger = logging.getLogger(__name__)

_HEADS: tuple[tuple[Literal["objects", "predicates"], tuple[str, ...]], ...] = (
    ("objects", ("heads.entity_class", "token_class")),
    ("predicates", ("heads.predicate_class",)),
)


def match_classes(
    state: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    *,
    saved: Vocabulary,
    vocabulary: Vocabulary,
    synonyms: Mapping[str, str],
) -> tuple[dict[str, Tensor], list[str]]:
    """Arrange the rows of the class heads of a checkpoint for another vocabulary.

    Each class has the row of the class of the same name. If there is none, upper case, underscores and
    synonyms are disregarded. Classes that the checkpoint does not have keep the row of the model. The last
    row is "no object" or "no relation" in both.

    Args:
        state: tensors of the checkpoint, by the names of `SpeaqModel`.
        own: tensors of the model.
        saved: class names of the checkpoint; a kind without names is left as it is.
        vocabulary: class names of the model.
        synonyms: names, and what they stand for.

    Returns:
        The tensors, and the names of those of which some rows are the model's own.
    """
    arranged, partial = dict(state), []
    for kind, heads in _HEADS:
        old, new = getattr(saved, kind), getattr(vocabulary, kind)
        parameters = [f"{head}.{part}" for head in heads for part in ("weight", "bias")]
        present = [
            name
            for name in parameters
            if name in state and name in own and _fits(state[name], own[name], len(old), len(new))
        ]
        if not old or old == new or not present:
            continue
        places = _places(old, new, synonyms)
        found = [row for row, place in enumerate(places) if place is not None]
        for name in present:
            tensor = own[name].clone()
            tensor[[*found, -1]] = state[name][[*(places[row] for row in found), -1]].to(tensor)
            arranged[name] = tensor
        if len(found) < len(new):
            partial += present
        rest = [name for name, place in zip(new, places, strict=True) if place is None]
        logger.info(
            f"{len(found)} of {len(new)} {kind} taken from the checkpoint by name"
            f"{_in_brackets([new[row] for row in found])}; {len(rest)} newly initialized{_in_brackets(rest)}"
        )
    return arranged, partial


def _fits(saved: Tensor, own: Tensor, old: int, new: int) -> bool:
    """Whether two parameters of a head have a row for each class and one more, of the same length."""
    return saved.shape[0] == old + 1 and own.shape[0] == new + 1 and saved.shape[1:] == own.shape[1:]


def _places(old: tuple[str, ...], new: tuple[str, ...], synonyms: Mapping[str, str]) -> list[int | None]:
    """For each new class the index of the old one, or None."""

    def folded(name: str) -> str:
        return synonyms.get(name, name).casefold().replace("_", " ")

    # The first of several equal names counts.
    exact = {name: place for place, name in reversed(list(enumerate(old)))}
    similar = {folded(name): place for place, name in reversed(list(enumerate(old)))}
    return [exact.get(name, similar.get(folded(name))) for name in new]


def _in_brackets(names: list[str]) -> str:
    return f" ({first_names(names)})" if names else ""
