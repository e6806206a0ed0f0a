"""The names of loss terms in logs: which part, which kind, of which decoder layer or source of data."""

import re
from dataclasses import dataclass

PARTS = ("subject", "object", "relation")
KINDS = ("class", "bbox", "giou")
KIND_TITLES = {"class": "classification", "bbox": "box L1", "giou": "box GIoU"}
DENSE_TERMS = ("loss_dense_ce", "loss_dense_bbox", "loss_dense_giou")


def term_name(part: str, kind: str) -> str:
    """Name of the final layer's term.

    Args:
        part: one of PARTS.
        kind: one of KINDS.
    """
    if kind == "class":
        return "loss_relation" if part == "relation" else f"loss_ce_{part}"
    return f"loss_{kind}_{part}"


ENTITY_TERMS = tuple(term_name(part, kind) for part in PARTS[:2] for kind in KINDS)
RELATION_TERMS = tuple(term_name("relation", kind) for kind in KINDS)
_BASES = ("total_loss", *ENTITY_TERMS, *RELATION_TERMS, *DENSE_TERMS)
# Longest first: loss_bbox_relation is not a loss_bbox of something called relation, and so on.
_TERM = re.compile(
    rf"({'|'.join(sorted(_BASES, key=len, reverse=True))})(?:_(?P<layer>\d+)|_(?P<source>.+))?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Term:
    """What the name of a logged loss says.

    Attributes:
        base: the name without what follows.
        layer: of the auxiliary layer, from 0; None is the final layer.
        source: of data, such as "synthetic"; None is the whole batch.
    """

    base: str
    layer: int | None = None
    source: str | None = None


def parse_term(name: str) -> Term | None:
    """What ``name`` says; None where it is no loss term of SpeaQ.

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
