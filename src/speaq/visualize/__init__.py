"""Pictures of scene graphs, data sets and training runs."""
