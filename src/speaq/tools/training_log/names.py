"""The names of logged values: loss terms, evaluation metrics, and scalars such as "lr" and "time"."""

import re
from functools import cache
from typing import NamedTuple

TERMS = {
    part: {
        "classification": "loss_relation" if part == "relation" else f"loss_ce_{part}",
        "box L1": f"loss_bbox_{part}",
        "box GIoU": f"loss_giou_{part}",
    }
    for part in ("subject", "object", "relation")
}
"""The loss terms of the final layer by part and by what they are called in figures."""
DENSE_TERMS = {"classification": "loss_dense_ce", "box L1": "loss_dense_bbox", "box GIoU": "loss_dense_giou"}
ENTITY_TERMS = (*TERMS["subject"].values(), *TERMS["object"].values())
RELATION_TERMS = tuple(TERMS["relation"].values())
RECALL_KINDS = ("R", "mR", "zR", "ng-R", "ng-mR", "ng-zR", "F")
BOX_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")

_BASES = ("total_loss", *ENTITY_TERMS, *RELATION_TERMS, *DENSE_TERMS.values())
# Longest first: loss_bbox_relation is not loss_bbox of a source called "relation".
_TERM = re.compile(
    rf"({'|'.join(sorted(_BASES, key=len, reverse=True))})(?:_(?P<layer>\d+)|_(?P<source>.+))?", re.DOTALL
)
_METRIC = re.compile(r"(?:(.*?)/)?(?:(?:SG|bbox)/([^/]+)|(recall@\d+)/(.*))", re.DOTALL)
_DETECTRON2_KINDS = {"SGRecall": "R", "SGMeanRecall": "mR", "SGZeroShotRecall": "zR"}
# Other kinds of recall, such as mR-head, come before AP, other metrics after it.
_ORDER = {kind: place for place, kind in enumerate((*RECALL_KINDS, "other@k", *BOX_METRICS, "other"))}


class Term(NamedTuple):
    """A loss term; ``layer`` is None for the final layer, ``source`` is None for the whole batch."""

    base: str
    layer: int | None = None
    source: str | None = None


class Metric(NamedTuple):
    """An evaluation metric: "R@20", "AP50", or "recall@100" of a single predicate.

    ``dataset`` is empty where it is not known; ``predicate`` is None for metrics of the whole data set.
    """

    dataset: str
    metric: str
    predicate: str | None = None

    def __str__(self) -> str:
        """Its name in metrics.json: "VG_val/SG/R@20", "bbox/AP50", "VG_val/recall@100/on"."""
        folder = f"{self.dataset}/" if self.dataset else ""
        if self.predicate is not None:
            return f"{folder}{self.metric}/{self.predicate}"
        return f"{folder}{'SG' if '@' in self.metric else 'bbox'}/{self.metric}"

    @property
    def kind(self) -> str:
        """The part before k, such as "mR"."""
        return self.metric.partition("@")[0]

    @property
    def k(self) -> int:
        """100 for "mR@100", 0 for a metric without k."""
        k = self.metric.partition("@")[2]
        return int(k) if k.isdecimal() else 0

    @property
    def order(self) -> tuple[int, str, int]:
        """Key by which tables and figures sort the metrics of a data set."""
        place = _ORDER.get(self.kind, _ORDER["other@k" if self.k else "other"])
        return place, self.kind, self.k


def parse_term(name: str) -> Term | None:
    """The loss term of SpeaQ that ``name`` stands for; None for any other name."""
    found = _TERM.fullmatch(name)
    return found and Term(found[1], int(found["layer"]) if found["layer"] else None, found["source"])


@cache
def parse_name(name: str) -> str | Metric:
    """The evaluation metric that a name in metrics.json stands for, the name itself if it is a scalar."""
    if found := _METRIC.fullmatch(name):
        return Metric(found[1] or "", canonical_metric(found[2] or found[3]), found[4])
    return name


def canonical_metric(metric: str) -> str:
    """Our name of a metric: ``mR@20`` for ``SGMeanRecall@20``."""
    kind, at, k = metric.partition("@")
    return _DETECTRON2_KINDS.get(kind, kind) + at + k
