"""Evaluation of scene graphs: recall of relations and average precision of boxes.

``recall`` and ``zero_shot`` hold pure functions, ``metrics`` and ``detection`` the stateful metrics that
accumulate them over images and ranks, ``results`` the log lines, tables and JSON of their values.
``prediction_writer`` and ``predictions`` write and read the predictions of a data set, ``ground_truth`` pairs
them with the annotations and computes the metrics from them. ``analysis`` evaluates single relations, and
``bootstrap`` estimates confidence intervals.
"""
