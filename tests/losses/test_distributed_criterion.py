"""Several ranks give the gradient of one process with the whole batch."""

from functools import partial
from pathlib import Path

import torch

from distributed_ranks import NAMES, loss_and_gradients, run_rank
from forked import run_together

# Image 2 has no relation: a rank whose share has none must take part all the same.
SHARES = ([0, 1, 3, 4], [2])


def test_two_ranks_are_one_process(tmp_path: Path):
    calls = [
        partial(run_rank, partial(loss_and_gradients, images), rank, tmp_path)
        for rank, images in enumerate(SHARES)
    ]
    run_together(calls, log=tmp_path / "log")
    alone = loss_and_gradients([0, 1, 2, 3, 4])
    for rank, images in enumerate(SHARES):
        share = torch.load(tmp_path / f"rank{rank}.pt")
        for name in ("value", "term"):
            torch.testing.assert_close(share[name], alone[name], rtol=1e-12, atol=0)
        for name in NAMES:
            # The engine averages gradients over the ranks.
            averaged = share[name] / len(SHARES)
            torch.testing.assert_close(averaged, alone[name][:, images], rtol=1e-9, atol=1e-15)
