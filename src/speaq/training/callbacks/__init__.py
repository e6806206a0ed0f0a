"""What a run does beside its training and evaluation steps."""
