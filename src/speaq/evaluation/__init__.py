"""Evaluation of scene graphs: recall of relations, average precision of boxes, and the reports on both.

``recall`` and ``zero_shot`` hold pure functions, ``metrics`` and ``detection`` the stateful metrics that add
them up over images and ranks, ``report`` the text and the tables. ``predictions`` keeps the graphs of a data
set in a file, ``merging`` joins the files of several ranks, ``scoring`` computes the figures again from them,
``analysis`` looks behind these, and ``bootstrap`` says how sure they are.
"""
