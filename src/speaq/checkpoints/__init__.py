"""Saved models, the hub, and checkpoints of the published implementation."""
