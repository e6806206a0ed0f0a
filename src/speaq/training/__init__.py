"""Training: optimiser, engine, logs and checkpoints."""
