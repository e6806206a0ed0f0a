"""Training and evaluation runs: Trainer, optimizer, logs and checkpoints."""
