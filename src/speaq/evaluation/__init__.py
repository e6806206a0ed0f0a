"""Evaluation of scene graphs: recall of relations, average precision of boxes, and the reports on both.

``recall`` and ``zero_shot`` hold pure functions, ``metrics`` and ``detection`` the stateful metrics that add
them up over images and ranks, ``report`` the text and the tables.
"""
