"""What the ranks of tests of distributed metrics and losses compute; see `forked`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from golden_criterion import criterion, output, targets
from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics
from speaq.structures import RawOutput

NAMES = ("subject_logits", "object_logits", "subject_boxes", "object_boxes", "predicate_logits")
NAMES += ("predicate_boxes",)


def run_rank(compute: Any, rank: int, folder: Path) -> None:
    """Save what ``compute`` returns as one of two ranks."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(compute(), folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()


def loss_and_gradients(images: list[int]) -> dict[str, torch.Tensor]:
    """Losses of some golden images with weights, and their gradients."""
    whole, weights = output(2, torch.float64), [1.0, 0.5, 1.0, 0.5, 0.25]
    items = [replace(t, loss_weight=w) for t, w in zip(targets(torch.float64), weights, strict=True)]
    share = RawOutput(**{name: getattr(whole, name)[:, images].clone().requires_grad_() for name in NAMES})
    losses = criterion("speaq")(share, [items[i] for i in images])
    losses.total.backward()
    result = {name: getattr(share, name).grad for name in NAMES}
    return result | {"value": losses.value, "term": losses.terms["loss_relation_0"]}


def metrics_of(parts: list[tuple[list, list]], zero_shot: Any) -> list[dict[str, float]]:
    """The values of all metrics after each part of graphs and annotations."""
    metrics = [
        SceneGraphMetrics(num_predicates=50, zero_shot_triplets=zero_shot),
        DetectionAP(num_objects=150),
        AdditionalMetrics(num_predicates=50),
    ]
    answers = []
    for graphs, annotations in parts:
        for metric in metrics:
            if graphs:
                metric.update(graphs, annotations)
            answers.append({k: v for k, v in metric.compute().items() if isinstance(v, int | float)})
    return answers
