"""Both metrics over two processes with very uneven shares, against one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics

WORKER = """
import importlib.util, json, sys, warnings
import torch, torch.distributed as dist

conftest, rendezvous, rank, share = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
warnings.simplefilter("ignore")
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("conftest", conftest)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from speaq.evaluation.additional import AdditionalMetrics
from speaq.evaluation.detection import DetectionAP
from speaq.evaluation.metrics import SceneGraphMetrics

dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
golden = module.load_golden()
metrics = [
    SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot), DetectionAP(num_objects=150),
    AdditionalMetrics(num_predicates=50)
]
answers = []
for start, stop in share:
    for metric in metrics:
        if stop > start:
            metric.update(golden.graphs[start:stop], golden.annotations[start:stop])
        answers.append({k: v for k, v in metric.compute().items() if isinstance(v, int | float)})
print(json.dumps(answers))
"""


def figures(metric):
    return {name: value for name, value in metric.compute().items() if isinstance(value, int | float)}


def test_two_ranks_agree_with_one(golden, tmp_path):
    """At first the second rank has no image at all, then both have some and go on counting."""
    shares = [[(0, 9), (9, 70)], [(0, 0), (70, 80)]]
    conftest = Path(__file__).parent / "conftest.py"
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, conftest, tmp_path / "meet", str(rank), json.dumps(share)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, share in enumerate(shares)
    ]
    try:
        answers = [json.loads(worker.communicate(timeout=120)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    recall = SceneGraphMetrics(num_predicates=50, zero_shot_triplets=golden.zero_shot)
    boxes = DetectionAP(num_objects=150)
    more = AdditionalMetrics(num_predicates=50)
    expected = []
    for stop in (9, 80):
        start = 0 if stop == 9 else 9
        for metric in (recall, boxes, more):
            metric.update(golden.graphs[start:stop], golden.annotations[start:stop])
            expected.append(figures(metric))
    for answer in answers:
        for ours, alone in zip(answer, expected, strict=True):
            assert ours == pytest.approx(alone, abs=1e-13, nan_ok=True)
    assert answers[0] == answers[1]
