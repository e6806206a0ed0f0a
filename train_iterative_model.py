"""Train or evaluate: `python train_iterative_model.py --config-file configs/visual_genome.yaml ...`."""

from speaq.__main__ import main

if __name__ == "__main__":
    main("speaq.cli.train:train")
