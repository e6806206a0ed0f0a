"""``speaq demo``."""

from pathlib import Path


def demo(*overrides: str, output_dir: Path = Path("demo"), num_gpus: int | None = None) -> None:
    """Generate data, train a model on it, evaluate it and use it: everything, in about five minutes.

    Args:
        overrides: KEY VALUE pairs that win over the demo's configuration, such as SOLVER.MAX_ITER 300.
        output_dir: where everything is written.
        num_gpus: 0 is the CPU; one if there is any by default.
    """
    from speaq.tools.demo import run_demo

    run_demo(output_dir, overrides=overrides, num_gpus=num_gpus)
