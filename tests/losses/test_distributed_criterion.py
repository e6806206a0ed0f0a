"""Several ranks give the gradient of one process with the whole batch."""

from dataclasses import replace
from pathlib import Path

import torch
import torch.multiprocessing

from golden_criterion import criterion, output, targets
from speaq.structures import RawOutput

NAMES = ("subject_logits", "object_logits", "subject_boxes", "object_boxes", "predicate_logits")
NAMES += ("predicate_boxes",)
# Image 2 has no relation: a rank whose share has none must take part all the same.
SHARES = ([0, 1, 3, 4], [2])


def weighted_targets():
    weights = [1.0, 0.5, 1.0, 0.5, 0.25]
    return [replace(t, loss_weight=w) for t, w in zip(targets(torch.float64), weights, strict=True)]


def loss_and_gradients(images: list[int]) -> dict[str, torch.Tensor]:
    whole, items = output(2, torch.float64), weighted_targets()
    share = RawOutput(**{name: getattr(whole, name)[:, images].clone().requires_grad_() for name in NAMES})
    losses = criterion("speaq")(share, [items[i] for i in images])
    losses.total.backward()
    result = {name: getattr(share, name).grad for name in NAMES}
    return result | {"value": losses.value, "term": losses.terms["loss_relation_0"]}


def run_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=len(SHARES)
    )
    torch.save(loss_and_gradients(SHARES[rank]), f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_ranks_are_one_process(tmp_path: Path):
    torch.multiprocessing.spawn(run_rank, args=(str(tmp_path),), nprocs=len(SHARES))
    alone = loss_and_gradients([0, 1, 2, 3, 4])
    for rank, images in enumerate(SHARES):
        share = torch.load(tmp_path / f"rank{rank}.pt")
        for name in ("value", "term"):
            torch.testing.assert_close(share[name], alone[name], rtol=1e-12, atol=0)
        for name in NAMES:
            # The engine averages gradients over the ranks.
            averaged = share[name] / len(SHARES)
            torch.testing.assert_close(averaged, alone[name][:, images], rtol=1e-9, atol=1e-15)
