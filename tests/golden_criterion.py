"""Recorded inputs and outputs of the published matching and losses, in the structures of this package."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import torch

from speaq.config import load_config
from speaq.losses.build import build_criterion
from speaq.losses.criterion import Criterion
from speaq.matching.matcher import Matcher
from speaq.model.config import ModelConfig
from speaq.structures import RawOutput, Target

GOLDEN = Path(__file__).parent / "golden"
RECORD = json.loads((GOLDEN / "criterion.json").read_text())
CASES = [name for name in RECORD if name != "published_predicate_counts"]
COUNTS = RECORD["published_predicate_counts"]
BASELINE = ["REWEIGHT_RELATIONS", "True", "OVERSAMPLE_PARAM", "0.07", "UNDERSAMPLE_PARAM", "1.5"]
SPEAQ = [
    *("ONE2MANY_SCHEME", "dynamic", "ONE2MANY_DYNAMIC_SCHEME", "max", "ONE2MANY_K", "4"),
    *("MATCH_INDEPENDENT", "True", "USE_GROUP_MASK", "True", "NUM_GROUPS", "4"),
    *("ONE2MANY_PREDICATE_SCORE", "True", "ONE2MANY_PREDICATE_WEIGHT", "-0.5"),
]
PLAIN_MATCHER = {
    "class_weight": 1.0,
    "l1_weight": 5.0,
    "giou_weight": 2.0,
    "one2many_scheme": "static",
    "one2many_k": 1,
    "quality_scheme": "min",
    "predicate_weight": 0.0,
    "match_independent": False,
    "groups": None,
}


@cache
def golden_arrays() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "criterion.npz"))


def matcher(**changes) -> Matcher:
    """The matcher of the baseline with changed settings."""
    return Matcher(**{**PLAIN_MATCHER, **changes})


def criterion(case: str, source_names=("real",)) -> Criterion:
    """The criterion built from the configuration of a golden case."""
    m = RECORD[case]["multiply_query"]
    chosen = [str(value) for value in RECORD[case]["opts"]]
    overrides = [*BASELINE, *(SPEAQ if m == 2 else [])]
    keys = [f"MODEL.DETR.{key}" if i % 2 == 0 else key for i, key in enumerate(overrides)]
    config = load_config(None, [*keys, *chosen])
    model = ModelConfig(
        objects=tuple(f"object {i}" for i in range(150)),
        predicates=tuple(f"predicate {i}" for i in range(50)),
        backbone={},
        num_queries=40,
        query_multiplier=m,
    )
    return build_criterion(config, model, np.array(COUNTS), source_names)


def output(multiplier: int, dtype: torch.dtype = torch.float32) -> RawOutput:
    def stack(name: str) -> torch.Tensor:
        layers = [golden_arrays()[f"in.mq{multiplier}.layer{layer}.{name}"] for layer in range(3)]
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
        return torch.from_numpy(golden_arrays()[name])

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


def matches(assignment, layer: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Matched queries and relations (K,) of a layer, image by image; relations count from 0 in each image."""
    first, result = 0, []
    for image, target in enumerate(targets()):
        chosen = (assignment.layer == layer) & (assignment.image == image)
        result.append((assignment.query[chosen].numpy(), assignment.relation[chosen].numpy() - first))
        first += len(target.relations)
    return result
