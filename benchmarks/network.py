"""Time and memory of a training step and of a prediction, beside an earlier version of speaq.

    git worktree add /tmp/earlier TAG
    python benchmarks/network.py --earlier /tmp/earlier/src

Each measurement runs in a process of its own, in which one version is imported; versions alternate, so that
other work on the machine meets both. The minimum and the median over the rounds are printed, and U, the time
of one product of two 1536 x 1536 float32 matrices, by which machines can be compared. With one thread, times
are those of the CPU, which other work on the machine disturbs less.

The model is that of the paper with a ResNet-50 (D 256, 6 + 6 layers, 300 x 2 queries) and random weights. A
step has two images of 320 x 320 pixels, a sum of squares as loss, and AdamW. A prediction has images of 480 x
640 pixels, which are not resized.
"""

import argparse
import json
import statistics
from pathlib import Path

from measuring import SOURCE, in_process, peak_memory, resnet50_model, shortest, start_torch

STEP = ("step float32", "step float32, checkpointing", "step bf16")
PREDICT = ("predict, batch 1", "predict, batch 4", "predict, batch 1, bf16")


def measure(name: str, threads: int) -> dict[str, float]:
    """Time in ms (per image for a prediction) and peak memory in GB of one measurement in this process."""
    import numpy as np
    import torch

    start_torch(threads)
    model = resnet50_model()
    if name in STEP:
        images = torch.randint(0, 256, (2, 3, 320, 320), dtype=torch.uint8)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-5, fused=True)
        model.train()
        if "checkpointing" in name and hasattr(model, "set_gradient_checkpointing"):
            model.set_gradient_checkpointing(True)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in name):
                output = model(images)
            parts = (output.subject_logits, output.object_logits, output.predicate_logits)
            boxes = (output.subject_boxes, output.object_boxes, output.predicate_boxes)
            torch.stack([part.square().mean() for part in (*parts, *boxes)]).sum().backward()
            optimizer.step()

        duration = shortest(step, 3, threads)
    else:
        batch = 4 if "4" in name else 1
        generator = np.random.default_rng(0)
        images = [generator.integers(0, 256, (480, 640, 3), dtype=np.uint8) for _ in range(batch)]
        dtype = "bfloat16" if "bf16" in name else "float32"
        duration = shortest(lambda: model.predict(images, batch_size=batch, dtype=dtype), 5, threads) / batch
    memory = peak_memory()
    matrix = torch.randn(1536, 1536)
    return {"ms": duration, "GB": memory / 1e9, "U": shortest(lambda: matrix @ matrix, 10, threads)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--earlier", type=Path, help="folder of the earlier version that contains speaq/")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=[*STEP, *PREDICT], nargs="+", default=[*STEP, *PREDICT])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.threads)))
        return
    versions = {"now": SOURCE}
    if arguments.earlier:
        versions = {"earlier": arguments.earlier, **versions}
    print(f"{'':28}{'':9}{'min ms':>9}{'median':>9}{'U':>7}{'GB':>7}")
    for name in arguments.only:
        results: dict[str, list[dict[str, float]]] = {version: [] for version in versions}
        for _ in range(arguments.rounds):
            for version, source in versions.items():
                words = ("--measure", name, "--threads", str(arguments.threads))
                results[version].append(in_process(__file__, *words, source=source))
        for version, runs in results.items():
            times, unit = [run["ms"] for run in runs], min(run["U"] for run in runs)
            memory = max(run["GB"] for run in runs)
            print(
                f"{name:28}{version:9}{min(times):9.0f}{statistics.median(times):9.0f}"
                f"{min(times) / unit:7.1f}{memory:7.2f}"
            )
        if arguments.earlier:
            before, now = (min(run["ms"] for run in results[version]) for version in ("earlier", "now"))
            print(f"{name:28}{'ratio':9}{before / now:9.2f}")


if __name__ == "__main__":
    main()
