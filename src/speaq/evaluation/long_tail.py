"""Head, body and tail: groups of predicates by their frequency in training, for mean recall by group.

Shape letters: see `speaq.structures`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from speaq.errors import SpeaqError
from speaq.files import parse_json, regular

Split = Literal["thirds", "published", "counts", "file"]

_PUBLISHED = (5, 16, 29)  # sizes of head, body and tail of the 50 predicates of Visual Genome
_NAMES = ("head", "body", "tail")


class LongTail(NamedTuple):
    """Groups of predicates, and how they were chosen.

    Attributes:
        split: such as "thirds", for tables and files.
        groups: predicate indices of "head", "body" and "tail".
    """

    split: str
    groups: Mapping[str, np.ndarray]


def long_tail_groups(predicate_counts: np.ndarray) -> dict[str, np.ndarray]:
    """Predicate indices of "head", "body" and "tail", most frequent first, from training counts (R,).

    The most frequent floor(R / 3) predicates are the head, the next floor of half the rest the body, the
    others the tail; ties are in the order of indices. For the 50 predicates of Visual Genome the sizes are
    the usual 16, 17 and 17. A group may be empty if R < 3.

    Examples:
        >>> {name: group.tolist() for name, group in long_tail_groups(np.array([5, 90, 20])).items()}
        {'head': [1], 'body': [2], 'tail': [0]}
    """
    head = len(predicate_counts) // 3
    return _split(predicate_counts, (head, head + (len(predicate_counts) - head) // 2))


def split_by_rank(predicate_counts: np.ndarray) -> LongTail:
    """Head, body and tail in the proportion 5 : 16 : 29 of the lists published for Visual Genome.

    The 50 predicates of Visual Genome are split by rank in training, 5, 16 and 29. Other numbers of
    predicates are split in proportion, rounded down, with the rest in the tail. Ties are in
    the order of indices.

    Examples:
        >>> [len(group) for group in split_by_rank(np.arange(50)).groups.values()]
        [5, 16, 29]
    """
    ends = np.cumsum(_PUBLISHED[:2]) * len(predicate_counts) // sum(_PUBLISHED)
    return LongTail("published", _split(predicate_counts, ends))


def split_by_counts(predicate_counts: np.ndarray, *, head: int, body: int) -> LongTail:
    """Head: predicates with at least ``head`` relations in training; body: at least ``body``; tail: others.

    Examples:
        >>> groups = split_by_counts(np.array([5, 90, 20]), head=50, body=20).groups
        >>> {name: group.tolist() for name, group in groups.items()}
        {'head': [1], 'body': [2], 'tail': [0]}
    """
    ends = [int((np.asarray(predicate_counts) >= least).sum()) for least in (head, body)]
    return LongTail(f"counts {head}, {body}", _split(predicate_counts, ends))


def _split(predicate_counts: np.ndarray, ends: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
    """The groups of predicates by falling count, head and body up to these positions."""
    order = np.argsort(-np.asarray(predicate_counts), kind="stable")
    return dict(zip(_NAMES, np.split(order, ends), strict=True))


def read_long_tail(path: str | Path, predicates: tuple[str, ...]) -> LongTail:
    """Read head, body and tail from a JSON file: {"head": ["on", ...], "body": [...], "tail": [...]}.

    Raises:
        SpeaqError: the file cannot be read, or does not have every one of the ``predicates`` exactly once.
    """
    path = Path(path)
    expected = 'expected {"head": [names], "body": [names], "tail": [names]}'
    try:
        content = parse_json(regular(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpeaqError(f"{path}: cannot read this file ({error.strerror}); {expected}") from error
    except ValueError as error:
        raise SpeaqError(f"{path}: {expected}, found no valid JSON ({error})") from error
    if not isinstance(content, dict) or set(content) != set(_NAMES):
        found = f"the keys {', '.join(map(repr, content))}" if isinstance(content, dict) else "no object"
        raise SpeaqError(f"{path}: {expected}, found {found}")
    place: dict[str, str] = {}
    for group in _NAMES:
        if not isinstance(content[group], list):
            raise SpeaqError(f"{path}: {group}: expected a list of names, found {content[group]!r}")
        for name in content[group]:
            if name not in predicates:
                raise SpeaqError(f"{path}: {group}: expected predicates of the data set, found {name!r}")
            if name in place:
                raise SpeaqError(f"{path}: {name!r} is in {place[name]} and in {group}; name it once")
            place[name] = group
    missing = [name for name in predicates if name not in place]
    if missing:
        raise SpeaqError(
            f"{path}: expected every predicate of the data set, {len(missing)} are missing, such as "
            f"{missing[0]!r}"
        )
    groups = {group: np.array([predicates.index(name) for name in content[group]], int) for group in _NAMES}
    return LongTail(f"file {path.name}", groups)
