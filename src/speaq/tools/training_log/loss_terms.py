"""The names of loss terms in logs: of what, which loss, of which decoder layer or source of data."""

import re
from typing import NamedTuple

PARTS = ("subject", "object", "relation")
LOSSES = {"class": "classification", "bbox": "box L1", "giou": "box GIoU"}
"""The three losses of every part, and what they are called in figures."""
DENSE_TERMS = ("loss_dense_ce", "loss_dense_bbox", "loss_dense_giou")


def term_name(part: str, loss: str) -> str:
    """Name of the final layer's term: ``loss`` (a key of LOSSES) of ``part`` (one of PARTS)."""
    if loss == "class":
        return "loss_relation" if part == "relation" else f"loss_ce_{part}"
    return f"loss_{loss}_{part}"


ENTITY_TERMS = tuple(term_name(part, loss) for part in PARTS[:2] for loss in LOSSES)
RELATION_TERMS = tuple(term_name("relation", loss) for loss in LOSSES)
_BASES = ("total_loss", *ENTITY_TERMS, *RELATION_TERMS, *DENSE_TERMS)
# Longest first: loss_bbox_relation is not loss_bbox of a source called "relation".
_TERM = re.compile(
    rf"({'|'.join(sorted(_BASES, key=len, reverse=True))})(?:_(?P<layer>\d+)|_(?P<source>.+))?", re.DOTALL
)


class Term(NamedTuple):
    """A loss term; ``layer`` is None for the final layer, ``source`` is None for the whole batch."""

    base: str
    layer: int | None = None
    source: str | None = None


def parse_term(name: str) -> Term | None:
    """The loss term of SpeaQ that ``name`` stands for; None for any other name.

    >>> parse_term("loss_ce_subject_1")
    Term(base='loss_ce_subject', layer=1, source=None)
    >>> parse_term("loss_relation_synthetic").source
    'synthetic'
    """
    found = _TERM.fullmatch(name)
    if found is None:
        return None
    layer = found["layer"]
    return Term(found[1], None if layer is None else int(layer), found["source"])
