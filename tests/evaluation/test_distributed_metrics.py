"""The metrics over two processes with very uneven shares, against one process."""

from functools import partial

import pytest
import torch

from distributed_ranks import metrics_of, run_rank
from forked import run_together


def test_two_ranks_agree_with_one(golden, tmp_path):
    """At first the second rank has no image at all, then both have some and go on counting."""

    def parts(*ranges):
        return [(golden.graphs[low:high], golden.annotations[low:high]) for low, high in ranges]

    shares = parts((0, 9), (9, 70)), parts((0, 0), (70, 80))
    calls = [
        partial(run_rank, partial(metrics_of, share, golden.zero_shot), rank, tmp_path)
        for rank, share in enumerate(shares)
    ]
    run_together(calls, log=tmp_path / "log")
    answers = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    expected = metrics_of(parts((0, 9), (9, 80)), golden.zero_shot)
    for answer in answers:
        for ours, alone in zip(answer, expected, strict=True):
            assert ours == pytest.approx(alone, abs=1e-13, nan_ok=True)
    assert answers[0] == answers[1]
