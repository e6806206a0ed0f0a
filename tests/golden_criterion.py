"""The golden figures of matching and loss, as our structures."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from speaq.losses.classification import predicate_weights
from speaq.losses.criterion import Criterion
from speaq.matching.groups import group_queries
from speaq.matching.matcher import Matcher
from speaq.structures import RawOutput, Target

GOLDEN = Path(__file__).parent / "golden"
RECORD = json.loads((GOLDEN / "criterion.json").read_text())
CASES = [name for name in RECORD if name != "published_predicate_counts"]
COUNTS = RECORD["published_predicate_counts"]
SPEAQ = {
    "ONE2MANY_SCHEME": "dynamic",
    "ONE2MANY_DYNAMIC_SCHEME": "max",
    "ONE2MANY_K": 4,
    "MATCH_INDEPENDENT": True,
    "USE_GROUP_MASK": True,
    "NUM_GROUPS": 4,
    "ONE2MANY_PREDICATE_SCORE": True,
    "ONE2MANY_PREDICATE_WEIGHT": -0.5,
}
BASELINE = {
    "ONE2MANY_SCHEME": "static",
    "ONE2MANY_DYNAMIC_SCHEME": "min",
    "ONE2MANY_K": 1,
    "MATCH_INDEPENDENT": False,
    "USE_GROUP_MASK": False,
    "NUM_GROUPS": 5,
    "ONE2MANY_PREDICATE_SCORE": False,
    "ONE2MANY_PREDICATE_WEIGHT": 1.0,
}


@cache
def figures() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "criterion.npz"))


def settings(case: str) -> dict:
    opts = RECORD[case]["opts"]
    chosen = {key.split(".")[-1]: value for key, value in zip(opts[::2], opts[1::2], strict=True)}
    base = SPEAQ if RECORD[case]["multiply_query"] == 2 else BASELINE
    return {"REWEIGHT_RELATIONS": True, **base, **chosen}


def criterion(case: str, **options) -> Criterion:
    s = settings(case)
    m = RECORD[case]["multiply_query"]
    groups = group_queries(counts=COUNTS, num_groups=s["NUM_GROUPS"], num_queries=40, multiplier=m)
    matcher = Matcher(
        copies=s["ONE2MANY_K"],
        dynamic=s["ONE2MANY_SCHEME"] == "dynamic",
        quality_scheme=s["ONE2MANY_DYNAMIC_SCHEME"],
        predicate_weight=s["ONE2MANY_PREDICATE_WEIGHT"] if s["ONE2MANY_PREDICATE_SCORE"] else 0.0,
        independent=s["MATCH_INDEPENDENT"],
        groups=groups if s["USE_GROUP_MASK"] else None,
    )
    weights = torch.ones(51)
    weights[-1] = 0.1
    if s["REWEIGHT_RELATIONS"]:
        weights, _ = predicate_weights(
            torch.tensor(COUNTS), threshold=0.07, power=1.5, no_relation=0.1, maximum=100.0
        )
    return Criterion(matcher=matcher, num_objects=150, predicate_weights=weights, **options)


def output(multiplier: int, dtype: torch.dtype = torch.float32) -> RawOutput:
    def stack(name: str) -> torch.Tensor:
        layers = [figures()[f"in.mq{multiplier}.layer{layer}.{name}"] for layer in range(3)]
        return torch.from_numpy(np.stack(layers)).to(dtype)

    return RawOutput(
        subject_logits=stack("sub_logits"),
        object_logits=stack("obj_logits"),
        subject_boxes=stack("sub_boxes"),
        object_boxes=stack("obj_boxes"),
        predicate_logits=stack("rel_logits"),
        predicate_boxes=stack("rel_boxes"),
    )


def targets(dtype: torch.dtype = torch.float32) -> list[Target]:
    def tensor(name: str) -> torch.Tensor:
        return torch.from_numpy(figures()[name])

    return [
        Target(
            image_id=i,
            boxes=tensor(f"target{i}.combined_boxes").to(dtype),
            labels=tensor(f"target{i}.combined_labels"),
            relations=tensor(f"target{i}.image_relations"),
            relation_boxes=tensor(f"target{i}.relation_boxes").to(dtype),
        )
        for i in range(5)
    ]
