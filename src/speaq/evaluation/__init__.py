"""Evaluation of scene graphs: recall of relations and average precision of boxes.

``recall`` compares an image with its ground truth, ``analysis`` holds the comparison of many, ``metrics`` and
``detection`` have the torchmetrics classes, ``additional`` those that are computed only if chosen,
``zero_shot`` and ``long_tail`` define zR and the groups of predicates, ``results`` formats the values,
``bootstrap`` estimates confidence intervals, and ``comparison`` compares models. ``prediction_writer`` and
``predictions`` write and read predictions, ``formats`` reads those of other programs, ``ground_truth`` pairs
them with the annotations, and ``adjustment`` changes them by the frequency of predicates.
"""
