"""Predictions of other programs, read into the same scene graphs as saved predictions have.

`read.read_predictions` recognises the format: scene graphs as JSON lines (`graph_lines`), boxes and relations
as lists in the style of COCO (`coco`), or triplets with names, as language models give them (`triplets`).
``target`` has the images and classes they are read for, ``loaded`` the result. docs/evaluation.md describes
the formats.
"""
