"""Evaluation of scene graphs: recall of relations and average precision of boxes.

``recall`` compares an image with its ground truth, ``analysis`` holds the comparison of many, ``metrics`` and
``detection`` have the torchmetrics classes, ``zero_shot`` defines zR, ``bootstrap`` estimates confidence
intervals, ``results`` formats the values. ``prediction_writer`` and ``predictions`` write and read
predictions, and ``ground_truth`` pairs them with the annotations.
"""
