"""One process of a training, some steps of which go wrong on purpose."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from speaq.config import load_config
from speaq.data.dataset import SceneGraphDataset
from speaq.losses.criterion import Criterion
from speaq.training.cluster import Cluster
from speaq.training.launch import train


def run(
    config_file: str,
    overrides: Sequence[str],
    *,
    processes: int = 1,
    empty: Sequence[Sequence[int]] = (),
    broken: Sequence[Sequence[int]] = (),
    signalled: Sequence[int] = (),
) -> None:
    """Train on the CPU, and write the images drawn by this rank to ``drawn<rank>.json`` in OUTPUT_DIR.

    Args:
        config_file: the configuration.
        overrides: of the configuration.
        processes: number of processes that this one starts, with itself.
        empty: step and slot of images whose objects and relations are removed.
        broken: step and slot of images for which the output of the model is not a number.
        signalled: rank that receives SIGTERM, and the step.
    """
    options = {"processes": processes, "empty": empty, "broken": broken, "signalled": signalled}
    sys.argv = [__file__, json.dumps([config_file, list(overrides), options])]  # of further processes
    drawn: list[tuple[int, int, int, int | str]] = []
    load, compute = SceneGraphDataset.__getitem__, Criterion.forward
    used = 0

    def getitem(dataset, draw):
        sample = load(dataset, draw)
        drawn.append((draw.step, draw.slot, draw.source, sample.target.image_id))
        if [draw.step, draw.slot] in empty:
            target = sample.target
            target.boxes, target.labels = target.boxes[:0], target.labels[:0]
            target.relations, target.relation_boxes = target.relations[:0], target.relation_boxes[:0]
        return sample

    def forward(criterion, output, targets):
        nonlocal used
        batch = drawn[used : used + len(targets)]  # loaders may be ahead
        used += len(targets)
        scale = torch.tensor([float("nan") if [step, slot] in broken else 1.0 for step, slot, _, _ in batch])
        output.predicate_boxes = output.predicate_boxes * scale[:, None, None]
        if [rank_of_process(), batch[0][0]] == list(signalled):
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(criterion, output, targets)

    SceneGraphDataset.__getitem__, Criterion.forward = getitem, forward
    config = load_config(Path(config_file), overrides)
    train(config, cluster=Cluster(num_gpus=0, cpu_processes=processes), resume=True)
    (Path(config.output_dir) / f"drawn{rank_of_process()}.json").write_text(json.dumps(drawn))


def rank_of_process() -> int:
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


if __name__ == "__main__":
    file, pairs, further = json.loads(sys.argv[1])
    run(file, pairs, **further)
