"""Weights on disk: saved models, published checkpoints, the hub."""
