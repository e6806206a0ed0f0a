"""Train or evaluate: `python train_iterative_model.py --config-file configs/visual_genome.yaml ...`."""

from speaq.cli import run
from speaq.cli.train import train

if __name__ == "__main__":
    run(train)
