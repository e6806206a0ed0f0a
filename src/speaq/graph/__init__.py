"""Scene graphs as data: arrays, JSON, and formats of other programs."""
