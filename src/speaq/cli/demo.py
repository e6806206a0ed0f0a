"""``speaq demo``."""

from pathlib import Path


def demo(*, output_dir: Path = Path("demo")) -> None:
    """Generate data, train a model, evaluate it and use it, in about five minutes on a laptop."""
