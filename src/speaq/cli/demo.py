"""``speaq demo``."""

from pathlib import Path


def demo(*overrides: str, output_dir: Path = Path("demo"), num_gpus: int | None = None) -> None:
    """Generate a dataset, train and evaluate a small model, and predict an image: about five minutes.

    Args:
        overrides: KEY VALUE pairs that override the configuration of the demo, such as SOLVER.MAX_ITER 300.
        output_dir: folder to write to.
        num_gpus: 0 for the CPU; by default one GPU if there is any.
    """
    from speaq.tools.demo import run_demo

    run_demo(output_dir, overrides=overrides, num_gpus=num_gpus)
