"""Models for other programs: ONNX files, torch.export programs, and prediction without torch.

In this order: ``description`` (what a file says of itself), ``network`` (what is exported, traced), ``onnx``
and ``program`` (the two kinds of files), ``check`` (whether a file says what the model says) and
``predictor`` (ONNX files at work; neither it nor this module needs torch).
"""

from speaq.export.predictor import OnnxPredictor

__all__ = ["OnnxPredictor"]
